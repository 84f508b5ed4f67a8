"""Plain data that knows where each of its parts stands in a file."""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from apollo.files.mistakes import FileWarning, Mistake

Path = tuple[str | int, ...]

REST_OF_LINE = 10_000
"""The width of what does not end on its line."""

_SEEN = re.compile(r"\S")
_PLAIN = re.compile(r"[A-Za-z0-9_@-]+")
_BREAKS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Mark(NamedTuple):
    """A place in a file, counted from 1, and how many columns it covers."""

    line: int
    column: int
    width: int


class Node:
    """A value, its mark, and the nodes and the keys' marks below it."""

    __slots__ = ("children", "data", "keys", "mark")

    def __init__(
        self,
        data: Any,
        mark: Mark,
        children: "dict[str, Node] | list[Node] | None" = None,
        keys: dict[str, Mark] | None = None,
    ) -> None:
        self.data = data
        self.mark = mark
        self.children = children
        self.keys = keys or {}

    def child(self, part: str | int) -> "Node | None":
        """The node below this one under that key or index, if there is one."""
        if isinstance(self.children, dict):
            return self.children.get(str(part))
        if isinstance(self.children, list) and isinstance(part, int):
            return self.children[part] if part < len(self.children) else None
        return None


@dataclass
class Document:
    """A file that was read: `data` without positions, and the place of each path in it."""

    file: str
    text: str
    root: Node = field(default_factory=lambda: Node(None, Mark(1, 1, 1)))
    masked: set[Mark] = field(default_factory=set)
    """Places that must not be shown: what stands where a secret's reference is wanted."""

    def __post_init__(self) -> None:
        self.lines = _BREAKS.split(self.text)

    @property
    def data(self) -> Any:
        """The document as plain data."""
        return self.root.data

    def mark(self, path: Path, *, key: bool = False) -> Mark:
        """Where the value at `path` (or its key) stands; if it is absent, the key above it."""
        node, mark = self.root, Mark(1, 1, 1)
        for depth, part in enumerate(path):
            child = node.child(part)
            if child is None:
                return mark
            valued = depth == len(path) - 1 and not key and child.children is None
            own = child.mark if valued and child.mark.width else None
            mark = own or node.keys.get(str(part), child.mark)
            node = child
        return mark

    def written(self, path: Path) -> str:
        """The text of the scalar at `path`, exactly as it is written."""
        line, column, width = self.mark(path)
        return self.lines[line - 1][column - 1 : column - 1 + width]

    def mistake(
        self, path: Path, *, expected: str, found: str, hint: str, key: bool = False
    ) -> Mistake:
        """A mistake in the value at `path`, or in its key."""
        return self.mistake_at(
            self.mark(path, key=key), path, expected=expected, found=found, hint=hint
        )

    def mistake_at(
        self, mark: Mark, path: Path, *, expected: str, found: str, hint: str
    ) -> Mistake:
        """A mistake at a place that no path leads to."""
        line, column, width = mark
        source = self.shown(line)
        return Mistake(
            self.file, line, column, show(path), expected, found, hint, source, max(1, width)
        )

    def shown(self, line: int) -> str:
        """A line as it may be shown; empty if there is no such line."""
        source = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        for mark in self.masked:
            if mark.line == line:
                start, end = mark.column - 1, min(mark.column - 1 + mark.width, len(source))
                source = source[:start] + _SEEN.sub("*", source[start:end]) + source[end:]
        return source


@dataclass(frozen=True)
class Part:
    """What one model describes: a document, or what lies in it below `base`."""

    document: Document
    base: Path = ()

    def get(self, *path: str | int) -> Any:
        """The plain value at `path`; None if there is none."""
        node: Node | None = self.document.root
        for part in self.base + path:
            node = node.child(part) if node else None
        return node.data if node else None

    def mapping(self, *path: str | int) -> dict[str, Any]:
        """The mapping at `path`; empty if there is none."""
        value = self.get(*path)
        return value if isinstance(value, dict) else {}

    def sequence(self, *path: str | int) -> list[Any]:
        """The list at `path`; empty if there is none."""
        value = self.get(*path)
        return value if isinstance(value, list) else []

    def mistake(
        self, path: Path, *, expected: str, found: str, hint: str, key: bool = False
    ) -> Mistake:
        """A mistake in the value at `path`, or in its key."""
        return self.document.mistake(
            self.base + path, expected=expected, found=found, hint=hint, key=key
        )

    def warning(self, path: Path, message: str, hint: str, *, key: bool = False) -> FileWarning:
        """A warning about the value at `path`, or about its key."""
        line, column, _ = self.document.mark(self.base + path, key=key)
        where = show(self.base + path)
        return FileWarning(self.document.file, line, column, where, message, hint)


def show(path: Path) -> str:
    """A path as users read it: `environments.prod.strategy.waves[1].share`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text
