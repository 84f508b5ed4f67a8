"""What applying would change, as a terminal and as JSON show it."""

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from apollo.cli.differences import Change, Difference
from apollo.cli.render.terminal import Cell, columns, count
from apollo.files.mistakes import one_line

_MOST = 40
_WIDEST = 60


def render_difference(difference: Difference) -> Iterator[Cell]:
    """The environment, and one line for each field that changes."""
    label = difference.wanted.label
    if not difference.revision:
        fleet = difference.wanted.fleet
        places = count(len(fleet.locations()), "location")
        yield Text(f"+ {label}: new, {count(len(fleet.hosts), 'host')} in {places}", style="green")
    elif difference.same:
        yield f"= {label}: as it is applied (revision {difference.revision})"
    else:
        changed = count(len(difference.changes), "change")
        yield Text(f"~ {label}: {changed} from revision {difference.revision}", style="yellow")
        shown = difference.changes[:_MOST]
        yield from columns([_row(change) for change in shown], indent="    ")
        if more := len(difference.changes) - len(shown):
            yield f"    and {more} more; --json shows all"


def _row(change: Change) -> tuple[Cell, Cell]:
    sign, style = "~", "yellow"
    if change.before is None:
        sign, style = "+", "green"
    elif change.after is None:
        sign, style = "-", "red"
    return Text(f"{sign} {one_line(change.path)}", style=style), _values(change)


def _values(change: Change) -> str:
    texts = [each for each in (change.before, change.after) if each is not None]
    if any("\n" in text for text in texts):
        return " → ".join(count(len(text.splitlines()), "line") for text in texts)
    return " → ".join(_short(text) for text in texts)


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"


def difference_json(difference: Difference, revision: int | None) -> dict[str, Any]:
    """An environment's difference, and the revision that it has after applying, if it was."""
    return {
        "environment": difference.wanted.label,
        "revision_before": difference.revision or None,
        "revision": revision,
        "hosts": len(difference.wanted.fleet.hosts),
        "changes": [vars(change) for change in difference.changes],
    }
