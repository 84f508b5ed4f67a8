"""A hook removes the journal of its own turn: nobody knows any more which hooks have run."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apollo.domain.balancer import BalancerSpec, Drain, HaproxyBalancer
from apollo.domain.fleet import Host
from apollo.domain.setup import Health
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnRecord
from apollo.errors import ContactLost, JournalLost
from apollo.testing.fleet import SshFleet
from tests.support.bench import Bench
from tests.support.haproxy import HaproxyServer

RAN = 'echo "$APOLLO_RELEASE ${0##*/}" >>"$APOLLO_ROOT/ran"\n'
START = f"""{RAN}cd "$APOLLO_ROOT/current" || exit
setsid python3 -m http.server "$PORT" --bind 127.0.0.1 >/dev/null 2>&1 &
echo $! >"$APOLLO_ROOT/pid"
"""
STOP = f'{RAN}kill "$(cat "$APOLLO_ROOT/pid")"'
REMOVE = 'rm -rf "$APOLLO_ROOT/.apollo/journal"\n'


@dataclass
class Scene:
    """One host behind a real HAProxy, and the releases that come to it."""

    desk: Bench
    haproxy: HaproxyServer
    name: str

    async def release(self, version: str, **scripts: str) -> str:
        kept = {"install": f"{RAN}sleep 0.2", "start": START, "stop": STOP}
        port = (
            f"PORT={self.desk.health.http.port}\n"
            if self.desk.health and self.desk.health.http
            else ""
        )
        return await self.desk.release(
            version, **{name: port + text for name, text in {**kept, **scripts}.items()}
        )

    async def turn(self, digest: str, **more: Any) -> list[TurnRecord | JournalLost]:
        """What each attempt at a turn comes to, until one says how it ended."""
        given, came = self.desk.turn(digest, **more), list[TurnRecord | JournalLost]()
        while not came or isinstance(came[-1], JournalLost):
            assert len(came) < 4
            try:
                came.append(await self.desk.run(given, len(came) + 1))
            except JournalLost as error:
                came.append(error)
        return came

    @property
    def ran(self) -> list[str]:
        """The hooks that have run, as they say themselves."""
        return (Path(self.desk.root) / "ran").read_text().splitlines()

    async def serves(self) -> str:
        """What HAProxy does with the host."""
        return (await self.haproxy.admin())[self.name]


@pytest.fixture
async def scene(tmp_path: Path, program: Callable[[str], str]) -> AsyncIterator[Scene]:
    program("haproxy")
    async with SshFleet(tmp_path / "fleet", {"fra1": 1}) as fleet:
        (found,) = fleet.hosts
        names = ("name", "location", "address", "port", "user")
        host = Host(**{name: getattr(found, name) for name in names})
        http = {"http": {"port": str(found.app_port), "path": "/version"}, "healthy_for": "300ms"}
        async with HaproxyServer(tmp_path / "haproxy", {host.name: found.app_port}) as haproxy:
            desk = Bench(
                tmp_path,
                host,
                found.host_key,
                fleet.client_key,
                f"{found.folder}/shop",
                BalancerSpec(
                    drain=Drain(wait=timedelta(0)),
                    haproxy=HaproxyBalancer(at=haproxy.addresses[:1], backends=("shop",)),
                ),
                Health.model_validate({**http, "deadline": "10s"}),
                {"install": "bin/install", "start": "bin/start", "stop": "bin/stop"},
            )
            yield Scene(desk, haproxy, host.name)


async def test_the_host_is_put_back_and_no_hook_runs_again(scene: Scene) -> None:
    """With the balancer as the turn had found it; the next turn is as any other."""
    await scene.turn(await scene.release("1"))
    assert await scene.serves() == "ready"
    came = await scene.turn(await scene.release("2", start=START + REMOVE))
    error, record = came
    assert isinstance(error, JournalLost)
    assert isinstance(record, TurnRecord)
    assert (record.outcome, record.error) == (Outcome.REVERTED, "JournalLost")
    assert "a hook has removed the turn's journal" in record.message
    assert scene.ran == [
        *("1 install", "1 start"),
        *("2 install", "1 stop", "2 start"),
        *("2 stop", "1 start"),
    ]
    assert await scene.serves() == "ready"

    (record,) = await scene.turn(await scene.release("3"))
    assert isinstance(record, TurnRecord)
    assert record.outcome is Outcome.UPDATED
    assert await scene.serves() == "ready"


async def test_without_what_is_kept_beside_the_journal_hooks_run_again(scene: Scene) -> None:
    """The control: what keeps them from that is `.apollo/opened`."""
    await scene.turn(await scene.release("1"))
    remove = f'{REMOVE}rm "$APOLLO_ROOT/.apollo/opened"'
    given = scene.desk.turn(await scene.release("2", start=START + remove))
    for attempt in (1, 2):
        with pytest.raises(ContactLost, match="NoTurn"):
            await scene.desk.run(given, attempt)
    assert scene.ran.count("2 start") == 2


async def test_a_server_that_a_person_had_in_maintenance_stays_there(scene: Scene) -> None:
    await scene.turn(await scene.release("1"))
    await scene.haproxy.command(f"set server shop/{scene.name} state maint")
    _, record = await scene.turn(await scene.release("2", start=START + REMOVE))
    assert isinstance(record, TurnRecord)
    assert (record.outcome, await scene.serves()) == (Outcome.REVERTED, "maint")


async def test_before_the_drain_the_host_serves_on(scene: Scene) -> None:
    """`install` is not run again, and nothing else is."""
    await scene.turn(await scene.release("1"))
    came = await scene.turn(await scene.release("2", install=f"{RAN}sleep 0.2\n{REMOVE}"))
    record = came[-1]
    assert isinstance(record, TurnRecord)
    assert (record.outcome, record.error) == (Outcome.REVERTED, "JournalLost")
    assert record.left == "the host was not drained and serves what it served"
    assert scene.ran == ["1 install", "1 start", "2 install"]
    assert await scene.serves() == "ready"


async def test_one_that_is_lost_while_the_host_is_put_back_is_the_end(scene: Scene) -> None:
    """No hook runs a second time, so the host is out, until another turn mends it."""
    lost = await scene.release("1", start=f"{START}[ $APOLLO_TURN != 3 ] || {REMOVE}")
    await scene.turn(lost)
    came = await scene.turn(await scene.release("2", start=f"{START}\nexit 3"), turn=3)
    record = came[-1]
    assert isinstance(record, TurnRecord)
    assert (record.outcome, record.error) == (Outcome.BROKEN, "JournalLost")
    assert scene.ran == [
        *("1 install", "1 start"),
        *("2 install", "1 stop", "2 start"),
        *("2 stop", "1 start"),
    ]
    assert await scene.serves() == "drain"

    (record,) = await scene.turn(await scene.release("3"))
    assert isinstance(record, TurnRecord)
    assert (record.outcome, await scene.serves()) == (Outcome.UPDATED, "ready")
