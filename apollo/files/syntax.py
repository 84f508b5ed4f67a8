"""The YAML parser's complaints in words."""

import re

from apollo.files.mistakes import Told

_TOKENS = {"<stream end>": "the end of the file", "<scalar>": "more text"}
_FOUND = re.compile(r"but (?:got|found) '(.+)'")
_QUOTES = "Put text with special characters in quotes."
_WORDS = (
    (
        r"'\t' that cannot start",
        "spaces",
        "a tab",
        "Use spaces; YAML does not allow tabs there.",
    ),
    ("that cannot start any token", "a value", "a character with a meaning in YAML", _QUOTES),
    (
        "mapping values are not allowed",
        "one `key: value` a line",
        "another ':'",
        "Put text that holds ': ' in quotes, and align the key with the ones above.",
    ),
    (
        "could not find expected ':'",
        "`key: value`",
        "a line without ':'",
        "Write a ':' and a space after the key.",
    ),
    (
        "expected <block end>",
        "a key as far indented as the ones above",
        "another indentation or an extra character",
        "Align it with the keys above, and put text with special characters in quotes.",
    ),
    (
        "expected ',' or '}'",
        "',' or '}'",
        "",
        "Close the '{' with '}', and put a ',' between the entries.",
    ),
    (
        "expected ',' or ']'",
        "',' or ']'",
        "",
        "Close the '[' with ']', and put a ',' between the entries.",
    ),
    (
        "unexpected end of stream",
        "a closing quote",
        "none up to the end of the file",
        "Close the quote that opens here.",
    ),
    (
        "unknown escape character",
        "a known escape such as \\n",
        "another character after the backslash",
        "Write the text in single quotes, or double the backslash.",
    ),
    (
        "expected the node content",
        "a value",
        "",
        "Close what is open, and put text with special characters in quotes.",
    ),
)


def begins_earlier(problem: str) -> bool:
    """The place to mend is where the key or quote begins, not where the parser gave up."""
    return "could not find expected ':'" in problem or "unexpected end of stream" in problem


def syntax_words(problem: str) -> Told:
    """What was expected, what was found and what to do about a complaint of the parser."""
    for part, expected, found, hint in _WORDS:
        if part in problem:
            return {"expected": expected, "found": found or _token(problem), "hint": hint}
    return {"expected": "valid YAML", "found": f"this: {problem}", "hint": _QUOTES}


def _token(problem: str) -> str:
    match = _FOUND.search(problem)
    return _TOKENS.get(match[1], f"'{match[1]}'") if match else "something else"
