"""A connection to a host: what is sent ends, and a command need not read it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apollo.domain.fleet import Host
from apollo.domain.turn import TurnInput
from apollo.errors import ContactLost
from apollo.hosts.session import SshHosts, SshSession
from apollo.testing.fleet import SshFleet
from tests.support.scene import eventually


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[SshFleet]:
    async with SshFleet(tmp_path, {"fra1": 1}) as fleet:
        yield fleet


@pytest.fixture
async def session(fleet: SshFleet) -> AsyncIterator[SshSession]:
    (host,) = fleet.hosts
    turn = TurnInput(
        deployment="d",
        label="shop/prod#1",
        owner="catalog/shop/prod",
        application="shop",
        environment="prod",
        release="1.0",
        granted_ms=1,
        host=Host(
            name=host.name,
            location=host.location,
            address=host.address,
            port=host.port,
            user=host.user,
        ),
        host_keys=(host.host_key,),
    )
    async with SshHosts(key=fleet.client_key).connect(turn) as session:
        yield session


@pytest.mark.parametrize("sent", [b"", b"data\n"])
async def test_a_command_reads_to_the_end_of_what_is_sent(session: SshSession, sent: bytes) -> None:
    assert await asyncio.wait_for(session.run("cat; echo end", sent), 30) == sent + b"end\n"


async def test_a_command_need_not_read_what_is_sent(session: SshSession) -> None:
    for _ in range(20):
        assert await session.run("echo end", b"data" * 10_000) == b"end\n"


async def test_a_connection_that_ends_in_a_command_is_no_answer(
    session: SshSession, fleet: SshFleet
) -> None:
    (host,) = fleet.hosts
    running = asyncio.create_task(session.run("touch running; sleep 60"))

    async def runs() -> bool:
        return (Path(host.folder) / "running").exists()

    await eventually(runs)
    await fleet.cut(host.name)
    with pytest.raises(ContactLost):
        await asyncio.wait_for(running, 30)
