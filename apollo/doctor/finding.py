"""What a check has found."""

from dataclasses import dataclass
from typing import Literal

Grade = Literal["good", "note", "bad"]
"""`note`: worth knowing, and nothing that must be mended first."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    grade: Grade
    found: str
    expected: str = ""
    hint: str = ""


def good(what: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(what, "good", found)


def note(what: str, found: str, hint: str = "") -> Finding:
    """It is worth knowing."""
    return Finding(what, "note", found, hint=hint)


def bad(what: str, found: str, expected: str, hint: str) -> Finding:
    """It must be mended."""
    return Finding(what, "bad", found, expected, hint)


def some(names: list[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
