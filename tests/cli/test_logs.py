"""`apollo logs`, of turns that have ended."""

import json

import pytest

from apollo.catalog import Catalog
from apollo.domain.outputs import WELL, StepOutput, pack
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.turn import Step, TurnRecord
from tests.cli.conftest import Shop
from tests.support.catalogs import opened


async def write(catalog: Catalog) -> None:
    """Two deployments; in the second one the turn failed, and was had once more."""
    for number, (text, code) in enumerate((("first\n", 0), ("no\x1btable\n", 3)), 1):
        deployment = await opened(catalog, f"w{number}", "a")
        printed = [StepOutput(step="start", text=text, cut=7 if code else 0)]
        record = TurnRecord(
            host="web1",
            outcome=Outcome.REVERTED if code else Outcome.UPDATED,
            steps=(Step(name="stop", exit=0), Step(name="start", exit=code, seconds=2)),
            outputs=pack(printed, WELL),
        )
        await catalog.turns.record(deployment.uuid, "forward", [record])
        await catalog.deployments.end(deployment.uuid, DeploymentState.HALTED, "")


@pytest.fixture
def written(applied: Shop) -> Shop:
    applied.in_catalog(write)
    return applied


def test_the_last_turn_is_shown(written: Shop) -> None:
    """Control characters do not reach the terminal."""
    out = written.good("logs", "prod", "web1").out

    assert out.splitlines()[:2] == [
        "== start  turn 1, exit 3, 2.0s",
        "… 7 bytes before this are not here",
    ]
    assert "first" not in out
    assert "\x1b" not in out


def test_an_earlier_deployment_is_shown_by_its_number(written: Shop) -> None:
    assert written.good("logs", "prod#1", "web1").out == "== start  turn 1, exit 0, 2.0s\nfirst\n"


def test_one_step_as_json(written: Shop) -> None:
    lines = written.good("logs", "prod", "web1", "--step", "start", "--json").out.splitlines()
    (found,) = [json.loads(line) for line in lines]

    assert (found["step"], found["exit"], found["cut"], found["turn"]) == ("start", 3, 7, 1)
    assert written.good("logs", "prod", "web1", "--step", "stop").out == ""


def test_a_host_without_a_turn_is_named(written: Shop) -> None:
    said = written("logs", "prod#1", "web9")

    assert said.code != 0
    assert "web9 has had no turn in shop/prod#1" in said.err
