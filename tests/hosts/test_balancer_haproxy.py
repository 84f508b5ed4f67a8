"""The HAProxy balancer against a real HAProxy."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from apollo.balancers import BalancerTarget, build_balancer, until_drained
from apollo.balancers.haproxy import Haproxy
from apollo.domain.balancer import BalancerSpec
from apollo.errors import BalancerFailed
from apollo.testing.ports import ReservedPort
from tests.support.haproxy import HaproxyServer

WEB1 = BalancerTarget("web1", "fra1", {"POOL": "shop"})


class Upstream:
    """Answers 200 at once, and `/hang` when it is released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.hanging = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/hang" in head:
                    self.hanging.set()
                    await self.release.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, int]]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.answer, "127.0.0.1", 0)
    yield upstream, server.sockets[0].getsockname()[1]
    upstream.release.set()
    server.close()


@pytest.fixture
async def haproxy(tmp_path: Path, upstream: tuple[Upstream, int]) -> AsyncIterator[HaproxyServer]:
    async with HaproxyServer(tmp_path, {"web1": upstream[1], "web2": upstream[1]}) as server:
        yield server


@pytest.fixture(params=["tcp", "unix"])
def balancer(request: pytest.FixtureRequest, haproxy: HaproxyServer) -> Haproxy:
    at = haproxy.addresses[request.param == "unix"]
    return Haproxy([at], ["{POOL}"], "{host}", timedelta(seconds=0.5))


async def test_a_host_is_drained_and_restored(balancer: Haproxy, haproxy: HaproxyServer) -> None:
    found = await balancer.find(WEB1)
    assert set(json.loads(found).values()) == {"ready"}
    assert not await balancer.drained(WEB1)

    await balancer.drain(WEB1)
    assert (await haproxy.status())["web1"].startswith("DRAIN")
    assert (await haproxy.status())["web2"].startswith("UP")
    assert await until_drained(balancer, WEB1)
    await balancer.drain(WEB1)

    await balancer.restore(WEB1, found)
    await balancer.restore(WEB1, found)
    assert (await haproxy.status())["web1"].startswith("UP")


@pytest.mark.parametrize("state", ["maint", "drain"])
async def test_what_a_person_has_set_stays(haproxy: HaproxyServer, state: str) -> None:
    balancer = Haproxy(haproxy.addresses, ["shop"], "{host}", timedelta(seconds=1))
    await haproxy.command(f"set server shop/web1 state {state}")
    before = (await haproxy.status())["web1"]

    found = await balancer.find(WEB1)
    await balancer.drain(WEB1)
    assert (await haproxy.status())["web1"] == before
    await balancer.hold(WEB1)
    assert await until_drained(balancer, WEB1)
    await balancer.restore(WEB1, found)

    assert (await haproxy.status())["web1"] == before
    assert set(json.loads(found).values()) == {state}
    assert len(json.loads(found)) == 2


async def test_the_drained_state_is_asserted_again_after_a_restart(
    haproxy: HaproxyServer,
) -> None:
    balancer = Haproxy(haproxy.addresses, ["shop"], "web1", timedelta(seconds=1))
    await haproxy.command("set server shop/web1 state maint")
    found = await balancer.find(WEB1)
    await balancer.drain(WEB1)
    await haproxy.restart()
    assert (await haproxy.status())["web1"].startswith("UP")
    assert not await balancer.drained(WEB1)

    await balancer.hold(WEB1)
    assert (await haproxy.status())["web1"].startswith("DRAIN")
    await balancer.restore(WEB1, found)
    assert (await haproxy.status())["web1"].startswith("MAINT")


async def test_the_drain_waits_for_requests_and_goes_on_after_the_limit(
    balancer: Haproxy, haproxy: HaproxyServer, upstream: tuple[Upstream, int]
) -> None:
    await haproxy.command("set server shop/web2 state maint")
    reader, writer = await asyncio.open_connection("127.0.0.1", haproxy.port)
    writer.write(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(upstream[0].hanging.wait(), 60)

    await balancer.drain(WEB1)
    assert not await until_drained(balancer, WEB1)
    upstream[0].release.set()
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert await until_drained(balancer, WEB1), "the client's idle connection holds nothing up"
    writer.close()


async def test_a_missing_server_says_where_and_what(haproxy: HaproxyServer) -> None:
    balancer = Haproxy([haproxy.addresses[0]], ["shop"], "{host}", timedelta(0))
    stranger = BalancerTarget("web9", "fra1")
    with pytest.raises(BalancerFailed, match=r"tcp:.*the server shop/web9") as caught:
        await balancer.find(stranger)
    assert (caught.value.host, caught.value.step) == ("web9", "drain")
    other = Haproxy([haproxy.addresses[0]], ["cart"], "{host}", timedelta(0))
    with pytest.raises(BalancerFailed, match="Can't find backend"):
        await other.drain(WEB1)


async def test_one_unreachable_haproxy_fails_the_drain(haproxy: HaproxyServer) -> None:
    nobody = ReservedPort()
    at = [haproxy.addresses[0], f"tcp:127.0.0.1:{nobody.number}"]
    with pytest.raises(BalancerFailed, match=f"{nobody.number}: expected a connection"):
        await Haproxy(at, ["shop"], "{host}", timedelta(0)).drain(WEB1)
    nobody.release()


@pytest.mark.parametrize("name", ["web1;disable frontend front", "web1\nshow info", "web 1", ""])
async def test_a_name_cannot_carry_a_command(haproxy: HaproxyServer, name: str) -> None:
    balancer = Haproxy([haproxy.addresses[0]], ["shop"], name, timedelta(0))
    with pytest.raises(BalancerFailed, match="the name of a server"):
        await balancer.drain(WEB1)


async def test_a_socket_without_the_right_to_change_is_reported(tmp_path: Path) -> None:
    balancer = Haproxy([f"unix:{tmp_path}/none.sock"], ["shop"], "{NOWHERE}", timedelta(0))
    with pytest.raises(BalancerFailed, match="NOWHERE"):
        await balancer.find(WEB1)


def test_the_specification_chooses_the_balancer() -> None:
    given = {"drain": {"wait": "4s"}, "file": {"path": "up", "wait": "3s"}}
    file = build_balancer(BalancerSpec.model_validate(given))
    assert (file.offline_file, file.wait) == ("up", timedelta(seconds=4))
    spec = {"drain": {"wait": "7s"}, "haproxy": {"at": ["unix:/x"], "backends": ["shop"]}}
    haproxy = build_balancer(BalancerSpec.model_validate(spec))
    assert (haproxy.offline_file, haproxy.wait) == (None, timedelta(seconds=7))
