"""Checks of `notify`: where webhooks are, without showing it."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from apollo.files.mistakes import FileWarning, Mistake
from apollo.files.positions import REST_OF_LINE, Mark, Part, Path

_REFERENCE = re.compile(r"env:\w+|file:/[^\n]+")
_HINT = 'Write "env:APOLLO_SECRET_HOOK", "file:/etc/apollo/secrets/…" or an https:// URL.'


def mask_webhooks(part: Part) -> None:
    """Keep URLs out of every message: whoever knows one can post there."""
    for path, value in _webhooks(part):
        if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
            line, column, width = part.document.mark(part.base + path)
            whole_line = not isinstance(value, str) or "\n" in value
            part.document.masked.add(Mark(line, column, REST_OF_LINE if whole_line else width))


def check_webhooks(part: Part) -> Iterator[Mistake]:
    """Each is a reference, or a URL of https or http."""
    for path, value in _webhooks(part):
        if not isinstance(value, str) or not value or _REFERENCE.fullmatch(value):
            continue
        if not host_of(value):
            expected = "a reference to a secret, or a URL of https or http"
            yield part.mistake(path, expected=expected, found="something else", hint=_HINT)


def warn_of_webhooks(part: Part) -> Iterator[FileWarning]:
    """A URL that travels in the clear is hardly meant, unless it stays on the machine."""
    for path, value in _webhooks(part):
        if isinstance(value, str) and value.startswith("http://") and not _loopback(host_of(value)):
            message = "notifications travel in the clear, with the URL that lets anybody post there"
            yield part.warning(path, message, "Write https:// if the other end has it.")


def _webhooks(part: Part) -> Iterator[tuple[Path, object]]:
    for index, each in enumerate(part.sequence("notify")):
        if isinstance(each, dict) and each.get("webhook") is not None:
            yield ("notify", index, "webhook"), each["webhook"]


def host_of(value: str) -> str:
    """The host of a URL of https or http; empty if it is none."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return ""
    plain = value.isprintable() and " " not in value
    return parts.hostname or "" if plain and parts.scheme in {"https", "http"} else ""


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
