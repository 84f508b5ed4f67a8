"""What hosts and hooks themselves say of a deployment."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.error import URLError
from urllib.request import urlopen

from apollo.local.judge import Capacity, HookRun
from apollo.testing.fleet import FleetHost, SshFleet


async def versions(fleet: SshFleet) -> dict[str, str]:
    """The version with which each host answers; nothing for one that does not answer."""
    answers = await asyncio.gather(*(asyncio.to_thread(_version, host) for host in fleet.hosts))
    return {host.name: answer for host, answer in zip(fleet.hosts, answers, strict=True)}


def _version(host: FleetHost) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{host.app_port}/", timeout=20) as answer:
            return str(json.load(answer)["version"])
    except (URLError, ConnectionError, TimeoutError):
        return ""


def locations(fleet: SshFleet) -> dict[str, str]:
    """Where each host lies."""
    return {host.name: host.location for host in fleet.hosts}


def out_at_once(runs: Iterable[HookRun], places: Mapping[str, str]) -> Capacity:
    """How many hosts had been stopped and not yet come to their `validate`, at most, at once.

    That is less than were drained: a host is drained before `stop` and serves after `validate`.
    """
    capacity, out = Capacity(), set[str]()
    for run in sorted(runs):
        if run.step == "stop":
            out.add(run.host)
        elif run.step == "validate":
            out.discard(run.host)
        capacity.in_fleet = max(capacity.in_fleet, len(out))
        for place, count in Counter(places[host] for host in out).items():
            capacity.by_location[place] = max(capacity.by_location[place], count)
    return capacity


def hooks_of(runs: Iterable[HookRun], deployment: str) -> list[HookRun]:
    """The hooks that ran for one deployment, such as `shop/prod#2`."""
    return [run for run in runs if run.deployment == deployment]
