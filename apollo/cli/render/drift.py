"""How hosts compare with the current release, as a terminal and as JSON show it."""

from collections.abc import Iterator, Sequence
from typing import Any

from apollo.cli.render.marks import Mark
from apollo.cli.render.terminal import SCHEMA, Cell, columns
from apollo.domain.sync import Drift, Finding, Found
from apollo.files.mistakes import one_line

_MARKS = {
    Finding.CURRENT: Mark("✔", "current", "green"),
    Finding.NEW: Mark("·", "new", "yellow"),
    Finding.MISSED: Mark("!", "missed", "yellow"),
    Finding.DRIFTED: Mark("!", "drifted", "yellow"),
    Finding.UNREACHABLE: Mark("?", "unreachable", "yellow"),
    Finding.OPEN: Mark("…", "open case", "cyan"),
    Finding.FAILED: Mark("✘", "failed", "red"),
    Finding.DISABLED: Mark("-", "disabled", "yellow"),
    Finding.GONE: Mark("-", "gone"),
}


def render_drift(drift: Drift, label: str) -> Iterator[Cell]:
    """One line for each host, and how many there are of each kind."""
    yield f"{label}  {drift.release or 'no release yet'}"
    if drift.skipped:
        yield f"  {drift.skipped}"
        return
    rows: list[Sequence[Cell]] = [("HOST", "FOUND", "RUNS", "DEPLOYMENT", "")]
    rows += [_row(each, label) for each in drift.found]
    if drift.found:
        yield from columns(rows, indent="  ")
    counts = (f"{_MARKS[Finding(word)].word} {number}" for word, number in drift.counts.items())
    yield f"  {'   '.join(counts)}"


def _row(found: Found, label: str) -> tuple[Cell, ...]:
    return (
        found.host,
        _MARKS[found.finding].text(),
        one_line(found.runs) or "-",
        f"{label}#{found.number}" if found.number else "-",
        one_line(found.why),
    )


def drift_json(drift: Drift, label: str) -> dict[str, Any]:
    """The same as a JSON document."""
    return {
        "schema": SCHEMA,
        "environment": label,
        "current": drift.fine,
        **drift.model_dump(mode="json", exclude={"revision"}),
    }
