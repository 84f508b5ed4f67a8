"""Where output goes: data to stdout, talk to stderr; colour only on a terminal."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.text import Text

Cell = str | Text
SCHEMA = 1


def console() -> Console:
    """Where data goes."""
    return Console(highlight=False, markup=False, emoji=False)


def show(lines: Iterable[Cell]) -> None:
    """Print data, line by line."""
    out = console()
    for line in lines:
        out.print(line, soft_wrap=True)


def talk(*lines: Cell) -> None:
    """Print what is said beside the data."""
    err = Console(stderr=True, highlight=False, markup=False, emoji=False)
    for line in lines:
        err.print(line, soft_wrap=True)


def show_json(document: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def show_line(document: Any) -> None:
    """Print one JSON document as a line of a stream."""
    print(json.dumps(document, ensure_ascii=False, default=str), flush=True)


def on_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def columns(rows: Iterable[Sequence[Cell]], indent: str = "") -> list[Text]:
    """Rows as lines whose cells stand below each other; nothing is cut off."""
    table = [[_text(cell) for cell in row] for row in rows]
    widths: list[int] = []
    for row in table:
        for place, cell in enumerate(row):
            widths[place : place + 1] = [max([*widths[place : place + 1], cell.cell_len])]
    lines = []
    for row in table:
        line = Text(indent)
        for place, cell in enumerate(row):
            line.append_text(cell)
            if place + 1 < len(row):
                line.append(" " * (widths[place] - cell.cell_len + 2))
        line.rstrip()
        lines.append(line)
    return lines


def moment(at: datetime | None) -> str:
    """A time in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else "-"


def clock(span: timedelta) -> str:
    """A span of time as people read it: `13m02s`, `1h04m`."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"


def count(number: int, word: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {word}{'s' * (number != 1)}"


def names(words: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)
