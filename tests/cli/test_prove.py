"""`show --prove`: fifteen rules, their evidence and an exit code."""

import json
import re
from datetime import timedelta

import pytest

from apollo.catalog import Catalog
from apollo.domain.plan import HostState
from apollo.domain.rollout import Phase
from apollo.domain.status import DeploymentState, Outcome, Serving
from apollo.domain.turn import Step, TurnRecord
from tests.cli.conftest import Shop
from tests.support.catalogs import digest, opened

NAMES = [
    "capacity",
    "stripes",
    "order",
    "waves",
    "budgets",
    "a failed turn",
    "rollback",
    "skip",
    "hooks run once",
    "nothing is lost",
    "one at a time",
    "control",
    "bake",
    "progress",
    "emergencies",
]
STEPS = (Step(name="stop", exit=0, seconds=1), Step(name="start", exit=0, seconds=2))
FORWARD: Phase = "forward"


async def play(catalog: Catalog, *, together: bool, ends: bool = True) -> None:
    """A deployment to four hosts that serve, one after the other or all at once."""
    one = await opened(catalog, "w0", "a")
    await catalog.leases.take("shop", "prod", "w0", "run", one.number, 0)
    ran = [record(f"web{n}", one.opened_at, "a") for n in range(1, 5)]
    await catalog.turns.record(one.uuid, FORWARD, ran)
    await catalog.deployments.end(one.uuid, DeploymentState.SUCCEEDED)
    await catalog.leases.release("w0")

    serving = HostState(serving=Serving.SERVING, manifest=digest("a"), release="a")
    states = {f"web{n}": serving for n in range(1, 5)}
    two = await opened(catalog, "w1", "b", states=states)
    lease = await catalog.leases.take("shop", "prod", "w1", "run", two.number, 0)
    assert lease
    rows = await catalog.plans.rows(two.uuid, FORWARD)
    records = [
        record(row.host, two.opened_at + timedelta(seconds=60 if together else 60 * row.order), "b")
        for row in rows
    ]
    await catalog.turns.record(two.uuid, FORWARD, records[: None if ends else 2])
    await catalog.audit.add(
        "deploy",
        by="ada",
        application="shop",
        environment="prod",
        deployment=two.uuid,
        reason="release day",
    )
    if ends:
        await catalog.deployments.end(two.uuid, DeploymentState.SUCCEEDED)


def record(host: str, began: object, runs: str) -> TurnRecord:
    return TurnRecord.model_validate(
        {
            "host": host,
            "outcome": Outcome.UPDATED,
            "manifest": digest(runs),
            "release": runs,
            "steps": STEPS,
            "began_at": began,
            "seconds": 50.0,
        }
    )


@pytest.fixture
def well(applied: Shop) -> Shop:
    plain = "waves: [100%]"
    applied.edit("waves: [{share: 1, of: canary=yes, bake: 10m, approval: true}, 100%]", plain)
    applied.good("apply", "prod", "--yes")
    return applied


def test_what_is_proven_is_shown_rule_by_rule(well: Shop) -> None:
    well.in_catalog(lambda catalog: play(catalog, together=False))
    said = well("show", "prod#2", "--prove")

    lines = [line for line in said.out.splitlines() if re.match(r"\d", line)]
    names = [re.split(r"  +", line)[1] for line in lines]
    assert said.out.startswith("shop/prod#2  ")
    assert names == NAMES
    assert re.search(r"^11 +one at a time +✔ kept +the lease was granted", said.out, re.MULTILINE)
    assert "    never shown: when a host was drained: a turn counts as out" in said.out


def test_a_broken_rule_has_its_evidence_and_an_exit_code(well: Shop) -> None:
    well.in_catalog(lambda catalog: play(catalog, together=True))
    said = well("show", "prod#2", "--prove")

    assert said.code == 1
    assert re.search(r"^1 +capacity +✘ broken +4 hosts in service", said.out, re.MULTILINE)
    told = (
        r"^    broken: web\d at 20\S+Z: began its turn while 1 of \w+ were out \(web\d\), 1 allowed"
    )
    assert re.search(told, said.out, re.MULTILINE)
    assert "✘ broken " in said.out.splitlines()[-1]
    assert "✘ broken" in well("show", "prod", "--prove").out, "the last one needs no number"


def test_the_proof_as_json(well: Shop) -> None:
    well.in_catalog(lambda catalog: play(catalog, together=True))
    said = well("show", "prod#2", "--prove", "--json")
    document = json.loads(said.out)

    assert (said.code, document["broken"], document["deployment"]) == (1, True, "shop/prod#2")
    assert [rule["name"] for rule in document["rules"]] == NAMES
    assert [rule["rule"] for rule in document["rules"]] == list(range(1, 16))
    assert {rule["verdict"] for rule in document["rules"]} <= {"kept", "broken", "not recorded"}
    first = document["rules"][0]
    assert first["verdict"] == "broken"
    assert {breach["host"] for breach in first["broken"]} <= {f"web{n}" for n in range(1, 5)}
    assert all(breach["at"] and breach["what"] for breach in first["broken"])
    assert first["never_shown"]


def test_one_that_has_not_ended_is_judged_so_far(well: Shop) -> None:
    well.in_catalog(lambda catalog: play(catalog, together=False, ends=False))
    said = well("show", "prod#2", "--prove")

    assert "so far: turns under way are not in the catalog" in said.out.splitlines()[0]
    assert re.search(r"^10 +nothing is lost +\? not recorded", said.out, re.MULTILINE)


def test_a_proof_is_of_whole_deployments_and_of_those_there_are(applied: Shop) -> None:
    said = applied("show", "prod#1", "--prove", "--host", "web1")
    assert (said.code, "--prove judges whole deployments" in said.err) == (2, True)
    said = applied("show", "prod#1", "--prove")
    assert (said.code, "no deployment shop/prod#1" in said.err) == (2, True)
