"""A scan of hosts' SSH keys: what is asked for, and what is found."""

from collections.abc import Sequence
from typing import Literal

from apollo.domain.base import Wire
from apollo.domain.fleet import Host

CHUNK = 500
"""Hosts that one workflow asks."""
PAGE = 50
"""Hosts that one activity asks."""
Found = Literal["new", "known", "changed", "certified", "unreachable"]
"""`certified`: an authority vouches for the host when a worker connects; no key need be trusted."""


class ScanRequest(Wire):
    """What starts `ScanKeys`: the keys of an environment's hosts, from the `first` on."""

    application: str = ""
    environment: str = ""
    first: int = 0


class KeyTarget(Wire):
    """A host to be asked, and what is trusted for it."""

    host: Host
    trusted: tuple[str, ...] = ()


class KeySurvey(Wire):
    """Hosts to be asked."""

    targets: tuple[KeyTarget, ...] = ()
    own_workers: tuple[str, ...] = ()
    next: int | None = None
    """Where the next hosts begin."""


class ScanInput(Wire):
    """A page of hosts to be asked by the workers of a location; empty: by all others."""

    application: str
    environment: str
    location: str = ""
    targets: tuple[KeyTarget, ...]


class Scanned(Wire):
    """The key that a host shows, and how it compares with those that are trusted."""

    host: str
    address: str
    port: int
    found: Found
    line: str = ""
    fingerprint: str = ""
    message: str = ""


class KeysFound(Wire):
    """What was found, in the order of the inventory."""

    hosts: tuple[Scanned, ...] = ()
    next: int | None = None
    """Where the next hosts begin."""


def scan_pages(request: ScanRequest, survey: KeySurvey) -> list[ScanInput]:
    """Hosts by queue: locations with workers of their own are by themselves."""
    rows: dict[str, list[KeyTarget]] = {}
    for target in survey.targets:
        location = target.host.location
        rows.setdefault(location if location in survey.own_workers else "", []).append(target)
    return [
        ScanInput(
            application=request.application,
            environment=request.environment,
            location=location,
            targets=tuple(row[first : first + PAGE]),
        )
        for location, row in rows.items()
        for first in range(0, len(row), PAGE)
    ]


def unasked(targets: Sequence[KeyTarget], why: str) -> tuple[Scanned, ...]:
    """What is known of hosts that nobody could ask."""
    return tuple(
        Scanned(
            host=target.host.name,
            address=target.host.address,
            port=target.host.port,
            found="unreachable",
            message=why,
        )
        for target in targets
    )
