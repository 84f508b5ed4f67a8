"""The table of what was measured, and the targets that it is held against."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.scale.measure import Measured

EVENTS_PER_HOST = 4.5
DENSE = 10_000
"""Hosts from which on ends come so densely that hosts are not waited for."""
HISTORY = 4_000
PAYLOAD = 256 * 1024
SHARE = 0.6
NOISE = 1.1
"""How much more memory for each host counts as the same."""
SMALL, LARGE = 1_000, 10_000
PLAN_HOSTS = 100_000
PLAN_SECONDS = 10.0


@dataclass(frozen=True)
class Target:
    """Something that must hold."""

    what: str
    found: str
    met: bool


def targets(runs: Sequence[Measured], planned: float | None) -> list[Target]:
    """What must hold of these runs, and of the seconds that planning took."""
    found: list[Target] = []
    for run in runs:
        found += _of_one(run)
    for size in sorted({run.hosts for run in runs if run.hosts >= DENSE}):
        found.append(rate_target([run.dense_share for run in runs if run.hosts == size], size))
    by_size = {run.hosts: run for run in runs}
    if SMALL in by_size and LARGE in by_size:
        small, large = by_size[SMALL], by_size[LARGE]
        for process in small.memory:
            before, after = small.per_host(process), large.per_host(process)
            what = f"{process}: memory for each host no more at {LARGE} hosts than at {SMALL}"
            shown = f"{before / 1024:.1f} → {after / 1024:.1f} KiB"
            found.append(Target(what, shown, after <= before * NOISE))
    if planned is not None:
        what = f"a plan of {PLAN_HOSTS} hosts in less than {PLAN_SECONDS:g} s"
        found.append(Target(what, f"{planned:.1f} s", planned < PLAN_SECONDS))
    return found


def rate_target(shares: Sequence[float], hosts: int) -> Target:
    """The same program differs by some points from run to run: hence the median."""
    what = f"{hosts} hosts: at least {SHARE:.0%} of the rate of empty activities, in the middle"
    middle, each = statistics.median(shares), ", ".join(f"{share:.0%}" for share in shares)
    return Target(what, f"{middle:.0%} (the median of {each})", middle >= SHARE)


def _of_one(run: Measured) -> list[Target]:
    def target(what: str, found: str, met: bool) -> Target:
        return Target(f"{run.hosts} hosts: {what}", found, met)

    weight, ended = run.weight, sum(run.result.outcomes.values())
    found = [
        target("each has an outcome", str(ended), ended == run.hosts),
        target(
            f"no history over {HISTORY} events",
            str(weight.largest_history),
            weight.largest_history <= HISTORY,
        ),
        target(
            f"no payload over {PAYLOAD // 1024} KiB",
            f"{weight.largest_payload / 1024:.0f} KiB, {weight.heaviest}",
            weight.largest_payload <= PAYLOAD,
        ),
    ]
    if run.hosts >= DENSE:
        events = run.events
        what = f"at most {EVENTS_PER_HOST} events each"
        found.append(target(what, f"{events:.2f}", events <= EVENTS_PER_HOST))
    return found


COLUMNS: dict[str, Callable[[Measured], str]] = {
    "hosts": lambda run: f"{run.hosts:,}",
    "hosts/s": lambda run: f"{run.rate:.1f}",
    "empty activities/s": lambda run: f"{run.idle_rate:.1f}",
    "processors left by others": lambda run: f"{run.passed.free:.0%} ({_left(run):.0%})",
    "a piece of work, ms": lambda run: f"{1000 * run.passed.piece:.2f} ({1000 * _piece(run):.2f})",
    "share": lambda run: f"{run.share:.0%}",
    "in its middle": lambda run: f"{run.weight.dense:.1f}, {run.dense_share:.0%}",
    "processor, ms per host": lambda run: f"{1000 * run.cost:.1f} ({1000 * run.idle_cost:.1f})",
    "events per host": lambda run: f"{run.events:.2f}",
    "largest history": lambda run: f"{run.weight.largest_history:,}",
    "largest payload": lambda run: f"{run.weight.largest_payload:,}",
    "control worker": lambda run: _memory(run, "control"),
    "host worker": lambda run: _memory(run, "hosts"),
    "server": lambda run: _memory(run, "server"),
    "catalog": lambda run: f"{run.catalog / 1e6:.1f} MB",
}


def _left(run: Measured) -> float:
    return statistics.fmean(each.passed.free for each in run.idle)


def _piece(run: Measured) -> float:
    return statistics.fmean(each.passed.piece for each in run.idle)


def _memory(run: Measured, process: str) -> str:
    """The peak, and the processor's time for each host; for each empty activity."""
    spent, idle = 1000 * run.spent[process] / run.hosts, 1000 * run.idle_spent(process)
    return f"{run.memory[process].peak / 1e6:.0f} MB, {spent:.1f} ({idle:.1f}) ms"


def heading() -> str:
    """The table's head, in Markdown."""
    return "\n".join((_row(COLUMNS), _row("--:" for _ in COLUMNS)))


def row(run: Measured) -> str:
    """A line of the table."""
    return _row(show(run) for show in COLUMNS.values())


def _row(cells: "Sequence[str] | object") -> str:
    return f"| {' | '.join(cells)} |"  # type: ignore[arg-type]
