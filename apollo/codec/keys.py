"""The keys of `APOLLO_ENCRYPTION_KEY`: the first encrypts, all of them decrypt."""

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apollo.errors import BadEncryptionKey

_SIZE = 32
_FROM_FILE = "file:"
_HINT = "apollo codec key prints a key"


@dataclass(frozen=True)
class Key:
    """A key, and the id that is written beside what it encrypts; the id tells nothing of it."""

    id: str
    cipher: AESGCM = field(repr=False, compare=False)


@dataclass(frozen=True)
class KeyRing:
    """Keys in their order; without any, nothing is encrypted or decrypted."""

    keys: tuple[Key, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Keys with commas or white space between them; `file:PATH` stands for those in a file.

        Raises:
            BadEncryptionKey: One of them is no key; which is told by its place, never its value.
        """
        found: list[Key] = []
        for at, entry in enumerate(_split(text), 1):
            if entry.startswith(_FROM_FILE):
                path = entry.removeprefix(_FROM_FILE)
                found += [_key(each, f"key {n} in {path}") for n, each in _in_file(path)]
            else:
                found.append(_key(entry, f"key {at}"))
        return cls(tuple(found))

    @property
    def first(self) -> Key | None:
        """The one that encrypts."""
        return self.keys[0] if self.keys else None

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys."""
        return tuple(key.id for key in self.keys)

    def find(self, key_id: str) -> Key | None:
        """The key of that id."""
        return next((key for key in self.keys if key.id == key_id), None)


def new_key() -> str:
    """A new key, as `APOLLO_ENCRYPTION_KEY` holds it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_SIZE)).decode()


def _split(text: str) -> list[str]:
    return [entry for entry in re.split(r"[\s,]+", text) if entry]


def _in_file(path: str) -> list[tuple[int, str]]:
    try:
        entries = _split(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadEncryptionKey(
            f"APOLLO_ENCRYPTION_KEY: {path}: {why}",
            hint="the file must be readable by this process, and hold keys",
        ) from None
    if not entries:
        raise BadEncryptionKey(f"APOLLO_ENCRYPTION_KEY: {path} holds no key", hint=_HINT)
    return list(enumerate(entries, 1))


def _key(entry: str, which: str) -> Key:
    try:
        raw = base64.b64decode(entry.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _SIZE:
        raise BadEncryptionKey(
            f"APOLLO_ENCRYPTION_KEY: {which}: expected {_SIZE} bytes in base64, and a comma or a "
            f"space between keys",
            hint=_HINT,
        )
    name = hashlib.sha256(b"apollo encryption key\0" + raw).hexdigest()[:16]
    return Key(name, AESGCM(raw))
