"""Four situations in which a deployment easily does the wrong thing; each beside its control.

The hosts themselves are asked what they run; the catalog must hold the proof that every rule was
kept.
"""

import itertools
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest

from apollo.client import DeploymentHandle
from apollo.domain.rollout import DeploymentResult
from apollo.domain.status import Serving
from apollo.proof import Verdict
from apollo.testing.artifact import Fault
from tests.support.gate import close_gates, gated_release, open_gate
from tests.support.scene import eventually
from tests.support.status_page import StatusPage
from tests.support.witness import versions
from tests.support.world import World

FLEET = {"fra1": 3, "ams1": 3, "lhr1": 2}
FRA = ("fra1-01", "fra1-02", "fra1-03")
HOSTS = sum(FLEET.values())
QUICK = "strategy: {waves: [100%], max_unavailable: 100%}"
LONG = 1200
"""Rounds of waiting, of a twentieth of a second each."""


@dataclass
class Bites:
    """A world in which one deployment after the other is carried out."""

    world: World
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def release(self, *faults: Fault) -> str:
        version = f"{next(self.numbers)}.0"
        await self.world.release(version, *faults)
        return version

    async def gated(self) -> str:
        """A release whose `start` waits for the gate of its location."""
        version = f"{next(self.numbers)}.0"
        await gated_release(self.world, version)
        return version

    async def serving(self) -> str:
        """Every host serves a good release; its version."""
        version = await self.release()
        await self.world.apply(QUICK)
        assert (await self.world.deploy(version)).state == "succeeded"
        return version

    async def start(self, version: str) -> DeploymentHandle:
        return await self.world.apollo.deploy("shop", "prod", version)

    async def says(self, deployment: DeploymentHandle, state: str, pattern: str) -> str:
        """Wait until it is in a state and says something like this; all that it says."""
        found = ""

        async def told() -> bool:
            nonlocal found
            status = await deployment.status()
            found = status.deployment.detail if status else ""
            return bool(status and status.deployment.state == state and re.search(pattern, found))

        try:
            await eventually(told, rounds=LONG)
        except AssertionError:
            raise AssertionError(f"it says {found!r}, not {pattern!r} while {state}") from None
        return found

    async def outcomes(self, deployment: DeploymentHandle) -> dict[str, str]:
        return {row.host: str(row.outcome) for row in await deployment.rows()}

    async def runs(self) -> dict[str, str]:
        return await versions(self.world.fleet)

    async def proven(self, deployment: DeploymentHandle) -> None:
        """No rule was broken, by what the catalog holds."""
        judged = await deployment.prove()
        assert len(judged) == 15
        assert [each for each in judged if each.verdict is Verdict.BROKEN] == []


@pytest.fixture(scope="module")
async def bites(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bites]:
    """Eight hosts in three locations; all of them serve."""
    async with World(tmp_path_factory.mktemp("bites"), FLEET, QUICK) as world:
        world.start_worker()
        bites = Bites(world)
        await bites.serving()
        yield bites


def ended(result: DeploymentResult, state: str, outcomes: Mapping[str, int]) -> None:
    assert (result.state, result.outcomes) == (state, outcomes)
    assert sum(result.outcomes.values()) == HOSTS


# A dead host in a location with one lane.

ONE_LANE = "strategy: {waves: [100%], max_unavailable: 1, max_unreachable: 1}"
TWO_LANES = "strategy: {waves: [100%], max_unavailable: 2, max_unreachable: 1}"


async def test_a_dead_host_in_a_location_with_one_lane_holds_that_location_only(
    bites: Bites,
) -> None:
    """It takes the only place. A person is told who is out; nothing is rolled back."""
    old, new = await bites.serving(), await bites.release()
    await bites.world.apply(ONE_LANE)
    await bites.world.fleet.refuse("fra1-01")
    deployment = await bites.start(new)
    detail = await bites.says(deployment, "paused", "no room in fra1")
    assert "too many hosts are out (max_unavailable): fra1-01; mend them and resume" in detail
    runs = await bites.runs()
    assert [runs[host] for host in FRA] == [old] * 3, "a dead SSH server, not a dead host"
    assert {runs[host] for host in runs if host not in FRA} == {new}, "the others are done"
    rows = {row.host: row for row in await deployment.rows()}
    assert (str(rows["fra1-01"].outcome), rows["fra1-01"].turns) == ("unreachable", 2)
    assert [rows[host].outcome for host in FRA[1:]] == [None, None]
    await bites.proven(deployment)

    await bites.world.fleet.accept("fra1-01")
    await deployment.retry("fra1-01", reason="it is back")
    await deployment.resume("it is back")
    ended(await deployment.result(), "succeeded", {"updated": HOSTS})
    assert set((await bites.runs()).values()) == {new}
    await bites.proven(deployment)


async def test_with_another_lane_the_location_goes_on(bites: Bites) -> None:
    """The control."""
    old, new = await bites.serving(), await bites.release()
    await bites.world.apply(TWO_LANES)
    await bites.world.fleet.refuse("fra1-01")
    deployment = await bites.start(new)
    result = await deployment.result()
    await bites.world.fleet.accept("fra1-01")
    ended(result, "partial", {"updated": HOSTS - 1, "unreachable": 1})
    runs = await bites.runs()
    assert [runs[host] for host in FRA] == [old, new, new]
    await bites.proven(deployment)


# A canary that was broken before.

CANARY = "strategy: {waves: [{share: 1, of: fra1-01}, 100%], max_unavailable: 67%}"
TOLERANT = "strategy: {waves: [100%], max_unavailable: 100%, max_failures: 1}"


async def broken_canary(bites: Bites) -> None:
    """Its root is gone, with what it could have been put back to, and the release fails there."""
    await bites.serving()
    bad = await bites.release(Fault("start", ("fra1-01",)))
    start = bites.world.folder / f"dist-{bad}" / "bin" / "start"
    ruin = 'if faulty start; then find "$root/releases" -path "*/bin/start" -delete; fi\n'
    start.write_text(start.read_text().replace(". bin/common\n", f". bin/common\n{ruin}"))
    worse = f"{bad}-worse"
    dist = start.parent.parent
    await bites.world.apollo.create_release("shop", worse, bites.world.project.setup, dist)
    await bites.world.apply(TOLERANT)
    ended(await bites.world.deploy(worse), "partial", {"updated": HOSTS - 1, "broken": 1})
    known = await bites.world.apollo.hosts("shop", "prod")
    assert known["fra1-01"].serving is Serving.BROKEN


async def test_a_canary_that_was_broken_before_and_stays_so_stops_nothing(bites: Bites) -> None:
    """It says nothing about the release: the wave has passed, and no budget is used."""
    await broken_canary(bites)
    still = await bites.release(Fault("start", ("fra1-01",)))
    await bites.world.apply(CANARY)
    deployment = await bites.start(still)
    ended(await deployment.result(), "partial", {"updated": HOSTS - 1, "broken": 1})
    runs = await bites.runs()
    assert runs.pop("fra1-01") == ""
    assert set(runs.values()) == {still}
    await bites.proven(deployment)

    good = await bites.release()
    deployment = await bites.start(good)
    ended(await deployment.result(), "succeeded", {"updated": HOSTS})
    assert set((await bites.runs()).values()) == {good}
    rows = [row for row in await deployment.rows() if row.started_at]
    first = min(rows, key=lambda row: (row.wave, row.order))
    assert (first.host, first.wave, first.was_broken) == ("fra1-01", 1, True)
    await bites.proven(deployment)


async def test_a_canary_that_served_and_fails_is_a_failure_of_the_release(bites: Bites) -> None:
    """The control."""
    old, bad = await bites.serving(), await bites.release(Fault("start", ("fra1-01",)))
    await bites.world.apply(CANARY)
    deployment = await bites.start(bad)
    ended(await deployment.result(), "rolled_back", {"reverted": 1, "not_started": HOSTS - 1})
    assert set((await bites.runs()).values()) == {old}
    await bites.proven(deployment)


# A location that is cut off in the middle.

PATIENT = "strategy: {waves: [100%], max_unavailable: 1, max_failures: 0, progress_deadline: 8s}"


async def test_a_location_cut_off_in_the_middle_rolls_nothing_back(bites: Bites) -> None:
    """The others finish; when nothing moves, a person is told, and the turn goes on by itself."""
    fleet, world = bites.world.fleet, bites.world
    old, new = await bites.serving(), await bites.gated()
    await world.apply(PATIENT)
    deployment = await bites.start(new)

    async def starting() -> bool:
        begun = {run.host for run in world.hooks() if run.step == "start" and run.release == new}
        return {host.partition("-")[0] for host in begun} == set(FLEET)

    async def without_line() -> bool:
        return fleet.connections(under_way) == 0

    await eventually(starting, rounds=LONG)
    cut = [host.name for host in fleet.hosts if host.location == "ams1"]
    begun = {run.host for run in world.hooks() if run.release == new and run.step == "start"}
    (under_way,) = begun.intersection(cut)
    assert fleet.connections(under_way) > 0, "there is something to cut"
    for host in cut:
        await fleet.refuse(host)
    await eventually(without_line, rounds=LONG)
    for location in ("fra1", "lhr1"):
        open_gate(world, location)

    detail = await bites.says(deployment, "paused", "no turn has ended for 8s in ams1")
    assert "resume goes on waiting" in detail
    outcomes = await bites.outcomes(deployment)
    others = {host: end for host, end in outcomes.items() if host not in cut}
    assert set(others.values()) == {"updated"}, "the others have finished"
    assert [outcomes[host] for host in cut] == ["None"] * 3, "nothing has failed"
    assert {row.phase for row in await deployment.rows()} == {"forward"}, "nothing goes back"
    runs = await bites.runs()
    waiting = [host for host in cut if host != under_way]
    assert [runs[host] for host in waiting] == [old, old], "they serve as before"

    open_gate(world, "ams1")
    for host in cut:
        await fleet.accept(host)
    await deployment.resume("the line is mended")
    ended(await deployment.result(), "succeeded", {"updated": HOSTS})
    assert set((await bites.runs()).values()) == {new}
    starts = [run.host for run in world.hooks() if run.release == new and run.step == "start"]
    assert sorted(starts) == sorted(outcomes), "each hook has run once"
    row = next(row for row in await deployment.rows() if row.host == under_way)
    assert row.attached or row.turns == 1
    await bites.proven(deployment)


async def test_a_release_that_fails_in_one_location_is_rolled_back(bites: Bites) -> None:
    """The control: what hosts say about the release, and not what lines say about themselves."""
    old, bad = await bites.serving(), await bites.release(Fault("start", ("ams1-*",)))
    await bites.world.apply(PATIENT)
    deployment = await bites.start(bad)
    result = await deployment.result()
    assert result.state == "rolled_back"
    assert sum(result.outcomes.values()) == HOSTS
    assert set((await bites.runs()).values()) == {old}
    await bites.proven(deployment)


# An alarm source that is down.


@pytest.fixture
async def source() -> AsyncIterator[StatusPage]:
    source = StatusPage()
    await source.up()
    yield source
    await source.close()


def watched(source: StatusPage, bake: str) -> str:
    http = f'{{url: "{source.url}", json: status, expect: [none]}}'
    waves = f"[{{share: 1, of: fra1-01, bake: {bake}}}, 100%]"
    return (
        f"alarms: [{{name: page, http: {http}}}]\n"
        f"    strategy: {{waves: {waves}, max_unavailable: 100%}}"
    )


async def test_an_alarm_source_that_goes_down_holds_the_next_wave(
    bites: Bites, source: StatusPage
) -> None:
    """It says nothing about the release: nothing is rolled back, and it goes on by itself."""
    old = await bites.serving()
    await bites.world.apply(watched(source, "1s"))
    close_gates(bites.world)
    gated = await bites.gated()
    deployment = await bites.start(gated)

    async def starting() -> bool:
        return any(run.step == "start" and run.release == gated for run in bites.world.hooks())

    await eventually(starting, rounds=LONG)
    assert source.asked, "it was asked before the first turn"
    await source.down()
    await bites.says(deployment, "running", "page cannot be read")
    for location in FLEET:
        open_gate(bites.world, location)
    detail = await bites.says(deployment, "awaiting", "wave 2 waits: alarm page cannot be read")
    assert detail.endswith("approve goes on without it")
    runs = await bites.runs()
    assert runs.pop("fra1-01") == gated
    assert set(runs.values()) == {old}
    assert {row.phase for row in await deployment.rows()} == {"forward"}

    await source.up()
    ended(await deployment.result(), "succeeded", {"updated": HOSTS})
    assert set((await bites.runs()).values()) == {gated}
    assert [word.action for word in await deployment.audit()] == ["deploy"], "nobody said a word"
    await bites.proven(deployment)


async def test_an_alarm_that_fires_rolls_the_release_back(bites: Bites, source: StatusPage) -> None:
    """The control: the same source, which answers."""
    old, new = await bites.serving(), await bites.release()
    await bites.world.apply(watched(source, "1h"))
    deployment = await bites.start(new)
    await bites.says(deployment, "baking", "")
    source.state = "major"
    ended(await deployment.result(), "rolled_back", {"rolled_back": 1, "not_started": HOSTS - 1})
    assert set((await bites.runs()).values()) == {old}
    await bites.proven(deployment)
