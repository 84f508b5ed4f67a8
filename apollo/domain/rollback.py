"""How a deployment takes back what it changed (rule 7)."""

from collections.abc import Iterable
from typing import Literal

from apollo.domain.base import Wire
from apollo.domain.capacity import Turn
from apollo.domain.plan import BATCH, PlannedHost
from apollo.domain.status import Outcome
from apollo.domain.waves import batches

Action = Literal["restore", "check", "stop"]
_CHANGED = (Outcome.UPDATED, Outcome.REVERTED, Outcome.BROKEN, Outcome.LOST)


class EndedHost(Wire):
    """A host of the deployment as the way forward left it; manifests are named by digest."""

    planned: PlannedHost
    outcome: Outcome
    wanted: str | None = None
    """What this deployment was to bring."""
    runs: str | None = None
    """What the host runs now, as far as is known."""
    last_good: str | None = None
    """What it ran at the end of the last succeeded deployment that it took part in."""


class RollbackTurn(Wire):
    """A host's turn in a rollback; `order` and `batch` count from 1, `group` from 0."""

    order: int
    batch: int = 1
    host: str
    location: str
    role: str | None = None
    action: Action
    manifest: str | None = None
    """What it shall run (`restore`) or is expected to run (`check`); none to `stop` it."""
    already_out: bool = False
    group: int = 0

    @property
    def turn(self) -> Turn:
        """The host as it waits for its turn."""
        return Turn(self.host, self.location, not self.already_out, self.group)


def rollback_plan(hosts: Iterable[EndedHost], *, batch_size: int = BATCH) -> list[RollbackTurn]:
    """The turns that take back what a deployment changed, in order.

    Broken and lost hosts come first, and wait for no role: they are out. Then the others, the
    last role of `order` first, each in the reverse order of the plan. Hosts that the deployment
    has not changed are left out: not started, skipped, current, unreachable before the drain.

    | outcome | last good manifest | action |
    |---|---|---|
    | `reverted` | any | `check`: it was put back already |
    | `updated` | the one that it was given here | `check`: nothing to take back |
    | `broken`, `lost` | the one that failed here | `stop` |
    | `updated`, `broken`, `lost` | none | `stop` |
    | `updated`, `broken`, `lost` | another | `restore` |
    """
    changed = [host for host in hosts if host.outcome in _CHANGED]
    top = max((host.planned.group for host in changed if not host.outcome.out), default=0)
    keyed = [(0 if host.outcome.out else top - host.planned.group, host) for host in changed]
    keyed.sort(key=_place)
    numbers = batches([group for group, _ in keyed], batch_size)
    return [
        _turn(order, batch, group, host)
        for order, (batch, (group, host)) in enumerate(zip(numbers, keyed, strict=True), 1)
    ]


def _place(keyed: tuple[int, EndedHost]) -> tuple[bool, int, int]:
    """Broken hosts first, roles reversed, then the reverse order of the plan."""
    _, host = keyed
    return (not host.outcome.out, -host.planned.group, -host.planned.order)


def _turn(order: int, batch: int, group: int, host: EndedHost) -> RollbackTurn:
    action = _action(host)
    manifests = {"restore": host.last_good, "check": host.runs or host.last_good, "stop": None}
    return RollbackTurn(
        order=order,
        batch=batch,
        host=host.planned.host,
        location=host.planned.location,
        role=host.planned.role,
        action=action,
        manifest=manifests[action],
        already_out=host.outcome.out,
        group=group,
    )


def _action(host: EndedHost) -> Action:
    if host.outcome is Outcome.REVERTED:
        return "check"
    if host.last_good is None:
        return "stop"
    if host.last_good == host.wanted:
        return "stop" if host.outcome.out else "check"
    return "restore"
