"""`setup.once`, as plan and show tell it."""

import json

import pytest

from apollo.catalog import Catalog
from apollo.catalog.records import NewDeployment
from apollo.domain.once import OnceOutline
from apollo.domain.outputs import WELL, StepOutput, pack
from apollo.domain.plan import make_plan
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.strategy import Strategy
from apollo.domain.turn import Step, TurnRecord
from tests.cli.conftest import Shop


async def write(catalog: Catalog) -> None:
    """A deployment whose `before` failed."""
    deployment = await catalog.deployments.open(
        NewDeployment(workflow_id="w1", run_id="r", application="shop", environment="prod")
    )
    fleet = (await catalog.environments.get("shop", "prod")).environment.fleet
    plan = make_plan(fleet, Strategy(), {}, {})
    once = [
        OnceOutline(when="before", run="bin/migrate", on="role=web", host="web1"),
        OnceOutline(when="after", run="bin/announce", host="web1"),
    ]
    summary = {"once": [each.model_dump(mode="json") for each in once]}
    await catalog.plans.store(deployment.uuid, plan.hosts, {}, {}, summary)
    record = TurnRecord(
        host="web1",
        turn=0,
        outcome=Outcome.REVERTED,
        steps=(Step(name="once.before", exit=3, seconds=2),),
        outputs=pack([StepOutput(step="once.before", text="no such table\n")], WELL),
    )
    await catalog.outputs.record(deployment.uuid, [record])
    await catalog.deployments.end(deployment.uuid, DeploymentState.FAILED, "")


@pytest.fixture
def failed(applied: Shop) -> Shop:
    applied.in_catalog(write)
    return applied


def test_show_tells_what_ran_once_and_what_did_not(failed: Shop) -> None:
    out = failed.good("show", "prod#1").out
    document = json.loads(failed.good("show", "prod#1", "--json").out)

    assert "once.before  bin/migrate: exit 3 on web1 after 2.0s\n" in out
    assert "once.after   bin/announce: has not run\n" in out
    assert [each["step"] for each in document["once"]] == ["once.before", "once.after"]
    assert document["once"][0]["ran"][0]["text"] == "no such table\n"


def test_logs_has_what_it_printed(failed: Shop) -> None:
    """Also when the host had no turn in that deployment."""
    assert failed.good("logs", "prod", "web1").out == (
        "== once.before  turn 0, exit 3, 2.0s\nno such table\n"
    )
