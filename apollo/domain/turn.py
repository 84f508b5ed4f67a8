"""What one host goes through: what a turn is told, and how it ended."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

from apollo.domain.balancer import BalancerSpec
from apollo.domain.base import Wire
from apollo.domain.fleet import Host
from apollo.domain.manifest import Manifest
from apollo.domain.setup import HOOKS, Hook, Setup
from apollo.domain.status import Outcome

CONTACT_MARGIN = timedelta(minutes=30)
"""How long a turn goes on asking for a lost host, beyond what its steps need."""


TOLD = 1500
"""Characters of a record beside its texts of any length: steps, digests, names."""


Stop = Literal["running", "new", "ignore"]


class OnceStep(Wire):
    """A hook that runs once per deployment, instead of a turn."""

    step: str
    """`once.before` or `once.after`."""
    hook: Hook


class TurnInput(Wire):
    """One host's turn. It names its manifest by digest; the worker fetches that from the store."""

    deployment: str
    """The deployment's uuid: the name of its journals."""
    label: str
    """`shop/prod#42`."""
    owner: str
    """Whose root it must be: catalog uuid, application, environment."""
    application: str
    environment: str
    release: str
    previous_release: str = ""
    phase: Literal["forward", "rollback"] = "forward"
    wave: int = 1
    turn: int = 1
    granted_ms: int
    """When the lease was granted: the first part of the fence."""
    host: Host
    host_keys: tuple[str, ...] = ()
    first_use: bool = False
    manifest: str | None = None
    """Digest of the manifest to run; none: stop the host and report it."""
    running: str | None = None
    """Digest of what the catalog says runs here; needed where there is nothing to run instead."""
    folder: str = ""
    """The release's folder on the host: `<UTC time>-<version>`."""
    balancer: BalancerSpec | None = None
    redeploy: bool = False
    restart: bool = False
    """Stop and start what the host runs, as found there; `manifest` only tells its root."""

    stop: Stop = "running"
    """Whose `stop` hook is used, and whether it may fail."""
    once: OnceStep | None = None
    """Only run this, in the new release's folder; the host goes on serving what it serves."""
    ahead: bool = False
    """Only stage: the turn itself comes later, and finds the release or attaches."""
    pull: bool = False
    """The host fetches the artifact itself, where the store has URLs."""
    was_lost: bool = False
    """Nobody knows whether the turn before this one has given the host back to the balancer."""
    adopt: bool = False
    """Take the root over when it belongs to somebody else."""
    trace: str = ""
    """The id of the deployment's trace, for what is logged."""

    @property
    def activity_id(self) -> str:
        """The turn's name within its batch."""
        return f"turn:{self.host.name}:{self.turn}"

    def knowing(self, host_key: str) -> "TurnInput":
        """The same; the key that was accepted at first use is from now on the only one."""
        if not host_key or self.host_keys:
            return self
        return self.model_copy(update={"host_keys": (host_key,)})


class Step(Wire):
    """A step that the host's journal holds: its exit code and how long it took, in seconds."""

    name: str
    exit: int | None = None
    seconds: float | None = None
    times: int = 1
    began: float | None = None
    """When it began, in seconds of the epoch, by the clock of the worker that asked the host."""

    def later(self, seconds: float) -> "Step":
        """The same step, by a clock that is so far ahead."""
        if self.began is None:
            return self
        return self.model_copy(update={"began": round(self.began + seconds, 3)})


class TurnRecord(Wire):
    """How a turn ended."""

    host: str
    outcome: Outcome
    location: str = ""
    turn: int = 1
    manifest: str | None = None
    """Digest of what the host runs now, if anything."""
    release: str | None = None
    previous: str | None = None
    """Digest of what it ran before the turn."""
    steps: tuple[Step, ...] = ()
    attached: tuple[str, ...] = ()
    """Steps that this or an earlier attempt found running and attached to."""
    attempts: int = 1
    began_at: datetime | None = None
    """When its first attempt was due, by Temporal's clock; none: nobody could tell."""
    seconds: float | None = None
    """How long it took since then, all attempts together."""
    error: str = ""
    """The error's type: `HookFailed`."""
    step: str = ""
    message: str = ""
    left: str = ""
    hint: str = ""
    output: str = ""
    """The end of the failed step's output, without secrets."""
    outputs: str = ""
    """What all steps have printed, packed: see `apollo.domain.outputs`."""
    note: str = ""
    host_key: str = ""
    """The host key that was accepted though nobody had trusted one (`first_use`)."""

    def taking_since(self, began: datetime, now: datetime) -> "TurnRecord":
        """The same, with the time that it took where its activity could not tell."""
        if self.began_at is not None:
            return self
        took = (now - began).total_seconds()
        return self.model_copy(update={"began_at": began, "seconds": round(took, 3)})


def handfuls(
    records: Sequence[TurnRecord], most: int | None, largest: int | None
) -> Iterator[tuple[TurnRecord, ...]]:
    """The records in order, at the most so many at once, and no more text than `largest`.

    One record alone may be longer.
    """
    some: list[TurnRecord] = []
    length = 0
    for record in records:
        said = len(record.output) + len(record.outputs) + len(record.message) + TOLD
        full = largest is not None and length + said > largest
        if some and (full or len(some) == most):
            yield tuple(some)
            some, length = [], 0
        some.append(record)
        length += said
    if some:
        yield tuple(some)


GONE = "the inventory has it no more"
LEFT_OUT = "somebody has left it out"


def skipped(host: str, turn: int, why: str = GONE) -> TurnRecord:
    """The end of a host that has no turn: it left the inventory, or somebody left it out."""
    return TurnRecord(
        host=host,
        turn=turn,
        outcome=Outcome.SKIPPED,
        note=why,
        left="nothing was changed by this deployment",
    )


def longest_once(manifest: Manifest | Setup, hook: Hook) -> timedelta:
    """How long one host may take for a hook that runs once: it is staged there first."""
    hooks = (*manifest.hooks.of("install"), hook.with_timeout("once"))
    return CONTACT_MARGIN + sum(
        ((each.timeout or timedelta(0)) * (each.retries + 1) for each in hooks), timedelta(0)
    )


def longest_turn(manifest: Manifest | Setup, balancer: BalancerSpec | None) -> timedelta:
    """How long one turn may take: its hooks and checks, forward and back, waits, a margin."""
    total = CONTACT_MARGIN
    for name in HOOKS:
        for hook in manifest.hooks.of(name):
            total += 2 * (hook.timeout or timedelta(0)) * (hook.retries + 1)
    if manifest.health:
        total += 2 * (manifest.health.deadline + manifest.health.healthy_for)
    return total + balancer.longest if balancer else total
