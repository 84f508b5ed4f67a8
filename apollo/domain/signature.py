"""What errors of many hosts have in common: those that say the same make one group."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from apollo.domain.turn import Step

_EXIT = re.compile(r"\bexit (\d+)\b")
_OWN = "*"
_BLURS = (
    (re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+"), "URL"),
    (re.compile(r"(?<![\w*])[\w*.~@%+-]*(?:/[\w*.~@%+=-]+)+/?"), "PATH"),
    (re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])"), "#"),
    (re.compile(r"(?:(?<!\w)-)?\b(?=[a-f]*\d)[0-9a-f]{7,}\b"), "#"),
    (re.compile(r"(?:(?<!\w)-)?\d+"), "#"),
    (re.compile(r"#(?:[.:,-]?#)+"), "#"),
)
"""URLs before paths, addresses and digests before numbers."""


class Signature(NamedTuple):
    """Equal for errors that say the same of different hosts."""

    error: str
    step: str
    exit: int | None
    text: str
    """The message without what tells one host from another; empty where the exit code says all."""

    @property
    def title(self) -> str:
        """`HookFailed start exit 3`."""
        code = f"exit {self.exit}" if self.exit is not None else ""
        return " ".join(filter(None, (self.error, self.step, code)))


def signature(
    error: str, step: str, message: str, *, own: Iterable[str] = (), steps: Sequence[Step] = ()
) -> Signature:
    """The signature of a host's error.

    Args:
        error: Its type.
        step: In which step it came up.
        message: What was found.
        own: Words that are the host's own: its name, its location, its address.
        steps: What the host's journal holds: there the step's exit code is.
    """
    codes = [each.exit for each in steps if each.name == step and each.exit]
    if error == "HookFailed" and not codes:
        codes = [int(found) for found in _EXIT.findall(message)[:1]]
    if error == "HookFailed" and codes:
        return Signature(error, step, codes[-1], "")
    return Signature(error, step, None, blurred(message, own))


def blurred(message: str, own: Iterable[str] = ()) -> str:
    """A message without the host's own words, URLs, paths, addresses, digests and numbers."""
    text = " ".join(message.split())
    for word in sorted(filter(None, own), key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", _OWN, text)
    for pattern, word in _BLURS:
        text = pattern.sub(word, text)
    return text
