"""The core schema of YAML 1.2, with numbers that keep the text they were written as."""

import re
from typing import Any

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBERS_START_WITH = frozenset("+-.0123456789")


class WrittenInt(int):
    """A whole number whose text is the one in the file: `010`."""

    written: str

    def __str__(self) -> str:
        return self.written


class WrittenFloat(float):
    """A number whose text is the one in the file: `1.10`."""

    written: str

    def __str__(self) -> str:
        return self.written


def text_of(value: Any) -> str:
    """The text of a scalar; none for lists and mappings, which aliases can make endlessly long."""
    if isinstance(value, list | dict) or value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def resolve(text: str) -> Any:
    """What a scalar without quotes means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBERS_START_WITH:
        return text
    number: WrittenInt | WrittenFloat
    try:
        if _INT.fullmatch(text):
            number = WrittenInt(text, 0 if text[:2] in {"0o", "0x"} else 10)
        elif _FLOAT.fullmatch(text):
            number = WrittenFloat(text.replace(".inf", "inf").replace(".nan", "nan").lower())
        else:
            return text
    except ValueError:
        return text
    number.written = text
    return number
