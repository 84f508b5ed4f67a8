"""Turns of hosts: how long they and their steps took."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from statistics import median
from typing import Any

from apollo.catalog.records import HostRow
from apollo.cli.render.history import change
from apollo.cli.render.marks import outcome_mark
from apollo.cli.render.terminal import Cell, clock, columns, moment
from apollo.client import Status
from apollo.domain.turn import Step
from apollo.files.mistakes import one_line

OUTSIDE = "outside"
_SLOWEST = 5
_SLOW_STEPS = 3


def seconds(row: HostRow) -> float | None:
    """How long a host's turn took, all attempts together; none when nobody can tell."""
    if row.record and row.record.seconds is not None:
        return row.record.seconds
    if row.started_at and row.ended_at:
        return max(0.0, (row.ended_at - row.started_at).total_seconds())
    return None


def span(amount: float | None) -> str:
    """`20ms`, `1.2s`, `13m02s`."""
    if amount is None:
        return "-"
    if amount < 1:
        return f"{amount * 1000:.0f}ms"
    return f"{amount:.1f}s" if amount < 60 else clock(timedelta(seconds=amount))


def steps_of(row: HostRow) -> Sequence[Step]:
    """The steps that the host's journal holds."""
    return row.record.steps if row.record else ()


def outside(row: HostRow) -> float | None:
    """How long a turn took beside its steps: connecting, transfer, drain, health checks."""
    took = seconds(row)
    if took is None:
        return None
    return max(0.0, took - sum(step.seconds or 0 for step in steps_of(row)))


def step_words(row: HostRow) -> str:
    """`stop 1.3s, start exit 3 2.0s, outside 8.1s`: what took long, and what failed."""
    steps = steps_of(row)
    slow = sorted((step.seconds or 0 for step in steps), reverse=True)[:_SLOW_STEPS]
    least = slow[-1] if slow else 0
    words = [_step(each) for each in steps if each.exit or (each.seconds or 0) >= least]
    if steps and (rest := outside(row)) is not None:
        words.append(f"{OUTSIDE} {span(rest)}")
    return ", ".join(words)


def _step(step: Step) -> str:
    bad = f" exit {step.exit}" if step.exit else ""
    again = f" ×{step.times}" if step.times > 1 else ""
    return f"{step.name}{bad}{again} {span(step.seconds)}"


def render_slowest(rows: Sequence[HostRow]) -> Iterator[Cell]:
    """The slowest hosts, and for each step how long it took typically and at the most."""
    timed = [(took, row) for row in rows if (took := seconds(row)) is not None]
    slowest = sorted(timed, key=lambda each: -each[0])[:_SLOWEST]
    if slowest:
        yield "slowest hosts"
        yield from columns(
            [(row.host, row.location, span(took), step_words(row)) for took, row in slowest],
            indent="  ",
        )
    by_step: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        for name, took in _parts(row):
            by_step.setdefault(name, []).append((took, row.host))
    if by_step:
        table = [("step", "hosts", "median", "slowest", "on")]
        for name, found in sorted(by_step.items(), key=lambda item: item[0] == OUTSIDE):
            worst, host = max(found)
            middle = median(amount for amount, _ in found)
            table.append((name, str(len(found)), span(middle), span(worst), host))
        yield from columns(table, indent="  ")


def _parts(row: HostRow) -> Iterator[tuple[str, float]]:
    """What a turn's time was spent on."""
    for step in steps_of(row):
        if step.seconds is not None:
            yield step.name, step.seconds
    if steps_of(row) and (rest := outside(row)) is not None:
        yield OUTSIDE, rest


def render_host(status: Status) -> Iterator[Cell]:
    """Everything about the one host whose rows these are."""
    deployment = status.deployment
    yield f"{deployment.label}  {change(deployment)}"
    for row in status.rows:
        yield ""
        yield from _turn(row)


def _turn(row: HostRow) -> Iterator[Cell]:
    where = f"wave {row.wave}" if row.phase == "forward" else "rollback"
    yield outcome_mark(row.outcome).text(f"  {row.host} ({row.location}), {where}")
    record = row.record
    facts = [("began", moment(row.started_at)), ("took", span(seconds(row)))]
    facts += [("turns", str(row.turns))]
    if record:
        facts += [("attempts", str(record.attempts))]
        facts += [("attached to", ", ".join(row.attached))] if row.attached else []
        facts += [("runs", record.release or (record.manifest or "nothing")[:12])]
    facts += [("ran before", row.previous_release or "nothing")]
    yield from columns(facts, indent="  ")
    if steps := steps_of(row):
        table = [("step", "exit", "took", "times")]
        for each in steps:
            code = "-" if each.exit is None else str(each.exit)
            table.append((each.name, code, span(each.seconds), str(each.times)))
        yield from columns(table, indent="  ")
    if row.error:
        yield f"  error[{row.error}] in {row.step}: {one_line(row.message)}"
    if record:
        yield from (
            f"  {word}: {one_line(text)}"
            for word, text in (("left", record.left), ("next", record.hint), ("note", record.note))
            if text
        )
        yield from (f"    {one_line(line)}" for line in record.output.strip().splitlines())


def turn_json(row: HostRow) -> dict[str, Any]:
    """A host's turn with its steps."""
    record = row.record
    keep = {"host", "location", "role", "phase", "wave", "batch", "outcome", "error", "step"}
    keep |= {"message", "turns", "attached", "previous_release", "started_at", "ended_at"}
    return {
        **row.model_dump(mode="json", include=keep),
        "seconds": seconds(row),
        "attempts": record.attempts if record else None,
        "release": record.release if record else None,
        "steps": [each.model_dump(mode="json") for each in steps_of(row)],
        "left": record.left if record else "",
        "hint": record.hint if record else "",
        "output": record.output if record else "",
    }
