"""What hooks printed, as a terminal and as JSON show it."""

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from apollo.catalog.records import StoredOutput
from apollo.cli.render.terminal import Cell
from apollo.cli.render.turn import span
from apollo.domain.logs import LogPart
from apollo.files.mistakes import one_line


def render_output(output: StoredOutput) -> Iterator[Cell]:
    """A step with the end of what it printed."""
    code = "did not end" if output.exit is None else f"exit {output.exit}"
    yield _heading(f"{output.step}  turn {output.turn}, {code}, {span(output.seconds)}")
    yield from _lines(output.text, output.cut)


def render_part(label: str, part: LogPart, *, new: bool) -> Iterator[Cell]:
    """What a step has printed since; `new`: nothing of it was shown just before."""
    if new:
        how = "running" if part.running else f"exit {part.exit}"
        yield _heading(f"{part.step}  {label}, {how}")
    yield from _lines(part.text, part.begin if new else 0)


def _heading(text: str) -> Cell:
    return Text(f"== {text}", style="bold")


def _lines(text: str, missing: int) -> Iterator[Cell]:
    if missing:
        yield Text(f"… {missing} bytes before this are not here", style="dim")
    yield from (Text(one_line(line.expandtabs())) for line in text.splitlines())


def stored_json(output: StoredOutput) -> dict[str, Any]:
    """A step as a JSON object."""
    return output.model_dump(mode="json")


def part_json(label: str, host: str, part: LogPart) -> dict[str, Any]:
    """What came since as a JSON object."""
    return {"deployment": label, "host": host, **part.model_dump(mode="json")}
