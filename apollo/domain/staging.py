"""Staging ahead: hosts get a release ready before their turns, which takes no capacity."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from apollo.domain.base import Duration, Wire
from apollo.domain.manifest import Manifest
from apollo.domain.rollout import BatchHosts, BatchLoad, HostTurn
from apollo.domain.turn import TurnInput

LARGE = 8 * 1024 * 1024
"""Bytes of an artifact from which on it is brought ahead."""
PAGE = 50
"""Hosts that one activity stages side by side."""
MARGIN = timedelta(minutes=5)
"""How long a wave waits for a host, beyond its `install`: after that it is staged in its turn."""
TOLD = 300
"""Characters of why a host could not be staged: its turn tells all of it."""


class StagingInput(Wire):
    """Stage a batch's hosts ahead."""

    load: BatchLoad
    label: str
    limit: Duration
    """How long one host may take."""
    takeover: Duration


class StagingPage(Wire):
    """Some of a batch's hosts, all for the same workers."""

    load: BatchLoad
    hosts: BatchHosts
    location: str = ""
    """Whose own workers are to stage them, if it has some."""
    limit: Duration

    @property
    def turns(self) -> list[TurnInput]:
        """What is asked of each host: its turn to come, of which only the staging is done now."""
        inputs = (self.hosts.turn(self.load, host) for host in self.hosts.turns)
        return [turn.model_copy(update={"ahead": True}) for turn in inputs]


class Staged(Wire):
    """What has become of staging ahead."""

    ready: int = 0
    failed: dict[str, str] = {}
    """Host → why its release is not ready; its turn will try, and tell."""
    host_keys: dict[str, str] = {}
    """Host → the host key that was accepted though nobody had trusted one."""

    def plus(self, other: "Staged") -> "Staged":
        """Both together."""
        return Staged(
            ready=self.ready + other.ready,
            failed=self.failed | other.failed,
            host_keys=self.host_keys | other.host_keys,
        )


class StagedKeys(Wire):
    """Keep host keys that were accepted while staging."""

    deployment: str
    host_keys: dict[str, str]


def staging_limit(manifests: Iterable[Manifest]) -> timedelta:
    """How long one host may take to be staged ahead; zero where that gains nothing.

    It gains something with an `install` hook, or an artifact over 8 MiB.
    """
    limits = []
    for manifest in manifests:
        hooks = manifest.hooks.of("install")
        if hooks or manifest.artifact.size > LARGE:
            took = ((each.timeout or timedelta(0)) * (each.retries + 1) for each in hooks)
            limits.append(MARGIN + sum(took, timedelta(0)))
    return max(limits, default=timedelta(0))


def pages(given: StagingInput, hosts: BatchHosts) -> list[StagingPage]:
    """The hosts that have something to stage, by the workers that reach them."""
    reached: dict[str, list[HostTurn]] = defaultdict(list)
    for turn in hosts.turns:
        if turn.manifest is not None:
            reached[turn.host.location if turn.own_workers else ""].append(turn)
    return [
        StagingPage(
            load=given.load,
            hosts=hosts.model_copy(update={"turns": tuple(turns[first : first + PAGE])}),
            location=location,
            limit=given.limit,
        )
        for location, turns in reached.items()
        for first in range(0, len(turns), PAGE)
    ]
