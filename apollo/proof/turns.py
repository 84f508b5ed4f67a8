"""Turns as the rows tell them: when they began and ended, and what they did to their hosts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

CLOCKS = timedelta(seconds=1)
"""How far the clocks of workers, the catalog and Temporal may be apart."""
GOOD = frozenset({"updated", "current"})
FAILED = frozenset({"reverted", "broken", "lost"})
OUT = frozenset({"broken", "lost", "unreachable"})
CHANGED = frozenset({"updated", "reverted", "broken", "lost"})
NO_TURN = frozenset({"skipped", "not_started"})
ALL = GOOD | FAILED | OUT | NO_TURN | {"rolled_back"}
_HOOKS = ("install", "stop", "start", "validate")
_COPIED = (
    *("host", "phase", "order", "wave", "batch", "location", "role", "was_out", "was_broken"),
    *("check_only", "manifest", "ran", "outcome", "error"),
)


@dataclass(frozen=True)
class Step:
    """A step of a turn, as the host's journal had it."""

    name: str
    exit: int | None
    seconds: float
    times: int

    @property
    def kind(self) -> str:
        """`undo-start.2` is `undo-start`: the second of several hooks."""
        return self.name.partition(".")[0]

    @property
    def hook(self) -> str:
        """The hook's name where it is one; Apollo's own steps may be repeated without harm."""
        name = self.kind.removeprefix("undo-")
        return name if name in _HOOKS else ""


@dataclass(frozen=True)
class Turn:
    """A host in a phase of the deployment, and its last turn there."""

    host: str
    phase: str
    order: int
    wave: int
    batch: int
    location: str
    role: str | None
    was_out: bool
    was_broken: bool
    check_only: bool
    manifest: str | None
    previous: str | None
    ran: str | None
    outcome: str | None
    error: str
    first: bool
    """It is the only turn of this phase: of those before it only the number is left."""
    asked: bool
    """Somebody asked for another turn: what it was before is taken back."""
    due: bool
    """It has not had that other turn."""
    attempts: int
    began: datetime | None
    ended: datetime | None
    recorded: datetime | None
    steps: tuple[Step, ...]

    @property
    def back(self) -> bool:
        """It is of the rollback."""
        return self.phase == "rollback"

    @property
    def in_batch(self) -> tuple[str, int, int]:
        """Phase, wave and batch."""
        return self.phase, self.wave, self.batch

    @property
    def had(self) -> bool:
        """The host has had a turn."""
        return self.outcome is not None and self.outcome not in NO_TURN

    @property
    def surely_ended(self) -> datetime | None:
        """When it was still under way, whatever the clocks say: up to a second before its end."""
        if self.began is None or self.ended is None:
            return None
        return self.ended - min(CLOCKS, (self.ended - self.began) / 2)

    @property
    def hooks(self) -> list[Step]:
        """The steps that are hooks."""
        return [step for step in self.steps if step.hook]

    @property
    def drained(self) -> bool | None:
        """Whether it took the host out of service; none: the rows do not tell."""
        if self.outcome in ("updated", "broken"):
            return True
        if self.outcome in ("current", "unreachable") or not self.had:
            return False
        if self.outcome == "rolled_back":
            return not self.check_only
        activated = any(step.kind != "install" for step in self.steps)
        return activated if self.steps and self.outcome == "reverted" else None


def turn_of(row: Mapping[str, Any], before: int = 0) -> Turn:
    """A row as a turn; `before`: how many turns its host has had in the phase before."""
    record = row["record"] or {}
    began = _moment(record.get("began_at"))
    took = record.get("seconds")
    ended = None if began is None or took is None else began + timedelta(seconds=took)
    return Turn(
        **{name: row[name] for name in _COPIED},
        previous=row["previous_manifest"],
        first=row["turns"] - before == 1,
        asked=row.get("again", 0) > 0,
        due=0 < row["turns"] == row.get("again", 0),
        attempts=record.get("attempts", 1),
        began=began,
        ended=ended,
        recorded=row["ended_at"],
        steps=tuple(map(_step, record.get("steps", ()))),
    )


def _step(given: Mapping[str, Any]) -> Step:
    return Step(
        name=given["name"],
        exit=given.get("exit"),
        seconds=given.get("seconds") or 0,
        times=given.get("times", 1),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
