"""Lines that are slow, and hosts that allow one session at a time: a whole turn gets through."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest

from apollo.domain.balancer import BalancerSpec, Drain, FileBalancer
from apollo.domain.fleet import Host
from apollo.domain.setup import Health
from apollo.domain.status import Outcome
from tests.support.bench import Bench
from tests.support.openssh import OpenSshFleet, openssh_fleet

RATE = 50_000
DELAY = 0.1
SERVE = (
    "cd $APOLLO_ROOT/current && "
    "nohup python3 -m http.server 8080 --bind 127.0.0.1 >/dev/null 2>&1 & echo $! >$APOLLO_ROOT/pid"
)
STOP = "kill $(cat $APOLLO_ROOT/pid)"


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> Iterator[OpenSshFleet]:
    with openssh_fleet(tmp_path_factory.mktemp("lines"), ["slow", "single"], program) as fleet:
        single = fleet.hosts["single"]
        config = single.folder / "sshd_config"
        config.write_text(config.read_text() + "MaxSessions 1\n")
        single.restart_sshd()
        yield fleet


@dataclass
class SlowLine:
    """A TCP proxy that lets so many bytes through a second, each way, and delays all of them."""

    address: str
    port: int = 0
    carried: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self.address, 22)
        with suppress(OSError):
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        free = loop.time()
        while data := await reader.read(RATE // 20):
            free = max(free, loop.time()) + len(data) / RATE
            self.carried += len(data)
            loop.call_at(free + DELAY, writer.write, data)
            await asyncio.sleep(free - loop.time())
        loop.call_at(free + DELAY, writer.close)


@asynccontextmanager
async def slow_line(address: str) -> AsyncIterator[SlowLine]:
    line = SlowLine(address)
    async with await asyncio.start_server(line.serve, "127.0.0.1", 0) as server:
        line.port = server.sockets[0].getsockname()[1]
        yield line


def bench(fleet: OpenSshFleet, name: str, folder: Path, *, port: int = 0) -> Bench:
    host = fleet.hosts[name]
    address = "127.0.0.1" if port else host.address
    described = Host(name=name, location="lab1", address=address, port=port or 22, user="root")
    return Bench(folder, described, host.host_key, fleet.key, "/srv/shop")


async def test_a_slow_line_only_takes_longer(fleet: OpenSshFleet, tmp_path: Path) -> None:
    """The artifact alone takes four seconds: that is what the line allows, and it is kept to."""
    async with slow_line(fleet.hosts["slow"].address) as line:
        desk = bench(fleet, "slow", tmp_path, port=line.port)
        release = await desk.release("1", start=": " + random.Random(7).randbytes(140_000).hex())
        began = asyncio.get_running_loop().time()
        record = await desk.run(desk.turn(release))
        took = asyncio.get_running_loop().time() - began
    assert record.outcome is Outcome.UPDATED
    assert line.carried > 100_000
    assert took > 0.4 * line.carried / RATE


async def test_a_whole_turn_needs_one_session_at_a_time(
    fleet: OpenSshFleet, tmp_path: Path
) -> None:
    """Transfer, long polls, probes through the connection, a balancer that is held."""
    desk = bench(fleet, "single", tmp_path)
    desk.hooks = {"start": "bin/start", "stop": "bin/stop", "install": "bin/install"}
    desk.health = Health.model_validate(
        {"http": {"port": 8080, "path": "/version", "body": "{release}"}, "healthy_for": "2s"}
    )
    desk.balancer = BalancerSpec(
        drain=Drain(wait=timedelta(0)), file=FileBalancer(wait=timedelta(0))
    )
    for version in ("1", "2"):
        http = desk.health.http
        assert http
        body = http.model_copy(update={"body": version})
        desk.health = desk.health.model_copy(update={"http": body})
        scripts = {"start": SERVE, "stop": STOP, "install": "sleep 1"}
        record = await desk.run(desk.turn(await desk.release(version, **scripts)))
        assert record.outcome is Outcome.UPDATED, record
    fleet.hosts["single"].inside("kill $(cat /srv/shop/pid)")


async def test_the_control_two_at_a_time_are_refused(fleet: OpenSshFleet) -> None:
    host = fleet.hosts["single"]
    key = asyncssh.import_public_key(host.host_key)
    login: dict[str, object] = {"username": "root", "client_keys": [str(fleet.key)]}
    login["known_hosts"] = ([key], [], [])
    async with (
        asyncssh.connect(host.address, **login) as connection,
        connection.create_process("sleep 2"),
    ):
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("true")
