"""Findings as a terminal and as JSON show them."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from apollo.cli.render.marks import Mark
from apollo.cli.render.terminal import SCHEMA, Cell, columns, count
from apollo.doctor.finding import Finding

_MARKS = {
    "good": Mark("✔", "good", "green"),
    "note": Mark("!", "note", "yellow"),
    "bad": Mark("✘", "bad", "red"),
}


def render_findings(found: Sequence[Finding]) -> Iterator[Cell]:
    """One line each, and what was expected and is to be done below it."""
    width = max(len(each.what) for each in found)
    for each in found:
        mark = _MARKS[each.grade]
        yield from columns([(Text(mark.symbol, mark.style), each.what.ljust(width), each.found)])
        below = (f"expected: {each.expected}" if each.expected else "", each.hint)
        yield from (f"{' ' * (width + 5)}{line}" for line in below if line)
    wrong = sum(each.grade == "bad" for each in found)
    yield ""
    yield f"{count(wrong, 'thing')} to mend" if wrong else "Nothing to mend"


def findings_json(found: Sequence[Finding]) -> dict[str, Any]:
    """The same, and whether all is well."""
    return {
        "schema": SCHEMA,
        "good": all(each.grade != "bad" for each in found),
        "findings": [
            {
                "what": each.what,
                "grade": each.grade,
                "found": each.found,
                "expected": each.expected or None,
                "next": each.hint or None,
            }
            for each in found
        ],
    }
