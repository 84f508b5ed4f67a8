"""What workflows and activities tell each other about a deployment. Payloads stay small."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from apollo.domain.balancer import BalancerSpec
from apollo.domain.base import Duration, Wire, defaults
from apollo.domain.capacity import Allowance
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.fleet import Host
from apollo.domain.once import OnceOutline
from apollo.domain.sharing import share, unshare
from apollo.domain.status import DeploymentState
from apollo.domain.turn import Stop, TurnInput, TurnRecord

Phase = Literal["forward", "rollback"]
Ending = Literal[
    "done", "failed", "halted", "rolled_back", "rollback_failed", "aborted", "superseded", "refused"
]
"""How the way forward or back came to its end; the catalog's rows make a state of it."""


class OpenInput(Wire):
    """Open the deployment that this workflow carries out."""

    request: DeploymentRequest
    workflow_id: str
    run_id: str
    hosts: tuple[str, ...] = ()
    """The hosts that a sync brings."""
    revision: int | None = None
    """The environment's revision by which they were found; none: the newest."""


class WaveOutline(Wire):
    """A wave, as the workflow needs to know it."""

    number: int
    hosts: int
    batches: int
    barriers: tuple[int, ...] = ()
    """The batches that begin only when all before them have ended."""
    bake: Duration = timedelta(0)
    approval: bool = False

    @property
    def stretches(self) -> list[range]:
        """The numbers of its batches, by what may run side by side."""
        begins = [1, *self.barriers, self.batches + 1]
        return [range(first, end) for first, end in pairwise(begins)]


class Opened(Wire):
    """A deployment that has its number and its plan."""

    deployment: str
    number: int
    label: str
    release: str
    previous_release: str = ""
    hosts: int
    locations: dict[str, int] = {}
    waves: tuple[WaveOutline, ...] = ()
    allowance: Allowance
    side_by_side: int = 1
    """How many batches of a wave may run at the same time."""
    relays: bool = False
    """Whether a batch begins while the last turns of another are under way."""
    failures_allowed: int = 0
    unreachable_allowed: int = 0
    on_failure: Literal["rollback", "halt"] = "rollback"
    approval: bool = False
    windows: bool = False
    """Whether it keeps to windows."""
    alarms: bool = False
    """Whether it has alarms that must be watched."""
    override: str = ""
    """Why it does not keep to windows and approvals."""
    one_location: bool = False
    turn_limit: Duration = timedelta(hours=1)
    """How long one turn may take at the most, over all its attempts."""
    takeover: Duration = timedelta(seconds=10)
    """After which silence another worker takes a turn over."""
    once: tuple[OnceOutline, ...] = ()
    """What runs once, before the first turn and after the last."""
    progress_deadline: Duration = timedelta(0)
    """How long a location may end no turn; zero: nobody looks."""
    staging_limit: Duration = timedelta(0)
    """How long a host may take to be staged ahead of its wave; zero: it is staged in its turn."""
    notify: dict[str, tuple[int, ...]] = {}
    """State → which of the environment's webhooks are told of it."""


class WindowsInput(Wire):
    """Look at the windows of a deployment's environment."""

    deployment: str
    now: datetime


class WindowsLook(Wire):
    """How its windows stand, until when, and what is said of that now and then."""

    open: bool
    until: datetime | None = None
    """None: that never changes."""
    change: str = ""
    """`opens 2026-11-24 09:00 Europe/Amsterdam`."""
    then: str = ""


class LeaseInput(Wire):
    """Ask for the environment's lease."""

    deployment: str
    application: str
    environment: str
    number: int
    workflow_id: str
    run_id: str
    if_busy: Literal["refuse", "wait", "supersede"] = "refuse"
    by: str = ""


class LeaseAnswer(Wire):
    """The lease, or why it is not to be had."""

    granted_ms: int | None = None
    outcome: Literal["granted", "refused", "superseded"] = "granted"
    message: str = ""


Away = Literal["", "due", "over"]
"""Hosts that could not be reached when their batch ran before: `due` are tried again, if they were
not yet; `over` stay as they are, though people may still leave them out."""


class BatchLoad(Wire):
    """Load the hosts of a batch that have not ended yet."""

    deployment: str
    workflow_id: str
    phase: Phase
    wave: int
    batch: int
    granted_ms: int
    away: Away = ""
    """What becomes of those that could not be reached; empty: they are not loaded."""


class HostTurn(Wire):
    """What a turn is told that differs from host to host."""

    host: Host
    host_keys: tuple[str, ...] = ()
    manifest: str | None = None
    previous_release: str = ""
    turn: int = 1
    group: int = 0
    """Hosts of a group begin when those of lower groups have ended: the order of roles."""
    was_out: bool = False
    was_broken: bool = False
    running: str | None = None
    balanced: bool = True
    own_workers: bool = False
    was_lost: bool = False
    adopt: bool = False
    away: Away = ""
    """Not empty: it could not be reached in this turn, and the deployment knows."""


_TURN = defaults(HostTurn)
_HOST = defaults(Host)


class BatchHosts(Wire):
    """The hosts of a batch, and what all their turns have in common."""

    turns: tuple[HostTurn, ...]
    out: dict[str, int] = {}
    """Hosts of the fleet outside this batch's pending ones that are out, by location."""
    disabled: dict[str, int] = {}
    """Hosts of the batch that are due and have no turn, since they are disabled → its number."""
    owner: str
    label: str
    application: str
    environment: str
    release: str
    folder: str
    first_use: bool = False
    balancer: BalancerSpec | None = None
    redeploy: bool = False
    restart: bool = False
    pull: bool = False
    stop: Stop = "running"
    trace: str = ""
    """The id of the deployment's trace."""

    @model_serializer(mode="wrap")
    def _share(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = dump(self)
        kinds, turns = share(said["turns"], _TURN, _HOST)
        return {**said, "kinds": kinds, "turns": turns}

    @model_validator(mode="before")
    @classmethod
    def _unshare(cls, said: Any) -> Any:
        """Earlier versions said everything of every host."""
        if isinstance(said, dict) and "kinds" in said:
            return {**said, "turns": unshare(said["kinds"], said["turns"])}
        return said

    def turn(self, load: BatchLoad, host: HostTurn) -> TurnInput:
        """The input of one host's turn."""
        return TurnInput(
            deployment=load.deployment,
            label=self.label,
            owner=self.owner,
            application=self.application,
            environment=self.environment,
            release=self.release,
            previous_release=host.previous_release,
            phase=load.phase,
            wave=load.wave,
            turn=host.turn,
            granted_ms=load.granted_ms,
            host=host.host,
            host_keys=host.host_keys,
            first_use=self.first_use,
            manifest=host.manifest,
            folder=self.folder,
            balancer=self.balancer if host.balanced else None,
            redeploy=self.redeploy,
            restart=self.restart,
            pull=self.pull,
            running=host.running,
            stop=self.stop if load.phase == "forward" else "running",
            was_lost=host.was_lost,
            adopt=host.adopt,
            trace=self.trace,
        )


class LocationCounts(Wire):
    """How far a wave has come in one location."""

    ended: int = 0
    failed: int = 0
    unreachable: int = 0
    out: int = 0


class Held(Wire):
    """What a batch whose last turns are under way still takes of a location, for the next one."""

    location: str
    group: int = 0
    turns: int = 0
    """Its hosts in a turn, or whose end is not on record."""
    out: int = 0
    """Its hosts that have ended since it told this first, and are out."""


class Progress(Wire):
    """What a batch tells its deployment from time to time."""

    wave: int
    batch: int
    phase: Phase
    locations: dict[str, LocationCounts] = {}
    slow: tuple[str, ...] = ()
    """Locations that have ended no turn for too long."""
    stalled: bool = False
    """Whether none moves that has turns under way."""
    failures: int = 0
    """Those that count."""
    held: tuple[Held, ...] | None = None
    """What it still takes, when the next batch may have the rest; none: nothing is said of that."""
    narrowed: int = 0
    """To which lower pace it has come down, counted as in `BatchControl`."""

    @property
    def ended(self) -> int:
        """Hosts that have ended, in all locations."""
        return sum(counts.ended for counts in self.locations.values())


class News(Wire):
    """From how much on a batch tells its deployment how far it is; zeros: in each round."""

    hosts: int = 0
    """Hosts that have ended since it told last."""
    failures: int = 0
    """Failures that count since then."""

    def worth(self, now: Progress, told: Progress | None) -> bool:
        """Whether what has changed since it told last is enough."""
        ended, failures = (told.ended, told.failures) if told else (0, 0)
        ended, failures = abs(now.ended - ended), abs(now.failures - failures)
        return ended > self.hosts or failures > self.failures


class BatchInput(Wire):
    """What a batch works on: its hosts by number, and its grant."""

    load: BatchLoad
    label: str
    allowance: Allowance
    failures_left: int
    unreachable_left: int
    accepted: int = 0
    """Unreachable hosts beyond the budget with which somebody goes on: nobody else is for them."""
    turn_limit: Duration
    takeover: Duration = timedelta(seconds=10)
    one_location: bool = False
    paused: bool = False
    always_a_lane: bool = False
    """Whether it goes back: each location has a lane, also where there is no room (rule 7).

    Of batches side by side none has: what is stuck there has its turn alone.
    """
    progress_deadline: Duration = timedelta(0)
    """How long a location may end no turn; zero: nobody looks."""
    beside: int = 0
    """How many other batches run at the same time, each with the same share of the allowance."""
    looks: int = 0
    """How often somebody had asked for a look at what is known of the hosts."""
    news: News | None = None
    """None: from an older deployment, which is told in each round and at the end."""
    held: tuple[Held, ...] = ()
    """What the batch before still takes."""
    hands_over: bool = False
    """Whether the next batch begins while its last turns are under way."""
    narrows: int = 0
    others_narrow: bool = False
    """As in `BatchControl`, when it begins."""


class BatchControl(Wire):
    """What a deployment tells its running batch."""

    paused: bool = False
    stop: bool = False
    allowance: Allowance | None = None
    skip: tuple[str, ...] = ()
    """Hosts that somebody has left out; those in their turn end it."""
    looks: int = 0
    """How often somebody has asked for a look at what is known of the hosts."""
    held: tuple[Held, ...] = ()
    """What the batch before still takes."""
    narrows: int = 0
    """How often the pace was lowered while batches ran side by side: each tells when it has no more
    turns under way than it now may."""
    others_narrow: bool = False
    """Whether some have not told yet: until then no host begins a turn in any of them."""
    each_failure: bool = False
    """Whether each failure is told at once: those that nobody has told of could be too many."""


class LookInput(Wire):
    """Look at what is known of the fleet now, for a batch that carries these hosts."""

    deployment: str
    hosts: tuple[str, ...]


class Looked(Wire):
    """Which of the hosts are disabled, and how many others of the fleet are out, by location."""

    disabled: tuple[str, ...] = ()
    out: dict[str, int] = {}


class BatchResult(Progress):
    """How a batch ended."""

    pending: int = 0
    """Hosts that have had no turn, or not the other one of those that could not be reached."""
    unreachable: int = 0
    """Negative where more of those that were unreachable before are so no more."""
    left_out: int = 0
    """Those that were unreachable before, and have been left out since."""
    stuck: tuple[str, ...] = ()
    """The locations that had no room, when nothing could go on."""


class OutInput(Wire):
    """Which hosts are out, first of all in these locations?"""

    deployment: str
    locations: tuple[str, ...]


class RecordInput(Wire):
    """Write how hosts ended; writing it twice changes nothing."""

    deployment: str
    phase: Phase
    records: tuple[TurnRecord, ...]
    wave: int = 0
    batch: int = 0


class Recorded(Wire):
    """What has become of other hosts of the batch meanwhile."""

    gone: tuple[str, ...] = ()
    """Hosts without an end, or unreachable, that the inventory no longer has."""


class StateInput(Wire):
    """Write a deployment's state."""

    deployment: str
    state: DeploymentState
    detail: str = ""


class ControlInput(Wire):
    """Write who said what to a deployment."""

    deployment: str
    control: str
    action: str
    by: str = ""
    reason: str = ""
    detail: str = ""


class RollbackPlan(Wire):
    """The rollback's rows are in the catalog; these are their numbers."""

    hosts: int
    batches: int
    allowance: Allowance


class CloseInput(Wire):
    """End a deployment and give its lease back."""

    deployment: str
    workflow_id: str
    ending: Ending
    detail: str = ""


class DeploymentResult(Wire):
    """How a deployment ended: the outcomes add up to the hosts planned."""

    label: str
    state: DeploymentState
    release: str
    previous_release: str = ""
    outcomes: dict[str, int] = {}
    errors: dict[str, int] = {}
    detail: str = ""
    ended_at: datetime | None = None
