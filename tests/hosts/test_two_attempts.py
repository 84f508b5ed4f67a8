"""A worker that stalled and woke up: neither the host nor the balancer is harmed by it.

The attempts are processes. A proxy before HAProxy's admin socket stops the one that says a given
word, and keeps the word until the test lets it through: it is heard as late as the test wants.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from apollo.domain.balancer import BalancerSpec, Drain, HaproxyBalancer
from apollo.domain.fleet import Host
from apollo.domain.turn import TurnInput
from apollo.testing.fleet import SshFleet
from tests.support.bench import Attempt, Bench
from tests.support.haproxy import HaproxyServer
from tests.support.scene import eventually

pytestmark = pytest.mark.usefixtures("haproxy_program")
Word = Literal["drain", "ready"]
START = """
echo "$APOLLO_DEPLOYMENT $APOLLO_TURN" >>"$APOLLO_ROOT/started"
: >"$APOLLO_ROOT/at"
while [ -e "$APOLLO_ROOT/gate" ]; do sleep 0.05; done
"""


@pytest.fixture(scope="module")
def haproxy_program(program: object) -> None:
    assert callable(program)
    program("haproxy")


@dataclass
class Gate:
    """A proxy before the admin socket that keeps one word back, and stops who said it."""

    target: int
    word: str = ""
    attempt: Attempt | None = None
    kept: asyncio.Event = field(default_factory=asyncio.Event)
    let_through: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def keep(self, word: Word, attempt: Attempt) -> None:
        """Keep that word of this attempt."""
        self.word, self.attempt = f"state {word}", attempt

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One command and its answer."""
        line = await reader.readline()
        mine = bool(self.word) and line.decode().strip().endswith(self.word)
        if mine:
            assert self.attempt
            self.word = ""
            os.kill(self.attempt.process.pid, signal.SIGSTOP)
            self.kept.set()
            await self.let_through.wait()
        above, below = await asyncio.open_connection("127.0.0.1", self.target)
        below.write(line)
        answer = await above.read()
        below.close()
        if mine:
            self.heard.set()
        writer.write(answer)
        writer.close()

    async def release(self) -> None:
        """Let the word be heard, and wake who said it."""
        assert self.attempt
        self.let_through.set()
        await self.heard.wait()
        os.kill(self.attempt.process.pid, signal.SIGCONT)


@dataclass
class Scene:
    """A host behind HAProxy that serves release 1; its next `start` can be held."""

    bench: Bench
    haproxy: HaproxyServer
    gate: Gate
    root: Path
    first_release: str
    next_release: str

    async def admin(self) -> str:
        """What HAProxy was told about the host, as it says itself."""
        (state,) = (await self.haproxy.admin()).values()
        return state

    async def becomes(self, state: str) -> None:
        async def so() -> bool:
            return await self.admin() == state

        await eventually(so)

    def hold(self) -> None:
        """Let the next `start` wait."""
        (self.root / "at").unlink(missing_ok=True)
        (self.root / "gate").touch()

    async def started(self) -> None:
        """Wait until it waits."""

        async def there() -> bool:
            return "at" in os.listdir(self.root)

        await eventually(there)

    def go(self) -> None:
        """Let it end."""
        (self.root / "gate").unlink()

    def starts(self) -> list[str]:
        """The turns whose `start` ran, as it says itself: deployment and turn."""
        return (self.root / "started").read_text().splitlines()[1:]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    async with SshFleet(folder / "fleet", {"fra1": 1}) as fleet:
        (found,) = fleet.hosts
        async with HaproxyServer(folder / "haproxy", {found.name: found.app_port}) as haproxy:
            gate = Gate(haproxy.runtime.number)
            server = await asyncio.start_server(gate.serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            balancer = BalancerSpec(
                drain=Drain(wait=timedelta(seconds=1)),
                haproxy=HaproxyBalancer(at=(f"tcp:127.0.0.1:{port}",), backends=("shop",)),
            )
            host = Host(**{n: getattr(found, n) for n in ("name", "location", "address", "port")})
            host = host.model_copy(update={"user": found.user})
            root = Path(found.folder) / "shop"
            bench = Bench(folder, host, found.host_key, fleet.client_key, str(root), balancer)
            async with server:
                releases = [await bench.release(each, start=START) for each in ("1", "2")]
                assert (await bench.run(bench.turn(releases[0]))).outcome.good
                yield Scene(bench, haproxy, gate, root, *releases)


async def stalled(scene: Scene, turn: TurnInput, word: Word, guarded: bool) -> Attempt:
    """The first attempt at a turn, which stops while it says a word to the balancer."""
    worker = scene.bench.process(turn, guarded=guarded)
    scene.gate.keep(word, worker)
    await asyncio.wait_for(scene.gate.kept.wait(), 60)
    return worker


async def test_a_drain_that_is_heard_before_the_successor_restores_does_no_harm(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as on:
        turn = on.bench.turn(on.next_release)
        late = await stalled(on, turn, "drain", guarded=True)
        on.hold()
        second = asyncio.create_task(on.bench.run(turn, 2))
        await on.started()
        await on.gate.release()
        assert (await late.end())["error"] == "Fenced"
        assert await on.admin() == "drain"
        on.go()
        assert (await second).outcome.good
        assert await on.admin() == "ready"
        assert on.starts() == [f"{turn.label} 1"]


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "control"])
async def test_a_drain_that_is_heard_after_the_successor_has_restored_is_mended(
    tmp_path: Path, guarded: bool
) -> None:
    """Without the guard a host that serves stays without requests."""
    async with scene(tmp_path) as on:
        turn = on.bench.turn(on.next_release)
        late = await stalled(on, turn, "drain", guarded)
        assert (await on.bench.run(turn, 2)).outcome.good
        assert await on.admin() == "ready"
        await on.gate.release()
        assert (await late.end())["error"] == "Fenced"
        assert await on.admin() == ("ready" if guarded else "drain")
        assert on.starts() == [f"{turn.label} 1"]


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "control"])
async def test_a_restore_that_is_heard_while_a_rollback_has_drained_again_is_mended(
    tmp_path: Path, guarded: bool
) -> None:
    """Without the guard a host whose application is stopped gets requests."""
    async with scene(tmp_path) as on:
        turn = on.bench.turn(on.next_release)
        late = await stalled(on, turn, "ready", guarded)
        on.hold()
        wanted = {"turn": 2, "phase": "rollback", "manifest": on.first_release, "was_lost": True}
        back = turn.model_copy(update=wanted)
        rollback = asyncio.create_task(on.bench.run(back, 2))
        await on.started()
        assert await on.admin() == "drain"
        await on.gate.release()
        await late.end()
        assert await on.admin() == ("drain" if guarded else "ready")
        on.go()
        assert (await rollback).outcome.value == "rolled_back"
        assert await on.admin() == "ready"
        assert on.starts() == [f"{turn.label} 1", f"{turn.label} 2"]


async def test_a_restore_that_is_heard_after_the_successors_does_no_harm(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        turn = on.bench.turn(on.next_release)
        late = await stalled(on, turn, "ready", guarded=True)
        second = await on.bench.run(turn, 2)
        assert second.outcome.good
        await on.gate.release()
        await late.end()
        assert await on.admin() == "ready"
        assert on.starts() == [f"{turn.label} 1"]


async def test_one_that_sleeps_through_a_hook_says_nothing_when_it_wakes(tmp_path: Path) -> None:
    """It sleeps while `start` runs; its successor ends the turn, and a rollback begins."""
    async with scene(tmp_path) as on:
        turn = on.bench.turn(on.next_release)
        on.hold()
        late = on.bench.process(turn)
        await on.started()
        os.kill(late.process.pid, signal.SIGSTOP)
        on.go()
        second = await on.bench.run(turn, 2)
        assert second.outcome.good
        assert "start" in [step.name for step in second.steps]
        os.kill(late.process.pid, signal.SIGCONT)
        assert (await late.end())["error"] == "Fenced"
        assert await on.admin() == "ready"
        assert on.starts() == [f"{turn.label} 1"]


@pytest.mark.parametrize("found", ["maint", "drain"])
async def test_what_a_person_has_set_is_what_the_host_gets_back(tmp_path: Path, found: str) -> None:
    async with scene(tmp_path) as on:
        name = on.bench.host.name
        await on.haproxy.command(f"set server shop/{name} state {found}")
        turn = on.bench.turn(on.next_release)
        assert (await on.bench.run(turn)).outcome.good
        assert await on.admin() == found
