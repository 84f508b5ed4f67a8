"""What a host was from when until when, as its history tells."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """A time without its last moment."""

    begin: datetime
    end: datetime

    def meets(self, other: "Span") -> bool:
        """Whether they have a time in common."""
        return self.begin < other.end and other.begin < self.end

    def without(self, other: "Span") -> "list[Span]":
        """What is left of it."""
        left = Span(self.begin, min(self.end, other.begin))
        right = Span(max(self.begin, other.end), self.end)
        return [span for span in (left, right) if span.begin < span.end]


@dataclass(frozen=True)
class Segment:
    """What was known of a host for a while."""

    span: Span
    serving: str
    failed_last: bool
    disabled: bool

    @property
    def out(self) -> bool:
        """It did not serve."""
        return self.disabled or self.serving != "serving"

    @property
    def first(self) -> bool:
        """It has its turn before the others of its wave."""
        return self.out or self.failed_last


_UNKNOWN = Segment(Span(FIRST, LAST), serving="new", failed_last=False, disabled=False)


@dataclass(frozen=True)
class Past:
    """A host's segments, the oldest first. When nothing is known of it, nothing runs there."""

    segments: tuple[Segment, ...] = ()

    def at(self, moment: datetime) -> Segment:
        """What was known of it then."""
        for each in self.segments:
            if each.span.begin <= moment < each.span.end:
                return each
        return _UNKNOWN

    def between(self, begin: datetime, end: datetime) -> list[Segment]:
        """What may have been known of it in that time."""
        changes = {each.span.begin for each in self.segments} | {
            each.span.end for each in self.segments
        }
        moments = [begin, *sorted(each for each in changes if begin < each <= end)]
        return [self.at(moment) for moment in moments]

    def out(self) -> list[Span]:
        """When it did not serve."""
        spans, since = [], FIRST
        for each in self.segments:
            if not each.out:
                spans.append(Span(since, each.span.begin))
                since = each.span.end
        return [span for span in (*spans, Span(since, LAST)) if span.begin < span.end]

    def disabled(self) -> list[Span]:
        """When nobody was to touch it, whatever else was learnt of it meanwhile."""
        spans: list[Span] = []
        for each in self.segments:
            if each.disabled and spans and spans[-1].end == each.span.begin:
                spans[-1] = Span(spans[-1].begin, each.span.end)
            elif each.disabled:
                spans.append(each.span)
        return spans


def pasts_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Past]:
    """The pasts of all hosts."""
    found: dict[str, list[Segment]] = {}
    for row in rows:
        found.setdefault(row["host"], []).append(
            Segment(
                span=Span(row["from"], row["until"] or LAST),
                serving=row["serving"],
                failed_last=row["failed_last"],
                disabled=row["disabled_reason"] is not None,
            )
        )
    return {host: Past(tuple(segments)) for host, segments in found.items()}
