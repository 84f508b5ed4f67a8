"""YAML 1.2 with positions: what is read, and what is said of what cannot be."""

from pathlib import Path
from typing import Any

import pytest

from apollo.files.mistakes import Mistake
from apollo.files.positions import Document, Mark, show
from apollo.files.yaml import Unreadable, parse, read_text


def read(text: str) -> Document:
    document = Document("a.yaml", text)
    assert parse(document) == []
    return document


def mistake(text: str) -> Mistake:
    document = Document("a.yaml", text)
    try:
        (only,) = parse(document)
    except Unreadable as error:
        only = error.mistake
    return only


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 1", {"a": 1}),
        ("a: yes", {"a": "yes"}),
        ("a: True", {"a": True}),
        ("a: ~\nb:", {"a": None, "b": None}),
        ("a: 0x1F\nb: 0o17\nc: 010", {"a": 31, "b": 15, "c": 10}),
        ("a: 1e3\nb: -.5\nc: -.inf", {"a": 1000.0, "b": -0.5, "c": float("-inf")}),
        ("a: 12:30:45\nb: 2024-01-01\nc: 1_0", {"a": "12:30:45", "b": "2024-01-01", "c": "1_0"}),
        ("a: 10.0.0.9\nb: '1'\nc: !!str 1", {"a": "10.0.0.9", "b": "1", "c": "1"}),
        ("a: |\n  x\n  y\nb: >\n  x\n  y\n", {"a": "x\ny\n", "b": "x y\n"}),
        ("1: a\ntrue: b\n~: c", {"1": "a", "true": "b", "~": "c"}),
        ("%YAML 1.1\n---\na: no\n", {"a": "no"}),
        ("{a: [1, {b: c}], d}", {"a": [1, {"b": "c"}], "d": None}),
        ("", None),
        ("# nothing\n", None),
    ],
)
def test_values_are_those_of_the_core_schema_of_yaml_1_2(text: str, data: object) -> None:
    assert read(text).data == data


@pytest.mark.parametrize("written", ["1.10", "010", "1e3", "+5", "0x1F", ".5", "1."])
def test_numbers_keep_the_text_they_were_written_as(written: str) -> None:
    document = read(f"a: {{b: {written}}}")

    assert str(document.data["a"]["b"]) == written
    assert document.written(("a", "b")) == written


def test_anchors_and_merge_keys() -> None:
    text = """\
base: &base {p: 1, q: 2}
more: &more {q: 3, r: 4}
one: {<<: *base, q: 5}
two: {<<: [*base, *more]}
same: *base
"""
    data: dict[str, Any] = read(text).data

    assert data["one"] == {"p": 1, "q": 5}
    assert data["two"] == {"p": 1, "q": 2, "r": 4}
    assert data["same"] == {"p": 1, "q": 2}
    assert read(text).mark(("one", "p")) == Mark(1, 17, 1)


def test_places_count_from_one() -> None:
    document = read("a:\n  b: [x, yy]\n  'c d': |\n    z\n  e:\n")

    assert document.mark(("a",)) == (1, 1, 1)
    assert document.mark(("a", "b", 1)) == (2, 10, 2)
    assert document.mark(("a", "b"), key=True) == (2, 3, 1)
    assert document.mark(("a", "c d"), key=True) == (3, 3, 5)
    assert document.mark(("a", "e")) == (5, 3, 1)
    assert document.mark(("a", "absent", "below")) == (1, 1, 1)
    assert document.mark(()) == (1, 1, 1)


def test_lines_are_counted_as_yaml_counts_them() -> None:
    document = read("a: 1\r\nb: 2\rc: 3\n")

    assert document.mark(("c",)) == (3, 4, 1)
    assert document.mistake(("c",), expected="x", found="y", hint="z").source_line == "c: 3"


@pytest.mark.parametrize(
    ("text", "line", "column", "expected", "found"),
    [
        ("a:\n\tb: 1\n", 2, 1, "spaces", "a tab"),
        ("a:\tb\n", 1, 3, "spaces", "a tab"),
        ("a: b: c\n", 1, 5, "one `key: value` a line", "another ':'"),
        ("a: 1\n b: 2\n", 2, 3, "one `key: value` a line", "another ':'"),
        ("a: 1\nb\nc: 2\n", 2, 1, "`key: value`", "a line without ':'"),
        ("a: [1\nb: 2\n", 2, 2, "',' or ']'", "':'"),
        ("a: {b: 1\n", 2, 1, "',' or '}'", "the end of the file"),
        ("a: 'x\nb: 1\n", 1, 4, "a closing quote", "none up to the end of the file"),
        ("a: @x\n", 1, 4, "a value", "a character with a meaning in YAML"),
        ("a: *.pyc\n", 1, 4, "an anchor &.pyc above", "*.pyc alone"),
        ("a: &a [*a]\n", 1, 8, "an anchor &a above", "*a alone"),
        ("a: !retired=yes\n", 1, 4, "a value without a tag", "the tag !retired=yes"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "each key once", "a again (first in line 1)"),
        ("{a: 1, 'a': 3}\n", 1, 8, "each key once", "a again (first in line 1)"),
        ("? [a]\n: 1\n", 1, 3, "a key of plain text", "a list or a mapping"),
        ("a: {PORT}\n<<: 1\n", 2, 1, "a mapping to merge", "another value"),
        ("a: 1\n---\nb: 2\n", 2, 1, "one document", "a second one"),
        ('a: "\\q"\n', 1, 6, "a known escape such as \\n", "another character after the backslash"),
        ('a: "\\ud800"\n', 1, 4, "whole characters", "half of a surrogate pair"),
        ("a: x\x01\n", 1, 5, "printable characters", "the character U+0001"),
    ],
)
def test_what_is_no_yaml_has_a_place_and_words(
    text: str, line: int, column: int, expected: str, found: str
) -> None:
    told = mistake(text)

    assert (told.line, told.column) == (line, column)
    assert (told.expected, told.found) == (expected, found)
    assert told.hint


def test_a_tab_is_told_like_this() -> None:
    assert (
        mistake("a:\n\tb: 1\n").render()
        == """\
error[invalid-files] a.yaml:2:1
  2 |  b: 1
    | ^ expected spaces, found a tab
  Use spaces; YAML does not allow tabs there."""
    )


def test_escapes_that_are_no_character_do_not_crash() -> None:
    assert mistake('a: "\\U99999999"').expected == "a known escape such as \\n"


def test_depth_is_bounded() -> None:
    assert mistake("[" * 100_000).expected == "at most 50 levels"
    assert read("[" * 50 + "]" * 50).mark(()) == (1, 1, 1)


def test_a_laughing_anchor_stays_small() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40))

    assert len(read(f"a0: &a0 [x]\n{levels}\n").data) == 40


def test_bytes_that_are_no_utf_8_have_a_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("a: é\nb: ".encode() + b"\xe9\n")

    with pytest.raises(Unreadable) as caught:
        read_text(tmp_path / "a.yaml", "a.yaml")

    told = caught.value.mistake
    assert (told.line, told.column, told.found) == (2, 4, "the byte 0xe9")
    assert told.hint == "Save the file as UTF-8."


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")

    assert read_text(tmp_path / "a.yaml", "a.yaml").text == "a: 1\n"


def test_paths_are_shown_as_users_write_them() -> None:
    assert show(("strategy", "waves", 1, "share")) == "strategy.waves[1].share"
    assert show(("files", "config/db.yml", "mode")) == 'files["config/db.yml"].mode'
    assert show(()) == ""
