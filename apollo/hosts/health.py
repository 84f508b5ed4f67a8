"""Whether an application is healthy: good answers for as long as it takes, none bad."""

import asyncio
import secrets
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from apollo.domain.manifest import Manifest
from apollo.hosts.job import exports
from apollo.hosts.probe import directly, http_probe, tcp_probe
from apollo.hosts.script import RemoteCommand, quote
from apollo.hosts.secrets import clean, clean_end
from apollo.ports import HostSession, Probe

PAUSE = 0.5
MEANWHILE = 10.0
MARGIN = 10.0
"""Seconds that a command's answer may take beyond its timeout, for a slow line."""
SAID = 2000
"""Bytes of what a command has said that come back: the end of it."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Verdict:
    """What the soak came to."""

    healthy: bool
    found: str


@dataclass(frozen=True)
class Checker:
    """Asks the application of a release on one host."""

    session: HostSession
    manifest: Manifest
    address: str
    """The host's, where the worker asks."""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What a command finds in its environment, secrets among them."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def ask(self) -> Probe:
        """One look at the application."""
        health = self.manifest.health
        assert health
        timeout = health.timeout.total_seconds()
        connect = directly if health.from_ == "worker" else self.session.forward
        if health.http:
            return await http_probe(connect, health.http, self._host(health.http.host), timeout)
        if health.tcp:
            host = self._host(health.tcp.host)
            return await tcp_probe(connect, host, int(health.tcp.port), timeout)
        assert health.command
        command = check_command(self.manifest.root, health.command, self.variables, timeout)
        try:
            async with asyncio.timeout(timeout + MARGIN):
                output = await self.session.run(command.line, command.stdin)
        except TimeoutError:
            return Probe(good=False, found=f"no answer within {timeout + MARGIN:g}s")
        return self._read(command, output)

    def _host(self, said: str) -> str:
        health = self.manifest.health
        assert health
        return self.address if health.from_ == "worker" and said in _LOOPBACK else said

    def _read(self, command: RemoteCommand, output: bytes) -> Probe:
        said, _, code = output.rpartition(f"apollo-health:{command.nonce} ".encode())
        exit_code = code.strip().decode(errors="replace")
        cleaned = clean_end if len(output) >= SAID else clean
        lines = cleaned(said, self.secrets.values()).strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        if exit_code == "0":
            return Probe(good=True, found="exit code 0")
        if exit_code in ("124", "137"):
            return Probe(good=False, found=f"the command ran past its timeout{last}")
        return Probe(good=False, found=f"exit code {exit_code or 'unknown'}, expected 0{last}")


def check_command(
    root: str, command: str, variables: Mapping[str, str], timeout: float
) -> RemoteCommand:
    """Runs a check in the current release's folder, and ends it when it takes too long.

    Its variables come by standard input; the end of what it says comes back, before its exit code.
    """
    nonce = secrets.token_hex(8)
    seconds = f"{timeout:g}"
    text = (
        f"cd {shlex.quote(root)}/current && values=$(cat) || exit 1\n"
        '{ (eval "$values"; exec </dev/null\n'
        f"exec timeout -k 2 {seconds} /bin/sh -c {shlex.quote(command)}) 2>&1\n"
        f'echo "apollo-health:{nonce} $?"; }} | tail -c {SAID}\n'
    )
    return RemoteCommand(quote(text), exports(variables), nonce)


async def soak(
    checker: Checker,
    left: timedelta,
    *,
    healthy_for: timedelta | None = None,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> Verdict:
    """Probe until no answer was bad for `healthy_for`, or until `left` is over.

    A bad answer begins the soak anew. The time from a good answer to the next counts only when
    both are good. `meanwhile` is called every ten seconds.
    """
    health = checker.manifest.health
    if health is None:
        return Verdict(healthy=True, found="no health check")
    loop = asyncio.get_running_loop()
    wanted = (health.healthy_for if healthy_for is None else healthy_for).total_seconds()
    deadline = loop.time() + left.total_seconds()
    good_since: float | None = None
    called = loop.time()
    while True:
        began = loop.time()
        if meanwhile and began - called >= MEANWHILE:
            called = began
            await meanwhile()
        probe = await checker.ask()
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
