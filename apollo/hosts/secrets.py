"""Secrets: references are resolved on the worker, within what its settings allow."""

import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REDACTED = "[redacted]"
COMMAND_TIMEOUT = 20.0
SHORTEST = 4
"""Shorter values are not looked for in outputs: they would redact ordinary text."""


@dataclass(frozen=True)
class ReferenceSecrets:
    """Resolves `env:NAME`, `file:PATH` and `command:WORDS` when an allowed prefix covers them."""

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
            if kind == "command":
                return _said(shlex.split(where)).removesuffix("\n")
            return Path(where).read_text(encoding="utf-8").removesuffix("\n")
        except OSError as error:
            raise ValueError(f"secret {name}: {where}: {error.strerror}") from error
        except subprocess.CalledProcessError as error:
            text = f"secret {name}: {where}: exit {error.returncode}, expected 0"
            raise ValueError(text) from None
        except subprocess.TimeoutExpired:
            text = f"secret {name}: {where}: no value within {COMMAND_TIMEOUT:g} s"
            raise ValueError(text) from None


def _said(words: Sequence[str]) -> str:
    """What a program prints; no shell sees its words, and nobody what it says of errors."""
    done = subprocess.run(
        words,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=COMMAND_TIMEOUT,
    )
    return done.stdout.decode()


def _covered(reference: str, allowed: Sequence[str]) -> bool:
    kind, _, where = reference.partition(":")
    if kind == "file":
        reference = f"file:{os.path.normpath(where)}"
    return kind in ("env", "file", "command") and any(
        reference.startswith(prefix) for prefix in allowed
    )


def pieces(values: Iterable[str]) -> list[str]:
    """What is looked for: the lines of each value, the longest first."""
    lines = {line for value in values for line in value.splitlines()}
    return sorted(
        (line for line in lines if len(line) >= SHORTEST), key=lambda line: (-len(line), line)
    )


def redact(text: str, values: Iterable[str]) -> str:
    """The text without the values of secrets."""
    for piece in pieces(values):
        text = text.replace(piece, REDACTED)
    return text


def clean_end(output: bytes, values: Iterable[str]) -> str:
    """The end of an output whose beginning is missing: nor does it begin within a secret."""
    known = list(values)
    longest = max((len(value) for value in known), default=1)
    return clean(output, known)[longest - 1 :]


def clean(output: bytes, values: Iterable[str]) -> str:
    """A hook's output as text: no secrets, and no control characters but tabs and newlines."""
    text = redact(output.decode("utf-8", "replace"), values)
    if text.replace("\n", "").replace("\t", "").isprintable():  # nearly always: letters take long
        return text
    return "".join(letter if letter in "\n\t" or letter.isprintable() else "·" for letter in text)
