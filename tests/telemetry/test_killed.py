"""Workers are killed, and each trace is whole: nothing is missing, nothing is there twice."""

import json
from collections.abc import Callable
from pathlib import Path

from apollo.domain.rollout import DeploymentResult
from apollo.domain.status import DeploymentState
from apollo.local.judge import read_hook_log
from tests.support.gate import gated_release, open_gate, until_attached
from tests.support.otlp import Collector, Span
from tests.support.scene import eventually
from tests.support.world import World

HOSTS = ["ams1-01", "fra1-01"]
AT_ONCE = "strategy: {waves: [100%], max_unavailable: 100%}"
WORKER = "tests.telemetry.brisk"


def a_world(folder: Path) -> World:
    return World(folder, {"fra1": 1, "ams1": 1}, AT_ONCE, takeover=2)


def lines(world: World) -> list[dict[str, object]]:
    """What workers have logged."""
    log = (world.folder / "worker.log").read_text().splitlines()
    return [json.loads(line) for line in log if line.startswith("{")]


async def test_a_worker_that_is_killed_in_a_turn(tmp_path: Path, collector: Collector) -> None:
    async with a_world(tmp_path) as world:
        await gated_release(world, "1.0.0")
        world.start_worker(WORKER, **collector.variables)
        deployment = await world.apollo.deploy("shop", "prod", "1.0.0")
        await eventually(lambda: both_started(world), rounds=1200)
        killed = world.kill_worker()
        before = list(collector.spans)
        world.start_worker(WORKER, **collector.variables)
        await until_attached(world)
        open_gate(world, "fra1")
        open_gate(world, "ams1")
        result = await deployment.result()
        logged = lines(world)

    assert result.state is DeploymentState.SUCCEEDED
    assert [span.name for span in before] == ["deploy"], "the client; no turn had ended"
    assert killed
    assert sorted(span.host for span in collector.named("turn")) == HOSTS
    assert all(span.attributes["apollo.attempts"] > 1 for span in collector.named("turn"))
    assert all("activate" in span.attributes["apollo.attached"] for span in collector.named("turn"))
    assert sorted(span.host for span in collector.named("start")) == HOSTS
    (trace,) = {span.trace for span in collector.spans}
    assert collector.orphans() == []
    assert collector.repeated() == []
    assert {span.service for span in collector.spans} == {"apollo", "apollo-worker"}
    turns = [line for line in logged if line["event"] in ("turn begins", "turn ended")]
    assert len([line for line in turns if line["event"] == "turn begins"]) == 4
    said = {(line["deployment"], line["wave"], line["trace_id"]) for line in turns}
    assert said == {("shop/prod#1", 1, trace)}
    assert sorted({str(line["host"]) for line in turns}) == HOSTS


async def both_started(world: World) -> bool:
    return [run.step for run in read_hook_log(world.hook_log)].count("start") == 2


async def told_twice(world: World, collector: Collector, **variables: str) -> DeploymentResult:
    """A worker is killed when its turns' spans have arrived, before Temporal hears of their end."""
    kills: list[Callable[[], int]] = [world.kill_worker]

    def kill_once(spans: list[Span]) -> None:
        if kills and any(span.name == "turn" for span in spans):
            kills.pop()()

    await world.release("1.0.0")
    collector.before_answer = kill_once
    world.start_worker(WORKER, **collector.variables, **variables)
    deployment = await world.apollo.deploy("shop", "prod", "1.0.0")
    await eventually(lambda: killed(kills), rounds=1200)
    world.start_worker(WORKER, **collector.variables, **variables)
    return await deployment.result()


async def killed(kills: list[Callable[[], int]]) -> bool:
    return not kills


async def test_a_worker_that_is_killed_when_its_spans_have_arrived(
    tmp_path: Path, collector: Collector
) -> None:
    async with a_world(tmp_path) as world:
        result = await told_twice(world, collector)

    assert result.state is DeploymentState.SUCCEEDED
    assert collector.repeated() != [], "the attempt after the kill told it again"
    assert collector.doubled() == []
    assert collector.orphans() == []


async def test_with_ids_drawn_at_random_spans_are_doubled(
    tmp_path: Path, collector: Collector
) -> None:
    """The control: what keeps a killed worker from doubling spans is where their ids come from."""
    async with a_world(tmp_path) as world:
        result = await told_twice(world, collector, RANDOM_IDS="1")

    assert result.state is DeploymentState.SUCCEEDED
    assert collector.doubled() != []
    assert collector.orphans() != []
