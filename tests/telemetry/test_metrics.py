"""A real deployment over SSH: what a collector is told of it, and that a page names all of it."""

import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from apollo.telemetry.metrics import METRICS
from tests.support.otlp import Collector, Point, collecting
from tests.support.scene import eventually
from tests.support.trace_picture import picture
from tests.support.world import World

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "telemetry.md"
PICTURE = DOCS / "trace.svg"
KINDS = {
    "counter": "sum",
    "histogram": "histogram",
    "gauge": "gauge",
    "up-down counter": "up-down sum",
}
ROW = re.compile(r"^\| `([a-z_.]+)` \| ([a-z -]+) \| `([^`]*)` \| ([^|]*)\| (.*) \|$", re.M)
STRATEGY = "strategy: {waves: [1, 100%], max_unavailable: 50%, max_failures: 1}"


@dataclass
class Told:
    """What was told of two deployments, the second of which upgraded the first."""

    collector: Collector
    workers: int

    def points(self, name: str, **attributes: str) -> list[Point]:
        wanted = {f"apollo.{key}": value for key, value in attributes.items()}
        found = self.collector.points.get(name, [])
        return [point for point in found if wanted.items() <= point.attributes.items()]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    with collecting() as collector, pytest.MonkeyPatch.context() as patch:
        for name, value in collector.variables.items():
            patch.setenv(name, value)
        folder = tmp_path_factory.mktemp("world")
        async with World(folder, {"fra1": 2, "ams1": 2}, STRATEGY) as world:
            await world.release("1.0.0")
            await world.release("2.0.0")
            world.start_worker()
            await world.deploy("1.0.0")
            collector.spans.clear()
            await world.deploy("2.0.0")
            told = Told(collector, len(world.workers))

            async def counted() -> bool:
                ended = told.points("apollo.deployments", state="succeeded")
                return any(point.value == 2 for point in ended)

            await eventually(counted)
        yield told


def test_the_page_names_every_metric_with_kind_unit_and_attributes() -> None:
    page = {row[0]: row[1:] for row in ROW.findall(PAGE.read_text()) if row[0].startswith("apollo")}
    assert page == {
        metric.name: (
            metric.kind,
            metric.unit,
            ", ".join(f"`apollo.{name}`" for name in metric.attributes) + " ",
            metric.says,
        )
        for metric in METRICS
    }


def test_all_of_them_are_exported_as_the_page_says(told: Told) -> None:
    for metric in METRICS:
        points = told.points(metric.name)
        assert points, metric.name
        for point in points:
            assert (point.unit, point.kind) == (metric.unit, KINDS[metric.kind]), metric.name
            assert set(point.attributes) == {f"apollo.{name}" for name in metric.attributes}


def test_what_temporals_sdk_tells_is_on_the_page(told: Told) -> None:
    page = {row[0]: (row[1], row[2]) for row in ROW.findall(PAGE.read_text())}
    theirs = {name: each[0] for name, each in told.collector.points.items() if "temporal" in name}
    assert {
        "temporal_request",
        "temporal_activity_execution_latency",
        "temporal_worker_task_slots_available",
        "temporal_workflow_completed",
    } <= theirs.keys()
    kinds = {kind: name for name, kind in KINDS.items()}
    assert {
        name: (kinds[point.kind], point.unit or "none") for name, point in theirs.items()
    }.items() <= (page.items())
    others = {
        name for name in told.collector.points if not name.startswith(("temporal_", "apollo"))
    }
    assert others == set()


def test_each_worker_has_a_name_of_its_own(told: Told) -> None:
    """Where it has not, a collector takes two workers' counters for one that jumps."""
    for ours in (True, False):
        found = [
            point.instance
            for name, points in told.collector.points.items()
            for point in points
            if name.startswith("apollo.") is ours
        ]
        assert all(found)
        assert len(set(found)) == told.workers


def test_turns_are_counted_by_outcome_and_location(told: Told) -> None:
    for location in ("fra1", "ams1"):
        points = told.points("apollo.turns", location=location, outcome="updated", phase="forward")
        assert points[-1].value == 4
    durations = told.points("apollo.turn.duration", location="fra1", outcome="updated")
    assert durations[-1].value == 4
    starts = told.points("apollo.step.duration", step="start", ended="well")
    assert starts[-1].value == 8


def test_budgets_and_hosts_that_are_out(told: Told) -> None:
    out = [point.value for point in told.points("apollo.hosts.out", location="fra1")]
    assert out[0] == 2, "nothing had been deployed yet"
    assert out[-1] == 0
    assert told.points("apollo.hosts.drained", location="fra1")[-1].value == 0
    assert {point.value for point in told.points("apollo.budget.left", budget="failures")} == {1}


def test_ssh_connects(told: Told) -> None:
    connected = told.points("apollo.ssh.connects", location="fra1", result="connected")
    assert connected[-1].value >= 4


def test_the_picture_of_a_trace(told: Told) -> None:
    """`APOLLO_DRAW=1` draws the one in the docs anew."""
    collector = told.collector
    assert collector.orphans() == []
    assert collector.repeated() == []
    ahead = [span.name for span in collector.spans if span.attributes.get("apollo.ahead")]
    assert sorted(ahead) == ["install"] * 4 + ["unpack"] * 4
    drawn = picture(collector.spans)
    if os.environ.get("APOLLO_DRAW"):
        PICTURE.write_text(drawn)
    assert shown(PICTURE.read_text()) == shown(drawn)
    assert "trace.svg" in PAGE.read_text()


def shown(svg: str) -> list[str]:
    """What a picture shows, without when."""
    root = ElementTree.fromstring(svg)
    groups = [each for each in root if each.tag.endswith("}g")]
    names = [str(each.get("class")) for each in groups]
    assert names.count("deploy") == names.count("deployment") == 1
    assert names.count("batch") == 2
    assert names.count("turn") == names.count("start") == 4
    return sorted(names)
