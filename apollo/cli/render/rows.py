"""A deployment's hosts, counted and grouped: what all its renderings share."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from apollo.catalog.records import HostRow
from apollo.client import Status
from apollo.domain.rollout import Phase
from apollo.domain.signature import Signature
from apollo.domain.status import Outcome


@dataclass(frozen=True)
class WaveCount:
    """How far a wave, or the rollback, has come in each location."""

    title: str
    ended: dict[str, int]
    hosts: dict[str, int]
    failed: int

    @property
    def done(self) -> bool:
        """All its hosts have ended."""
        return sum(self.ended.values()) == sum(self.hosts.values())


def wave_counts(rows: Iterable[HostRow]) -> list[WaveCount]:
    """The waves in order, then the rollback."""
    groups: dict[str, list[HostRow]] = {}
    for row in rows:
        title = f"wave {row.wave}" if row.phase == "forward" else "rollback"
        groups.setdefault(title, []).append(row)
    return [
        WaveCount(
            title=title,
            ended=dict(Counter(row.location for row in group if row.outcome is not None)),
            hosts=dict(Counter(row.location for row in group)),
            failed=sum(row.outcome is not None and row.outcome.failure for row in group),
        )
        for title, group in groups.items()
    ]


def forward(status: Status) -> list[HostRow]:
    """The hosts of the plan, once each."""
    return [row for row in status.rows if row.phase == "forward"]


def failures(status: Status) -> int:
    """How many hosts failed on the way forward."""
    return sum(row.outcome is not None and row.outcome.failure for row in forward(status))


@dataclass(frozen=True)
class ErrorGroup:
    """Hosts whose errors say the same."""

    phase: Phase
    signature: Signature
    rows: list[HostRow]

    @property
    def hosts(self) -> list[str]:
        """Their names."""
        return [row.host for row in self.rows]


def errors(rows: Iterable[HostRow]) -> list[ErrorGroup]:
    """The errors by what they say; the largest group first."""
    groups: dict[tuple[Phase, Signature], list[HostRow]] = {}
    for row in rows:
        if row.error:
            groups.setdefault((row.phase, row.signature), []).append(row)
    found = [ErrorGroup(phase, said, rows) for (phase, said), rows in groups.items()]
    return sorted(found, key=lambda group: len(group.rows), reverse=True)


def outcomes_in_order(outcomes: dict[str, int]) -> list[tuple[str, int]]:
    """The counts in the order of the domain, pending ones last."""
    known = [*map(str, Outcome), "pending"]
    return [(word, outcomes[word]) for word in known if outcomes.get(word)]
