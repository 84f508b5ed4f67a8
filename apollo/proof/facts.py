"""What the rows say of a deployment, read without any of the code that planned it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import combinations
from typing import Any

from apollo.catalog.evidence import Evidence
from apollo.proof.pasts import LAST, Past, Span, pasts_of
from apollo.proof.sums import Allowed, allowed, budget, is_share
from apollo.proof.turns import FAILED, Turn, turn_of


@dataclass(frozen=True)
class Word:
    """Something that was said to the deployment."""

    at: datetime
    action: str
    by: str
    reason: str
    told: str


@dataclass(frozen=True)
class Machine:
    """A host of the fleet as it was applied."""

    name: str
    location: str
    role: str | None


_ONE_WAVE = {"waves": [{"share": "100%"}], "on_failure": "halt"}
_OTHERWISE: Mapping[str, Mapping[str, Any]] = {
    "sync": {"approval": False, "windows": (), "freezes": {}},
    "rollback": {"approval": False, "windows": (), "freezes": {}, "alarms": ()},
}
_STRATEGY: Mapping[str, Mapping[str, Any]] = {
    "sync": _ONE_WAVE,
    "restart": {"on_failure": "halt"},
    "rollback": _ONE_WAVE,
}
"""What is not as applied. A sync and a rollback of its own are one wave without gates."""


class Facts:
    """A deployment's rows, in the words of the rules."""

    def __init__(self, rows: Evidence) -> None:
        self.rows = rows
        deployment = rows.deployment
        self.label = f"{deployment['application']}/{deployment['environment']}"
        self.number: int = deployment["number"]
        self.label += f"#{self.number}"
        self.kind: str = deployment["kind"]
        self.state: str = deployment["state"]
        self.detail: str = deployment["detail"]
        self.opened: datetime = deployment["opened_at"]
        self.ended: datetime | None = deployment["ended_at"]
        self.request: Mapping[str, Any] = deployment["request"] or {}
        self.plan: Mapping[str, Any] | None = deployment["plan"]
        applied = rows.applied[0]["spec"] if rows.applied else {}
        self.spec: Mapping[str, Any] = {**applied, **_OTHERWISE.get(self.kind, {})}
        strategy = {**applied.get("strategy", {}), **_STRATEGY.get(self.kind, {})}
        if self.kind == "rollback":
            strategy["order"] = list(reversed(strategy.get("order", ())))
            strategy["max_unavailable"] = strategy.get("rollback_max_unavailable", "33%")
        self.strategy: Mapping[str, Any] = strategy
        counted = {row["host"]: row["turns"] for row in rows.hosts if row["phase"] == "forward"}
        self.forward = [turn_of(row) for row in rows.hosts if row["phase"] == "forward"]
        self.back = [
            turn_of(row, counted.get(row["host"], 0))
            for row in rows.hosts
            if row["phase"] == "rollback"
        ]

    @property
    def turns(self) -> list[Turn]:
        """Forward and back."""
        return [*self.forward, *self.back]

    @cached_property
    def went(self) -> dict[str, Turn]:
        """The way forward of each host."""
        return {turn.host: turn for turn in self.forward}

    @cached_property
    def fleet(self) -> dict[str, Machine]:
        """The hosts of the environment."""
        hosts = self.spec.get("fleet", {}).get("hosts", ())
        return {
            host["name"]: Machine(
                host["name"], host["location"], host.get("labels", {}).get("role")
            )
            for host in hosts
        }

    @cached_property
    def sizes(self) -> dict[str, int]:
        """How many hosts each location has; those that were planned all count."""
        counts: dict[str, int] = {}
        places = {turn.host: turn.location for turn in self.turns}
        places |= {each.name: each.location for each in self.fleet.values()}
        for place in places.values():
            counts[place] = counts.get(place, 0) + 1
        return counts

    @cached_property
    def gone(self) -> dict[str, datetime]:
        """Since when hosts have been missing in the inventory."""
        found: dict[str, datetime] = {}
        for row in self.rows.applied[1:]:
            names = {host["name"] for host in row["spec"].get("fleet", {}).get("hosts", ())}
            for name in self.fleet:
                if name in names:
                    found.pop(name, None)
                else:
                    found.setdefault(name, row["applied_at"])
        return found

    def missing(self, host: str) -> Span:
        """Since when nobody misses it."""
        return Span(self.gone.get(host, LAST), LAST)

    @cached_property
    def pasts(self) -> dict[str, Past]:
        """What each host was meanwhile."""
        return pasts_of(self.rows.history)

    def past(self, host: str) -> Past:
        """What a host was meanwhile."""
        return self.pasts.get(host, Past())

    @cached_property
    def words(self) -> list[Word]:
        """What was said, the oldest first."""
        return [
            Word(
                at=row["at"],
                action=row["action"],
                by=row["identity"],
                reason=row["reason"],
                told=str((row["detail"] or {}).get("detail", "")),
            )
            for row in self.rows.audit
        ]

    def said(self, *actions: str) -> list[Word]:
        """The words of that kind."""
        return [word for word in self.words if word.action in actions]

    def resumed(self, begin: datetime, end: datetime) -> bool:
        """Whether hosts may have been loaded anew in between: that changes their order."""
        return any(begin <= word.at <= end for word in self.said("resume"))

    @property
    def granted(self) -> datetime | None:
        """Since when it had the lease."""
        ms = self.rows.deployment["granted_ms"]
        return datetime.fromtimestamp(ms / 1000, UTC) if ms else None

    def always_a_lane(self, turn: Turn) -> bool:
        """Where hosts go back, each location has a lane even without room."""
        return turn.back or self.kind == "rollback"

    @cached_property
    def abreast(self) -> set[tuple[str, int, int]]:
        """Batches that ran beside others of their wave: each had only its share."""
        spans: dict[tuple[str, int, int], Span] = {}
        for turn in self.turns:
            if turn.began and turn.ended:
                own = spans.get(turn.in_batch, Span(turn.began, turn.ended))
                spans[turn.in_batch] = Span(min(own.begin, turn.began), max(own.end, turn.ended))
        found: set[tuple[str, int, int]] = set()
        for one, other in combinations(sorted(spans), 2):
            if one[:2] == other[:2] and spans[one].meets(spans[other]):
                found |= {one, other}
        return found

    @property
    def overridden(self) -> bool:
        """It keeps to no window and waits for no approval."""
        return bool(str(self.request.get("override", "")).strip())

    @property
    def one_location(self) -> bool:
        """One location after the other."""
        return self.strategy.get("spread") == "one_location_at_a_time"

    @property
    def failures_allowed(self) -> int:
        """How many hosts may fail."""
        return budget(self.strategy.get("max_failures"), len(self.forward))

    @cached_property
    def failures(self) -> list[Turn]:
        """Forward turns that use the budget: a host that was broken and still is uses none."""
        return [turn for turn in self.forward if uses_budget(turn)]

    @cached_property
    def idle_places(self) -> set[str]:
        """The locations of hosts that have had no turn: they may have waited all the time."""
        return {turn.location for turn in self.turns if not turn.had}

    def group(self, turn: Turn) -> int:
        """The number of its role in `order`."""
        order = list(self.strategy.get("order", ()))
        return order.index(turn.role) if turn.role in order else len(order)

    @cached_property
    def paces(self) -> list[tuple[datetime, Allowed]]:
        """What words about the pace have allowed, since they were recorded."""
        return [
            (word.at, allowed(word.told, self.sizes))
            for word in self.said("pace")
            if is_share(word.told)
        ]

    def share(self, phase: str) -> Allowed:
        """What was applied."""
        return self._shares[phase]

    @cached_property
    def _shares(self) -> dict[str, Allowed]:
        back = str(self.strategy.get("rollback_max_unavailable", "33%"))
        forward = str(self.strategy.get("max_unavailable", "25%"))
        return {
            "forward": allowed(forward, self.sizes),
            "rollback": allowed(back, self.sizes),
        }


def uses_budget(turn: Turn) -> bool:
    """Rule 5: which failures count."""
    still_broken = turn.was_broken and turn.outcome in ("broken", "lost")
    return turn.outcome in FAILED and not (still_broken or turn.due)


def last_end(turns: list[Turn]) -> datetime | None:
    """When the last of these turns was surely under way; none when nobody can tell."""
    ends = [turn.surely_ended for turn in turns if turn.had]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def first_begin(turns: list[Turn]) -> datetime | None:
    """When the first of these turns began, of those that are known."""
    return min((turn.began for turn in turns if turn.began), default=None)


def seconds(span: timedelta) -> str:
    """`1.5s`."""
    return f"{span.total_seconds():.1f}s"
