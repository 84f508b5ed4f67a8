"""What people and windows have said to a running deployment, and what may be said to it now."""

from typing import Literal

from apollo.domain.base import parse_share
from apollo.domain.deployment import PaceControl
from apollo.domain.status import DeploymentState

Entry = tuple[str, str, int]
Stop = Literal["abort", "rollback", "supersede", "alarm"]
OUTSIDE = "outside its windows"
CLOSED = "its windows have closed"
_OVERRIDE = (
    "it goes on by itself; to go on now: apollo deploy … --override REASON --if-busy supersede"
)
ACTIONS = ("pause", "resume", "abort", "rollback", "approve", "pace", "skip", "retry", "supersede")


class Controls:
    """The state that controls change. It has no clock; the workflow acts on it."""

    def __init__(self) -> None:
        self.base = DeploymentState.WAITING
        self.gate = ""
        """The gate that is waited at, if any."""
        self.approved: list[str] = []
        self.paused = False
        self.stop: Stop | None = None
        self.detail = ""
        self.alarms = ""
        """What its alarms say, while they are not all quiet."""
        self.slow = ""
        """Why locations of it do not move."""
        self.doing = ""
        """What it does now that is no host's turn."""
        self.closed = ""
        """While its windows are closed: `opens 2026-11-24 09:00 Europe/Amsterdam`."""
        self.resumed = 0
        self.over = False
        """Whether no host of it has a turn any more."""
        self.closing = False
        """Whether its end is being written: nothing changes it any more."""

    @property
    def state(self) -> DeploymentState:
        """What the deployment shows: paused hides what it would do otherwise."""
        if self.base.ended or self.stop is not None:
            return self.base
        closed = self.outside and self.base is DeploymentState.RUNNING
        return DeploymentState.PAUSED if self.paused or closed else self.base

    @property
    def outside(self) -> bool:
        """Whether its windows hold it; nothing holds a rollback."""
        return bool(self.closed) and self.base is not DeploymentState.ROLLING_BACK

    @property
    def held(self) -> bool:
        """Whether no host may begin a turn: people hold it, or windows do."""
        return self.paused or self.outside

    @property
    def says(self) -> str:
        """The detail, or what its alarms say and what it does; with what holds it up."""
        said = self.detail or "; ".join(filter(None, (self.alarms, self.doing)))
        slow = "" if self.slow in said or self.base.ended else self.slow
        told = "; ".join(filter(None, (said, slow)))
        if not self.outside or self.base.ended or self.stop is not None:
            return told
        what = CLOSED if self.base is DeploymentState.RUNNING else OUTSIDE
        return "; ".join(filter(None, (told, f"{what}; {self.closed}")))

    @property
    def entry(self) -> Entry:
        """The state, with what tells this entry into it from the next one into the same."""
        return str(self.state), self.gate, self.resumed

    def refusal(self, action: str) -> str | None:
        """Why the action makes no sense now, and what does; none if it does."""
        if self.base.ended:
            return f"the deployment has ended: {self.base}"
        if self.closing:
            return "the deployment has come to its end, which is being written"
        if self.stop is not None and action != "pace":
            why = "an alarm fires" if self.stop == "alarm" else f"{self.stop} was asked for"
            return f"the deployment is already ending: {why}"
        return {
            "pause": "it is paused already; resume goes on" if self.paused else None,
            "resume": None if self.paused else f"{self._not_paused()}: {self._is()}",
            "approve": None if self.gate else f"nothing waits for approval: {self._is()}",
            "rollback": self._no_rollback(),
            "supersede": self._no_rollback(),
            "skip": self._no_steering(),
            "retry": self._no_steering(),
        }.get(action)

    def pause_itself(self, why: str) -> None:
        """Nothing says that the release is bad, but a person must look."""
        self.paused, self.detail = True, why

    def pause(self, reason: str) -> None:
        """No host begins a turn; turns in flight end."""
        self.paused, self.detail = True, f"paused: {reason}" if reason else "paused"

    def resume(self) -> None:
        """Go on."""
        self.paused, self.detail = False, ""
        self.resumed += 1

    def approve(self) -> None:
        """Open the gate that is waited at."""
        self.approved.append(self.gate)

    def end(self, stop: Stop, reason: str) -> None:
        """Stop at the next host boundary."""
        self.stop, self.paused = stop, False
        self.detail = f"{stop}: {reason}" if reason else stop

    def fire(self, alarms: str) -> None:
        """Alarms say that the release does harm: stop at the next host boundary."""
        if self.stop is None:
            self.stop, self.paused, self.detail = "alarm", False, alarms

    def _not_paused(self) -> str:
        return "nobody has paused it" if self.outside else "it is not paused"

    def _is(self) -> str:
        return f"{self.says}; {_OVERRIDE}" if self.outside else f"it is {self.state}"

    def _no_steering(self) -> str | None:
        if self.base is DeploymentState.ROLLING_BACK:
            return "it is rolling back; what is said of single hosts is for the way forward"
        return "its last wave is over" if self.over else None

    def _no_rollback(self) -> str | None:
        if self.base is DeploymentState.ROLLING_BACK:
            return "it is rolling back already"
        return None


def held_by_windows(state: DeploymentState, detail: str) -> bool:
    """Whether a deployment that says this is held by its windows, and by nobody else."""
    held = state in (DeploymentState.AWAITING, DeploymentState.PAUSED)
    return held and detail.startswith((OUTSIDE, CLOSED))


def pace_refusal(word: PaceControl) -> str | None:
    """Why this is no pace; none if it is one."""
    try:
        share = parse_share(word.max_unavailable)
    except ValueError as error:
        found = f"found {word.max_unavailable!r}"
        return f'max_unavailable: {error}; {found}; try {{"max_unavailable": "20%"}}'
    if share.count == 0 or share.percent == 0:
        return "max_unavailable: 0 would never let a host begin; use pause"
    return None
