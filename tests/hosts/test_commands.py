"""How often a turn speaks to its host: counted by the SSH server, not by who speaks."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from apollo.domain.balancer import BalancerSpec, Drain, FileBalancer, HaproxyBalancer
from apollo.domain.fleet import Host
from apollo.domain.manifest import Manifest
from apollo.domain.setup import Health
from apollo.domain.status import Outcome
from apollo.testing.fleet import SshFleet
from apollo.testing.ssh_host import HostServer, _Connection
from tests.support.bench import Bench
from tests.support.haproxy import HaproxyServer

AT_ONCE = Drain(wait=timedelta(0))
SERVE = """
cd "$APOLLO_ROOT/current" || exit
nohup python3 -m http.server "$PORT" --bind 127.0.0.1 >/dev/null 2>&1 &
echo $! >"$APOLLO_ROOT/pid"
"""


class Counts:
    """What the server was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.logins = self.commands = self.probes = 0
        made, spawn = _Connection.connection_made, HostServer.spawn
        requested = _Connection.connection_requested

        def count_login(there: _Connection, conn: asyncssh.SSHServerConnection) -> None:
            self.logins += 1
            made(there, conn)

        def count_command(there: HostServer, session: Any) -> None:
            self.commands += 1
            spawn(there, session)

        def count_probe(there: _Connection, *where: Any) -> bool:
            self.probes += 1
            return requested(there, *where)

        monkeypatch.setattr(_Connection, "connection_made", count_login)
        monkeypatch.setattr(HostServer, "spawn", count_command)
        monkeypatch.setattr(_Connection, "connection_requested", count_probe)

    def taken(self) -> tuple[int, int, int]:
        """Logins, commands and probes since the last look."""
        found = self.logins, self.commands, self.probes
        self.logins = self.commands = self.probes = 0
        return found


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    return Counts(monkeypatch)


@pytest.fixture
async def fleet(tmp_path: Path, counts: Counts) -> AsyncIterator[SshFleet]:
    async with SshFleet(tmp_path / "fleet", {"fra1": 1}) as fleet:
        yield fleet


@pytest.fixture
async def haproxy(fleet: SshFleet, tmp_path: Path, program: Any) -> AsyncIterator[HaproxyServer]:
    program("haproxy")
    (host,) = fleet.hosts
    async with HaproxyServer(tmp_path / "haproxy", {host.name: host.app_port}) as haproxy:
        yield haproxy


def bench(fleet: SshFleet, folder: Path, balancer: BalancerSpec | None) -> Bench:
    (found,) = fleet.hosts
    names = ("name", "location", "address", "port", "user")
    host = Host(**{name: getattr(found, name) for name in names})
    http = {"http": {"port": str(found.app_port), "path": "/version"}, "healthy_for": "300ms"}
    return Bench(
        folder,
        host,
        found.host_key,
        fleet.client_key,
        f"{found.folder}/shop",
        balancer,
        Health.model_validate(http),
        {"install": "bin/install", "start": "bin/start", "stop": "bin/stop"},
    )


@pytest.mark.parametrize("kind", ["none", "file", "haproxy"])
async def test_a_turn_that_transfers_nothing_takes_four_commands(
    fleet: SshFleet, haproxy: HaproxyServer, counts: Counts, tmp_path: Path, kind: str
) -> None:
    """New configuration for a release that the host has: all hooks run, `install` too.

    The control is the first turn: script and artifact must be brought, and that is counted.
    """
    kinds = {
        "none": None,
        "file": BalancerSpec(drain=AT_ONCE, file=FileBalancer(wait=timedelta(0))),
        "haproxy": BalancerSpec(
            drain=AT_ONCE, haproxy=HaproxyBalancer(at=haproxy.addresses[:1], backends=("shop",))
        ),
    }
    (found,) = fleet.hosts
    desk = bench(fleet, tmp_path, kinds[kind])
    start = f"PORT={found.app_port}\n{SERVE}"
    stop = 'kill "$(cat "$APOLLO_ROOT/pid")"'
    first = await desk.release("1", start=start, stop=stop, install="sleep 0.2")
    assert (await desk.run(desk.turn(first))).outcome is Outcome.UPDATED
    logins, commands, _ = counts.taken()
    assert logins == 1
    assert commands > 4

    manifest = Manifest.model_validate_json(await desk.store.get_bytes(first))
    changed = manifest.model_copy(update={"variables": {"LEVEL": "wild"}})
    second = await desk.store.put_bytes(changed.canonical())
    record = await desk.run(desk.turn(second))
    assert record.outcome is Outcome.UPDATED
    ran = ["unpack", "install", "stop", "silent", "switch", "start"]
    assert [step.name for step in record.steps] == ran
    logins, commands, probes = counts.taken()
    assert (logins, commands) == (1, 4)
    assert 2 <= probes <= 40

    assert (await desk.run(desk.turn(second))).outcome is Outcome.CURRENT
    assert counts.taken() == (1, 1, 1)
