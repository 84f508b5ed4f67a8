"""What the Temporal UI shows of a running deployment: a short text with waves × locations."""

import re
from collections.abc import Iterable, Mapping, Sequence

from apollo.domain.controls import held_by_windows
from apollo.domain.rollout import LocationCounts, Opened, Progress
from apollo.domain.status import DeploymentState

Rows = list[tuple[str, dict[str, LocationCounts]]]
ALL = "all locations"
TABLE = 6000
"""Characters; a larger table shows its locations summed up. The whole is part of a URL."""
TEXT = 800
SPACE = "\N{NO-BREAK SPACE}"
GAP = SPACE * 3
"""Between columns, which touch in the Temporal UI."""
_MARKUP = re.compile(r"[\\*\[\]{}~!&<]|^[#>+=-]")


def deployment_details(
    opened: Opened,
    state: DeploymentState,
    detail: str,
    progress: Mapping[str, Progress],
    ignored: str = "",
) -> str:
    """Markdown: where the deployment stands, a table of waves × locations, the next words.

    `ignored` is what was said last by a signal, and why it was not heard.
    """
    change = f"{opened.previous_release or 'nothing'} → {opened.release}"
    lines = [f"**{opened.label}** {change}: **{state}**"]
    if opened.override:
        lines.append(f"\nKeeps to no window and waits for no approval: {plain(opened.override)}")
    if detail:
        lines.append(f"\n{plain(detail)}")
    locations = list(opened.locations)
    rows = list(_rows(opened, progress.values()))
    table = _table(rows, locations)
    if len(table) > TABLE:
        table = _table([(title, _all(counts)) for title, counts in rows], [ALL])
    lines += ["", table[:TABLE]]
    if ignored:
        lines.append(f"\n{plain(ignored)}")
    if not state.ended:
        lines.append(f"\n{next_words(_words(state, detail))}")
    return "\n".join(lines)


def next_words(words: Iterable[str]) -> str:
    """What may be said now, and where it is said in the Temporal UI."""
    return f"More Actions → Send an Update: {', '.join(f'`{word}`' for word in words)}"


def columns_of(head: Sequence[str], *rows: Sequence[str]) -> list[str]:
    """The lines of a table, with columns that the Temporal UI keeps apart."""
    lines = [head, *rows]
    cells = [[first, *(f"{GAP}{cell}" for cell in others)] for first, *others in lines]
    texts = [f"| {' | '.join(line)} |" for line in cells]
    return [texts[0], "|:--" * len(head) + "|", *texts[1:]]


def _table(rows: Rows, columns: list[str]) -> str:
    cells = [[title, *(_cell(counts.get(column)) for column in columns)] for title, counts in rows]
    return "\n".join(columns_of(["", *columns], *cells))


def _all(counts: dict[str, LocationCounts]) -> dict[str, LocationCounts]:
    total = LocationCounts()
    for each in counts.values():
        total = _plus(total, each)
    return {ALL: total} if counts else {}


def _plus(a: LocationCounts, b: LocationCounts) -> LocationCounts:
    return LocationCounts(
        ended=a.ended + b.ended,
        failed=a.failed + b.failed,
        unreachable=a.unreachable + b.unreachable,
        out=a.out + b.out,
    )


def _rows(
    opened: Opened, progress: Iterable[Progress]
) -> Iterable[tuple[str, dict[str, LocationCounts]]]:
    seen = list(progress)
    for wave in opened.waves:
        forward = [p for p in seen if p.phase == "forward" and p.wave == wave.number]
        yield f"wave {wave.number} ({wave.hosts} hosts)", _sum(forward)
    if back := [p for p in seen if p.phase == "rollback"]:
        yield "rollback", _sum(back)


def _sum(progress: Iterable[Progress]) -> dict[str, LocationCounts]:
    total: dict[str, LocationCounts] = {}
    for part in progress:
        for location, counts in part.locations.items():
            total[location] = _plus(total.get(location, LocationCounts()), counts)
    return total


def _cell(counts: LocationCounts | None) -> str:
    if counts is None:
        return "·"
    parts = [f"{counts.ended} ended"]
    parts += [f"{counts.failed} failed"] if counts.failed else []
    parts += [f"{counts.unreachable} unreachable"] if counts.unreachable else []
    parts += [f"{counts.out} out"] if counts.out else []
    return ", ".join(parts)


def _words(state: DeploymentState, detail: str) -> list[str]:
    if held_by_windows(state, detail):
        return ["pause", "abort", "rollback"]
    if state is DeploymentState.PAUSED:
        return ["resume", "pace", "skip", "retry", "rollback", "abort"]
    if state is DeploymentState.AWAITING:
        return ["approve", "abort"]
    if state is DeploymentState.ROLLING_BACK:
        return ["pause", "pace", "abort"]
    return ["pause", "pace", "skip", "retry", "rollback", "abort"]


def plain(text: str) -> str:
    """Text from hosts and people must not become markup, nor fill the page."""
    line = " ".join(text.split())
    line = line if len(line) <= TEXT else f"{line[:TEXT]}…"
    line = line.replace("|", "¦").replace("`", "'")
    return _MARKUP.sub(r"\\\g<0>", line)
