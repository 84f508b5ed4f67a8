"""YAML 1.2 read with ruamel.yaml's parser; every value keeps its place.

Nodes are built from the parser's events: inventories of 10,000 hosts are read in half the time
that composing ruamel's own nodes takes, and depth is bounded where it is found.
"""

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from apollo.files.mistakes import Mistake, Told
from apollo.files.positions import REST_OF_LINE, Document, Mark, Node
from apollo.files.scalars import resolve, text_of
from apollo.files.syntax import begins_earlier, syntax_words

_DEEPEST = 50
_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")
_TAGS = (None, *(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null")))


class Unreadable(Exception):
    """A file whose content cannot be read at all: one mistake says why."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.render())
        self.mistake = mistake


def read_text(path: FilePath, file: str) -> Document:
    """Read a text file; `file` is the name that mistakes show.

    Raises:
        Unreadable: The bytes are not UTF-8.
        OSError: The file cannot be read.
    """
    content = path.read_bytes()
    try:
        return Document(file, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        good = Document(file, content[: error.start].decode("utf-8-sig"))
        mark = Mark(len(good.lines), len(good.lines[-1]) + 1, 1)
        raise Unreadable(
            good.mistake_at(
                mark,
                (),
                expected="text in UTF-8",
                found=f"the byte 0x{content[error.start]:02x}",
                hint="Save the file as UTF-8.",
            )
        ) from error


def parse(document: Document) -> list[Mistake]:
    """Parse the document's text into its root; return mistakes that leave the rest readable.

    Raises:
        Unreadable: The syntax is broken.
    """
    builder = _Builder(document)
    try:
        document.root = builder.document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if begins_earlier(str(error.problem)):
            mark = error.context_mark or mark
        place = Mark(mark.line + 1, mark.column + 1, 1) if mark else Mark(1, 1, 1)
        builder.hide(place)
        words = syntax_words(str(error.problem or error.context))
        raise Unreadable(document.mistake_at(place, (), **words)) from error
    except (ValueError, OverflowError) as error:
        words = syntax_words("unknown escape character")
        raise Unreadable(document.mistake_at(builder.place, (), **words)) from error
    except ReaderError as error:
        good = Document("", document.text[: error.position])
        place = Mark(len(good.lines), len(good.lines[-1]) + 1, 1)
        raise Unreadable(
            document.mistake_at(
                place,
                (),
                expected="printable characters",
                found=f"the character U+{error.character:04X}",
                hint="Take the character away, or write it in double quotes with a backslash.",
            )
        ) from error
    return builder.mistakes


class _Builder:
    """Builds nodes from the events of one document."""

    def __init__(self, document: Document) -> None:
        self.mistakes: list[Mistake] = []
        self._document = document
        self._events: Iterator[Any] = iter(YAML(typ="safe", pure=True).parse(document.text))
        self._anchors: dict[str, Node] = {}
        self._path: list[str | int] = []
        self.place = Mark(1, 1, 1)

    def document(self) -> Node:
        next(self._events)
        if type(next(self._events)).__name__ == "StreamEndEvent":
            return Node(None, Mark(1, 1, 1))
        root = self._node(next(self._events), 0)
        next(self._events)
        after = next(self._events)
        if type(after).__name__ != "StreamEndEvent":
            self._stop(after, "one document", "a second one", "Take away what follows `---`.")
        return root

    def _node(self, event: Any, depth: int) -> Node:
        kind = type(event).__name__
        self.place = _mark(event)
        if kind == "AliasEvent":
            return self._alias(event)
        if depth > _DEEPEST:
            deep = f"at most {_DEEPEST} levels"
            self._stop(event, deep, "one more", "Write the values less deeply nested.")
        if kind == "ScalarEvent":
            node = self._scalar(event)
        elif kind == "MappingStartEvent":
            node = self._mapping(event, depth)
        else:
            node = self._sequence(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            name = self._named(event.anchor)
            hint = f"Put text that starts with * in quotes, or write &{name} before its first use."
            self._stop(event, f"an anchor &{name} above", f"*{name} alone", hint)
        return self._anchors[event.anchor]

    def _scalar(self, event: Any) -> Node:
        if event.style is None and event.tag in _TAGS:
            return Node(resolve(event.value), _mark(event))
        if event.tag is not None and event.tag not in _TEXT_TAGS + _TAGS:
            self._tag(event)
        if not event.value.isascii() and _SURROGATE.search(event.value):
            hint = r"Write the character itself, or \UXXXXXXXX with its whole number."
            self._stop(event, "whole characters", "half of a surrogate pair", hint)
        return Node(event.value, _mark(event))

    def _tag(self, event: Any) -> None:
        self._tell(
            event,
            expected="a value without a tag",
            found=f"the tag {self._named(event.tag)}",
            hint="Put text that starts with ! in quotes.",
        )

    def _sequence(self, event: Any, depth: int) -> Node:
        children: list[Node] = []
        node = Node([], _mark(event), children)
        while type(each := next(self._events)).__name__ != "SequenceEndEvent":
            self._path.append(len(children))
            children.append(self._node(each, depth + 1))
            self._path.pop()
        node.data.extend(child.data for child in children)
        return node

    def _mapping(self, event: Any, depth: int) -> Node:
        children: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        merged: list[Node] = []
        while type(each := next(self._events)).__name__ != "MappingEndEvent":
            key = self._key(each)
            self._path.append(key)
            value = self._node(next(self._events), depth + 1)
            if key == "<<" and getattr(each, "style", "") is None:
                merged.extend(self._merged(each, value))
            elif key in children:
                self._twice(each, key, keys[key])
            else:
                children[key], keys[key] = value, _mark(each)
            self._path.pop()
        for source in merged:
            for key, child in source.children.items():  # type: ignore[union-attr]
                children.setdefault(key, child)
                keys.setdefault(key, source.keys[key])
        data = {key: child.data for key, child in children.items()}
        return Node(data, _mark(event), children, keys)

    def _key(self, event: Any) -> str:
        if type(event).__name__ == "ScalarEvent":
            return str(event.value)
        if type(event).__name__ == "AliasEvent" and (key := text_of(self._alias(event).data)):
            return key
        hint = "Put text that holds { or [ in quotes."
        self._stop(event, "a key of plain text", "a list or a mapping", hint)

    def _merged(self, event: Any, value: Node) -> list[Node]:
        nodes = value.children if isinstance(value.children, list) else [value]
        if not all(isinstance(node.children, dict) for node in nodes):
            hint = "Write <<: *NAME, with a mapping that is marked &NAME above."
            self._tell(event, expected="a mapping to merge", found="another value", hint=hint)
            return []
        return nodes

    def _twice(self, event: Any, key: str, first: Mark) -> None:
        self._tell(
            event,
            expected="each key once",
            found=f"{key} again (first in line {first.line})",
            hint="Take one of the two away, or give it another name.",
        )

    def _named(self, text: str) -> str:
        return "…" if "secrets" in self._path else text

    def hide(self, mark: Mark) -> None:
        """Keep a line out of messages if it may hold a secret's value."""
        if "secrets" in self._path or "secrets" in self._document.shown(mark.line):
            self._document.masked.add(Mark(mark.line, 1, REST_OF_LINE))

    def _tell(self, event: Any, expected: str, found: str, hint: str) -> None:
        told = Told(expected=expected, found=found, hint=hint)
        where = tuple(self._path)
        self.hide(_mark(event))
        self.mistakes.append(self._document.mistake_at(_mark(event), where, **told))

    def _stop(self, event: Any, expected: str, found: str, hint: str) -> NoReturn:
        told = Told(expected=expected, found=found, hint=hint)
        where = tuple(self._path)
        self.hide(_mark(event))
        raise Unreadable(self._document.mistake_at(_mark(event), where, **told))


def _mark(event: Any) -> Mark:
    start, end = event.start_mark, event.end_mark
    width = end.column - start.column if end.line == start.line else REST_OF_LINE
    return Mark(start.line + 1, start.column + 1, width)
