"""Hosts' SSH keys, as a terminal and as JSON show them."""

from collections.abc import Iterator, Sequence
from typing import Any

from apollo.cli.render.marks import Mark
from apollo.cli.render.terminal import Cell, columns
from apollo.domain.keys import Scanned
from apollo.files.mistakes import one_line

_MARKS = {
    "new": Mark("+", "new", "yellow"),
    "known": Mark("✔", "known", "green"),
    "certified": Mark("✔", "certified", "green"),
    "changed": Mark("✘", "changed", "red"),
    "unreachable": Mark("?", "unreachable", "red"),
}


def render_keys(scanned: Sequence[Scanned]) -> Iterator[Cell]:
    """One line for each host: whether its key is known, and its fingerprint."""
    rows: list[Sequence[Cell]] = [
        (
            each.host,
            f"{each.address}:{each.port}",
            _MARKS[each.found].text(),
            each.line.split()[0] if each.line else "",
            each.fingerprint or one_line(each.message),
        )
        for each in scanned
    ]
    yield from columns(rows)


def scanned_json(scanned: Scanned, *, trusted: bool) -> dict[str, Any]:
    """A host's key as a JSON object."""
    return {
        "host": scanned.host,
        "address": scanned.address,
        "port": scanned.port,
        "found": scanned.found,
        "key": scanned.line or None,
        "fingerprint": scanned.fingerprint or None,
        "message": scanned.message,
        "trusted_now": trusted,
    }
