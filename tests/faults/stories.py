"""What befalls a host in the middle of its turn, and how the turn ends all the same.

Hooks count themselves on the host. They run in the release's folder and wait in the step that a
story is about, so that what is cut is really at work.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from apollo.domain.balancer import BalancerSpec, Drain, FileBalancer
from apollo.domain.fleet import Host
from apollo.domain.setup import Health
from apollo.domain.turn import TurnInput, TurnRecord
from apollo.errors import TurnError
from tests.support.bench import Bench
from tests.support.openssh import OpenSshFleet, OpenSshHost

HOOKS = ("install", "stop", "start", "validate")
STEPS = ("install", "drain", "stop", "start", "validate", "verify", "restore", "put back")
FAULTS = ("cut", "killed", "rebooted", "full")
WAITS = 1.5
"""Seconds that a hook waits in the step that the story is about."""
SLOW = {"stop": "1 stop", "put back": "1 start"}
"""Release and hook that wait in a step, where it is not the new release's hook of that name."""
SCRIPT = """
step=${{0##*/}}
echo "$APOLLO_RELEASE $APOLLO_TURN $step" >>"$APOLLO_ROOT/ran"
[ "$(cat "$APOLLO_ROOT/slow")" = "{version} $step" ] || exit {code}
: >"$APOLLO_ROOT/at"
sleep {seconds}
exit {code}
"""
ALIVE = """
[ "$(cat "$APOLLO_ROOT/slow")" = "{version} verify" ] || exit 0
: >"$APOLLO_ROOT/at"
sleep {seconds}
"""
BALANCER = BalancerSpec(
    drain=Drain(wait=timedelta(seconds=1)), file=FileBalancer(wait=timedelta(seconds=1))
)


@dataclass
class Story:
    """How a host came through."""

    fault: str
    step: str
    record: TurnRecord | None = None
    errors: list[str] = field(default_factory=list)
    """Of attempts that ended without a record."""
    ran: Counter[str] = field(default_factory=Counter)
    """`RELEASE TURN HOOK` → how often it ran in the turn."""
    current: str = ""
    online: bool = False
    unfinished: list[str] = field(default_factory=list)
    """Releases that `current` could point to though they are not finished."""


@dataclass
class Teller:
    """Lets stories happen on the hosts of a fleet, each on a host of its own."""

    fleet: OpenSshFleet
    folder: Path

    async def tell(
        self, host: OpenSshHost, fault: str, step: str, *, forget: bool = False
    ) -> Story:
        """Deploy release 1, then another one to which the fault happens in that step.

        `forget`: the host's journal is lost between the attempts; for controls.
        """
        story, root = Story(fault, step), host.disk / "shop"
        bench = self._bench(host)
        first, second = await self._releases(bench, step)
        root.mkdir()
        (root / "slow").write_text("nothing\n")
        (root / "online").touch()
        assert (await bench.run(bench.turn(first))).outcome.good
        (root / "ran").unlink()
        (root / "slow").write_text(f"{SLOW.get(step, f'2 {step}')}\n")
        turn = bench.turn(second)
        await self._befall(bench, host, turn, story)
        if forget:
            await asyncio.sleep(WAITS)
            shutil.rmtree(root / ".apollo" / "journal")
            (root / ".apollo" / "opened").unlink()
        await self._go_on(bench, turn, story)
        story.ran = Counter((root / "ran").read_text().splitlines())
        story.current = (root / "current" / "version").read_text()
        story.online = (root / "online").exists()
        finished = {file.name for file in (root / ".apollo" / "finished").iterdir()}
        story.unfinished = sorted({(root / "current").readlink().name} - finished)
        return story

    def _bench(self, host: OpenSshHost) -> Bench:
        folder = self.folder / host.name
        folder.mkdir()
        described = Host(name=host.name, location="lab1", address=host.address, user="root")
        health = Health(
            command="bin/alive",
            healthy_for=timedelta(milliseconds=100),
            deadline=timedelta(seconds=60),
            timeout=timedelta(seconds=20),
        )
        hooks = {name: f"bin/{name}" for name in HOOKS}
        return Bench(
            folder, described, host.host_key, self.fleet.key, "/srv/shop", BALANCER, health, hooks
        )

    async def _releases(self, bench: Bench, step: str) -> list[str]:
        releases = []
        for version in ("1", "2"):
            fails = step == "put back" and version == "2"
            scripts = {
                name: SCRIPT.format(
                    version=version, seconds=WAITS, code=int(fails and name == "validate")
                )
                for name in HOOKS
            }
            alive = ALIVE.format(version=version, seconds=WAITS)
            releases.append(await bench.release(version, alive=alive, **scripts))
        return releases

    async def _befall(self, bench: Bench, host: OpenSshHost, turn: TurnInput, story: Story) -> None:
        """The first attempt, which does not come through; but a full disk need not stop it."""
        root = host.disk / "shop"
        (root / "at").unlink(missing_ok=True)
        if story.fault == "killed":
            attempt = bench.process(turn)
            await until(lambda: at(root, story.step))
            attempt.process.kill()
            await asyncio.to_thread(attempt.process.communicate)
            return
        running = asyncio.create_task(bench.run(turn))
        await until(lambda: at(root, story.step) or running.done())
        assert not running.done(), running.result()
        if story.fault == "full":
            await self._fill(host, running, story)
            return
        await asyncio.to_thread(host.cut if story.fault == "cut" else host.reboot)
        try:
            story.record = await running
        except TurnError as error:
            story.errors.append(error.code)
        if story.fault == "cut":
            await asyncio.to_thread(host.heal)

    async def _fill(
        self, host: OpenSshHost, running: "asyncio.Task[TurnRecord]", story: Story
    ) -> None:
        filler = host.disk / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"x" * (1 << 16))
        with suppress(OSError), filler.open("ab") as file:
            file.write(b"x" * 4096)
        try:
            story.record = await running
        except TurnError as error:
            story.errors.append(error.code)
        filler.unlink()

    async def _go_on(self, bench: Bench, turn: TurnInput, story: Story) -> None:
        for number in range(2, 12):
            if story.record:
                return
            try:
                story.record = await bench.run(turn, number)
            except TurnError as error:
                story.errors.append(error.code)
                await asyncio.sleep(0.5)


def at(root: Path, step: str) -> bool:
    """Whether the host is in the middle of that step, as its files say."""
    if step == "drain":
        return not (root / "online").exists()
    if step == "restore":
        return (root / "online").exists() and "2 1 validate" in (root / "ran").read_text()
    return (root / "at").exists()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that must come true."""
    for _ in range(3000):
        with suppress(FileNotFoundError):
            if condition():
                return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come true")
