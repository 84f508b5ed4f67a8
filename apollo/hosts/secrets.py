"""Secrets: references are resolved on the worker, within what its settings allow."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REDACTED = "[redacted]"
SHORTEST = 4
"""Shorter values are not looked for in outputs: they would redact ordinary text."""


@dataclass(frozen=True)
class ReferenceSecrets:
    """Resolves `env:NAME` and `file:PATH` when an allowed prefix covers them."""

    allowed: tuple[str, ...]

    def resolve(self, references: Mapping[str, str]) -> dict[str, str]:
        """Name → reference in, name → value out.

        Raises:
            ValueError: A reference is not allowed here or has no value; never shows a value.
        """
        return {name: self._value(name, reference) for name, reference in references.items()}

    def _value(self, name: str, reference: str) -> str:
        if not _covered(reference, self.allowed):
            raise ValueError(
                f"secret {name}: this worker may not resolve {reference!r}; "
                f"allowed are {', '.join(self.allowed) or 'none'} (APOLLO_ALLOW_SECRETS)"
            )
        kind, _, where = reference.partition(":")
        if kind == "env":
            value = os.environ.get(where)
            if value is None:
                raise ValueError(f"secret {name}: the worker has no variable {where}")
            return value
        try:
            return Path(where).read_text(encoding="utf-8").removesuffix("\n")
        except OSError as error:
            raise ValueError(f"secret {name}: {where}: {error.strerror}") from error


def _covered(reference: str, allowed: Sequence[str]) -> bool:
    kind, _, where = reference.partition(":")
    if kind == "file":
        reference = f"file:{os.path.normpath(where)}"
    return kind in ("env", "file") and any(reference.startswith(prefix) for prefix in allowed)


def redact(text: str, values: Iterable[str]) -> str:
    """The text without the values of secrets, longest first."""
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = text.replace(value, REDACTED)
    return text


def clean_end(output: bytes, values: Iterable[str]) -> str:
    """The end of an output whose beginning is missing: nor does it begin within a secret."""
    known = list(values)
    longest = max((len(value.encode()) for value in known), default=1)
    return clean(output[longest - 1 :], known)


def clean(output: bytes, values: Iterable[str]) -> str:
    """A hook's output as text: no secrets, and no control characters but tabs and newlines."""
    text = redact(output.decode("utf-8", "replace"), values)
    return "".join(c if c in "\n\t" or (c.isprintable() and c != "\x7f") else "·" for c in text)
