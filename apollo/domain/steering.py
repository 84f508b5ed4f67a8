"""Words about single hosts of a running deployment: leave them out, or give them another turn."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from apollo.domain.base import Wire
from apollo.domain.budget import Ended
from apollo.domain.caveats import some
from apollo.domain.fleet import Fleet, select
from apollo.domain.signature import Signature
from apollo.domain.status import Outcome

Action = Literal["skip", "retry"]
MOST = 1000
"""Hosts that one word may be about: they travel in the deployment's history."""
_SKIPPED = (None, Outcome.UNREACHABLE)


class SteeringInput(Wire):
    """Which hosts are meant, and which batch runs now."""

    deployment: str
    action: Action
    hosts: str = ""
    error: str = ""
    wave: int = 0
    batch: int = 0
    beside: tuple[tuple[int, int], ...] = ()
    """Wave and batch of others that run at the same time."""


class SteeredHost(Wire):
    """A host that the word is about, and the number of its last turn."""

    host: str
    turn: int
    wave: int
    batch: int


class Steered(Wire):
    """What the word comes to."""

    hosts: tuple[SteeredHost, ...]
    failures: int = 0
    """Failures and unreachable hosts among them, of batches that have ended."""
    unreachable: int = 0
    unreachable_again: int = 0
    """Unreachable hosts among them that somebody has asked another turn for: they count no more."""

    @property
    def names(self) -> str:
        """`3 hosts: web1, web2, web3`."""
        count = len(self.hosts)
        return f"{count} host{'s' * (count != 1)}: {some([each.host for each in self.hosts])}"

    @property
    def places(self) -> frozenset[tuple[int, int]]:
        """Wave and batch of each."""
        return frozenset((each.wave, each.batch) for each in self.hosts)

    def of(self, place: tuple[int, int]) -> tuple[SteeredHost, ...]:
        """Those of a wave's batch."""
        return tuple(each for each in self.hosts if (each.wave, each.batch) == place)


class SteerInput(Wire):
    """Write what was said of these hosts."""

    deployment: str
    hosts: tuple[SteeredHost, ...]
    why: str = ""


class Row(Protocol):
    """What must be known of a planned host."""

    host: str
    wave: int
    batch: int
    turns: int
    outcome: Outcome | None
    was_broken: bool
    error: str

    @property
    def pending(self) -> bool:
        """Whether it is due: it has had no turn, or somebody has asked for another one."""

    @property
    def signature(self) -> Signature:
        """What its error says."""


def steered(given: SteeringInput, fleet: Fleet, rows: Sequence[Row]) -> Steered:
    """The hosts that are meant and can be skipped, or have another turn.

    In expressions `@failed` are those that failed or could not be reached in this deployment,
    `@outdated` those that do not run its release yet.

    Raises:
        ValueError: There is no such host; it says why.
    """
    if not (given.hosts.strip() or given.error.strip()):
        raise ValueError('expected hosts or an error, such as {"hosts": "web3 | @failed"}')
    meant = _meant(given, fleet, rows)
    chosen = [row for row in meant if _may(given, row)]
    if not chosen:
        raise ValueError(f"{_named(meant)} {_WHY[given.action]}")
    if len(chosen) > MOST:
        raise ValueError(f"{len(chosen)} hosts are meant; at most {MOST} at a time")
    counted = [row for row in chosen if not row.pending]
    return Steered(
        hosts=tuple(
            SteeredHost(host=row.host, turn=row.turns, wave=row.wave, batch=row.batch)
            for row in chosen
        ),
        failures=sum(Ended(row.outcome, row.was_broken).failed for row in counted if row.outcome),
        unreachable=sum(_away(row) and not _now(given, row) for row in counted),
        unreachable_again=sum(_away(row) and row.pending for row in chosen),
    )


_WHY = {
    "skip": "cannot be skipped: only hosts without a turn, or that could not be reached",
    "retry": "cannot be retried: only hosts that failed, were skipped, or could not be reached, "
    "once for each turn; one that is unreachable in a batch that runs is tried again at its end, "
    "or can be retried after it",
}


def _meant(given: SteeringInput, fleet: Fleet, rows: Sequence[Row]) -> list[Row]:
    found = list(rows)
    if given.hosts.strip():
        names = {host.name for host in select(fleet.hosts, given.hosts, _marks(rows))}
        found = [row for row in found if row.host in names]
    if wanted := given.error.split():
        groups = Counter(row.signature.title for row in rows if row.error)
        found = [r for r in found if r.error and r.signature.title.split()[: len(wanted)] == wanted]
        if not found:
            known = ", ".join(f"{title} ({count})" for title, count in groups.most_common(5))
            raise ValueError(f"no host has {given.error!r}; errors are: {known or 'none'}")
    if not found:
        raise ValueError(f"{given.hosts!r} names no host of this deployment")
    return found


def _marks(rows: Iterable[Row]) -> dict[str, frozenset[str]]:
    bad = [r.host for r in rows if r.outcome and (r.outcome.failure or _away(r))]
    old = [row.host for row in rows if not (row.outcome and row.outcome.good)]
    return {"@failed": frozenset(bad), "@outdated": frozenset(old)}


def _may(given: SteeringInput, row: Row) -> bool:
    if given.action == "skip":
        return row.outcome in _SKIPPED
    if row.outcome is None or row.outcome.good or row.pending:
        return False
    return not (_away(row) and _now(given, row))


def _now(given: SteeringInput, row: Row) -> bool:
    return (row.wave, row.batch) in ((given.wave, given.batch), *given.beside)


def _away(row: Row) -> bool:
    return row.outcome is Outcome.UNREACHABLE


def _named(rows: Sequence[Row]) -> str:
    ends = Counter(str(row.outcome or "pending") for row in rows)
    told = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    return f"{some([row.host for row in rows])} ({told})"
