"""Who a span is. Its id is derived from what it tells of: whoever writes it writes the same span.

That is why neither a replay nor an attempt that takes over from a killed worker doubles one, and
why a span may name a parent that somebody else will write later.
"""

import hashlib
import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$")


@dataclass(frozen=True)
class Trace:
    """The trace of one deployment: its own, or that of whoever has asked for it."""

    id: str
    parent: str = ""
    """The span that asked for the deployment; empty: nobody traced that."""
    sampled: bool | None = None
    """Whether it is kept; none: the sampler says so, by the trace's id."""

    @classmethod
    def of(cls, workflow_id: str, traceparent: str = "") -> "Trace":
        """The trace of the deployment that this workflow carries out.

        >>> Trace.of("deployment/shop/prod/1", f"00-{'a' * 32}-{'b' * 16}-01").parent
        'bbbbbbbbbbbbbbbb'
        """
        return parse_traceparent(traceparent) or cls(derived_trace(workflow_id))


def parse_traceparent(text: str) -> Trace | None:
    """What a W3C `traceparent` says; none when it is not one."""
    found = _TRACEPARENT.fullmatch(text)
    if not found or not int(found[1], 16) or not int(found[2], 16):
        return None
    return Trace(found[1], found[2], sampled=bool(int(found[3], 16) & 1))


def format_traceparent(trace: str, span: str, *, sampled: bool) -> str:
    """The W3C `traceparent` of a span."""
    return f"00-{trace}-{span}-{'01' if sampled else '00'}"


def derived_trace(workflow_id: str) -> str:
    """The id of a deployment's own trace."""
    return _digest("trace", workflow_id)[:32]


def client_span(workflow_id: str) -> str:
    """The id of the span of whoever started the workflow."""
    return _digest("client", workflow_id)[:16]


def deployment_span(workflow_id: str) -> str:
    """The id of a deployment's span."""
    return _digest("deployment", workflow_id)[:16]


def batch_span(workflow_id: str, phase: str, wave: int, batch: int) -> str:
    """The id of a batch's span."""
    return _digest("batch", workflow_id, phase, str(wave), str(batch))[:16]


def turn_span(workflow_id: str, host: str, turn: int) -> str:
    """The id of a turn's span; turns of a host are numbered within its deployment."""
    return _digest("turn", workflow_id, host, str(turn))[:16]


def step_span(turn: str, step: str) -> str:
    """The id of the span of a turn's step."""
    return _digest("step", turn, step)[:16]


def share_of(workflow_id: str, host: str) -> float:
    """A number from 0 to 1 that is always the same for this host in this deployment."""
    return int(_digest("share", workflow_id, host)[:13], 16) / 16**13


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()
