"""Spans as values, and where they go: nowhere, unless somebody exports them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

Kind = Literal["internal", "producer", "consumer"]
Value = str | int | float | bool


@dataclass(frozen=True)
class Span:
    """Something that took its time, with the ids that it has whoever writes it."""

    name: str
    trace: str
    id: str
    parent: str
    began: datetime
    ended: datetime
    sampled: bool | None = None
    """Whether its trace is kept; none: the sampler says so, by the trace's id."""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    failed: str = ""
    """What went wrong, in a few words."""
    kind: Kind = "internal"


class Writer(Protocol):
    """Takes spans away."""

    async def write(self, spans: Sequence[Span]) -> None:
        """Return when they are safe, or it is clear that nobody should wait for that."""

    def keeps(self, trace: str) -> bool:
        """Whether the sampler keeps a trace that nobody has decided on."""


_writers: list[Writer] = []


def writer() -> Writer | None:
    """Who takes spans; none: nobody asked for them."""
    return _writers[-1] if _writers else None


def use(found: Writer) -> None:
    """Write spans there from now on."""
    _writers.append(found)


def forget(found: Writer) -> None:
    """Write no more spans there."""
    _writers.remove(found)


async def write(spans: Sequence[Span]) -> None:
    """Write spans, parents before their children; it never fails, and never takes long."""
    if (found := writer()) and spans:
        await found.write(spans)
