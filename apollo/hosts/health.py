"""Whether an application is healthy: good answers for as long as it takes, none bad."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from apollo.domain.manifest import Manifest
from apollo.hosts.script import quote
from apollo.ports import HostSession, Probe

PAUSE = 0.5
MEANWHILE = 10.0
_DONE = b"apollo-health "


@dataclass(frozen=True)
class Verdict:
    """What the soak came to."""

    healthy: bool
    found: str


async def soak(
    session: HostSession,
    manifest: Manifest,
    left: timedelta,
    *,
    healthy_for: timedelta | None = None,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> Verdict:
    """Probe until no answer was bad for `healthy_for`, or until `left` is over.

    A bad answer begins the soak anew. The time from a good answer to the next counts only when
    both are good. `meanwhile` is called every ten seconds.
    """
    if manifest.health is None:
        return Verdict(healthy=True, found="no health check")
    loop = asyncio.get_running_loop()
    wanted = (manifest.health.healthy_for if healthy_for is None else healthy_for).total_seconds()
    deadline = loop.time() + left.total_seconds()
    good_since: float | None = None
    called = loop.time()
    while True:
        began = loop.time()
        if meanwhile and began - called >= MEANWHILE:
            called = began
            await meanwhile()
        probe = await ask(session, manifest)
        now = loop.time()
        if not probe.good:
            good_since = None
        elif good_since is None:
            good_since = began
        if good_since is not None and now - good_since >= wanted:
            return Verdict(healthy=True, found=probe.found)
        if now >= deadline and not (good_since is not None and probe.good):
            return Verdict(healthy=False, found=probe.found)
        remaining = PAUSE if good_since is None else good_since + wanted - now
        await asyncio.sleep(max(0.01, min(PAUSE, remaining)))


async def ask(session: HostSession, manifest: Manifest) -> Probe:
    """One look at the application."""
    health = manifest.health
    assert health
    if health.http:
        check = health.http
        return await session.http(check.host, int(check.port), check.path, check.status)
    if health.tcp:
        return await session.tcp(health.tcp.host, int(health.tcp.port))
    assert health.command
    return await _command(session, manifest.root, health.command)


async def _command(session: HostSession, root: str, command: str) -> Probe:
    line = quote(
        f"cd {shlex.quote(root)}/current && ({command}\n) >/dev/null 2>&1 </dev/null\n"
        f'echo "{_DONE.decode()}$?"'
    )
    output = await session.run(line)
    code = output.rsplit(_DONE, 1)[-1].strip().decode(errors="replace")
    return Probe(good=code == "0", found=f"exit code {code}, expected 0")
