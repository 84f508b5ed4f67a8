"""A running deployment on a terminal."""

from collections.abc import Iterator

from rich.console import Group
from rich.text import Text

from apollo.catalog.records import HostRow
from apollo.cli.render.history import change, took
from apollo.cli.render.marks import Mark, outcome_mark, state_mark
from apollo.cli.render.rows import WaveCount, failures, forward, wave_counts
from apollo.cli.render.terminal import Cell, columns
from apollo.cli.render.windows import override_line
from apollo.client import Status
from apollo.files.mistakes import one_line

_BAR = 16
_WAVES = 12
_TROUBLES = 5


class Live:
    """What the terminal shows; rendered anew whenever it is asked for, so that time goes on."""

    def __init__(self) -> None:
        self.status: Status | None = None

    def __rich__(self) -> Group:
        if self.status is None:
            return Group(Text("… waiting for a worker to take it up"))
        return Group(*(_cropped(line) for line in _lines(self.status)))


def _cropped(line: Cell) -> Text:
    """A line that stays one where the terminal is narrow."""
    text = Text(line) if isinstance(line, str) else line
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _lines(status: Status) -> Iterator[Cell]:
    yield heading(status)
    if status.deployment.detail:
        yield Text(f"  {one_line(status.deployment.detail)}", style="yellow")
    yield from override_line(status.deployment)
    counts = wave_counts(status.rows)
    done = [each for each in counts if each.done]
    if hidden := max(0, len(done) - 2) if len(counts) > _WAVES else 0:
        yield f"  ✔ {hidden} waves done"
    places = list(dict.fromkeys(row.location for row in forward(status)))
    shown = counts[hidden : hidden + _WAVES]
    yield from columns([_wave(each, places) for each in shown], indent="  ")
    troubles = [row for row in status.rows if row.error]
    for row in troubles[-_TROUBLES:]:
        yield _trouble(row)


def heading(status: Status) -> Text:
    """`shop/prod#7  2.4.0 -> 2.4.1  ⟳ running  wave 3/9  ██░░ 4/23  failed 0/1  13m02s`."""
    deployment = status.deployment
    rows = forward(status)
    ended = sum(row.outcome is not None for row in rows)
    line = Text(f"{deployment.label}  {change(deployment)}  ")
    line.append_text(state_mark(deployment.state).text())
    if rows:
        wave = next((row.wave for row in rows if row.outcome is None), rows[-1].wave)
        line.append(f"  wave {wave}/{rows[-1].wave}  {bar(ended, len(rows))} {ended}/{len(rows)}")
        line.append_text(_failed(status))
    return line.append(f"  {took(deployment)}")


def bar(part: int, whole: int) -> str:
    """`████░░░░`."""
    filled = _BAR * part // whole if whole else 0
    return "█" * filled + "░" * (_BAR - filled)


def _failed(status: Status) -> Text:
    failed = failures(status)
    allowed = (status.deployment.plan or {}).get("failures_allowed", 0)
    return Text(f"  failed {failed}/{allowed}", style="red" if failed else "")


def _wave(counts: WaveCount, places: list[str]) -> tuple[Cell, ...]:
    mark = Mark("·", counts.title)
    if counts.done:
        mark = Mark("✔", counts.title, "green")
    elif counts.ended:
        mark = Mark("⟳", counts.title, "cyan")
    cells = [
        f"{place} {counts.ended.get(place, 0)}/{counts.hosts[place]}"
        if place in counts.hosts
        else ""
        for place in places
    ]
    failed = Text(f"{counts.failed} failed" if counts.failed else "", style="red")
    return mark.text(), *cells, failed


def _trouble(row: HostRow) -> Text:
    what = f"  {row.host} ({row.location}) {row.error} in {row.step}: {one_line(row.message)[:120]}"
    return Text("  ").append_text(outcome_mark(row.outcome).text()).append(what)
