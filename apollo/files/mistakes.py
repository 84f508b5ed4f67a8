"""Mistakes in the files that users write, and how they are told."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypedDict

from apollo import errors

_WIDEST = 100


class Told(TypedDict):
    """What a mistake says besides its place."""

    expected: str
    found: str
    hint: str


@dataclass(frozen=True)
class Mistake:
    """One mistake: where it is, what was expected there, what was found, what to do next.

    Lines and columns count from 1; a file that cannot be read at all has line 0.
    """

    file: str
    line: int
    column: int
    path: str
    expected: str
    found: str
    hint: str
    source_line: str = ""
    width: int = 1

    @property
    def where(self) -> str:
        """`apollo.yaml:41:21`."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def render(self) -> str:
        """The mistake as a terminal shows it: place, source line with a caret, next step."""
        told = one_line(f"expected {self.expected}, found {self.found}")
        lines = [one_line(f"error[invalid-files] {self.where}  {self.path}").rstrip()]
        if self.line:
            source, before, width = _window(self.source_line, self.column - 1, self.width)
            number = str(self.line)
            lines.append(f"  {number} | {source}".rstrip())
            lines.append(f"  {' ' * len(number)} | {' ' * before}{'^' * width} {told}")
        else:
            lines.append(f"  {told}")
        return "\n".join([*lines, f"  {one_line(self.hint)}"])

    def as_json(self) -> dict[str, Any]:
        """The mistake as a JSON object."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class FileWarning:
    """Something that is allowed, but hardly meant."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str

    def render(self) -> str:
        """The warning as a terminal shows it."""
        where = one_line(f"{self.file}:{self.line}:{self.column}  {self.path}").rstrip()
        return f"warning {where}\n  {one_line(self.message)}\n  {one_line(self.hint)}"

    def as_json(self) -> dict[str, Any]:
        """The warning as a JSON object."""
        return dataclasses.asdict(self)


class InvalidFiles(errors.InvalidFiles):
    """All mistakes of all files at once, by file and line; the message tells each of them."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = in_order(mistakes)
        files = list(dict.fromkeys(mistake.file for mistake in self.mistakes))
        count = some(len(self.mistakes), "mistake")
        super().__init__(
            "\n\n".join(mistake.render() for mistake in self.mistakes),
            hint=f"{count} in {', '.join(files)}; nothing was changed.",
        )

    def as_json(self) -> dict[str, Any]:
        """The error as a JSON object."""
        return {
            "error": "invalid-files",
            "mistakes": [mistake.as_json() for mistake in self.mistakes],
            "hint": self.hint,
        }


def in_order(mistakes: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """The mistakes by file (`apollo.yaml` first), line and column; the same place and path once."""
    first: dict[tuple[object, ...], Mistake] = {}
    for mistake in mistakes:
        first.setdefault((mistake.file, mistake.line, mistake.column, mistake.path), mistake)
    return tuple(
        sorted(
            first.values(),
            key=lambda each: (each.file != "apollo.yaml", each.file, each.line, each.column),
        )
    )


def some(count: int, noun: str) -> str:
    """`1 mistake`, `2 mistakes`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def one_line(text: str) -> str:
    """The text without what breaks a line or steers a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def _window(source: str, before: int, width: int) -> tuple[str, int, int]:
    """The part of a line that is shown, the caret's place in it and its width."""
    clean = one_line(source)
    start = max(0, before - _WIDEST // 2) if len(clean) > _WIDEST else 0
    shown = clean[start : start + _WIDEST].rstrip()
    if start + _WIDEST < len(clean):
        shown += "…"
    if start:
        shown, start = f"…{shown}", start - 1
    return shown, before - start, max(1, min(width, len(shown) - (before - start)))
