"""`show`, `history --audit` and the words about hosts, of a deployment that had a hard time."""

import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from apollo.catalog import Catalog
from apollo.domain.rollback import RollbackTurn
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.turn import Step, TurnRecord
from tests.cli.conftest import Shop
from tests.support.catalogs import digest, opened

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEPS = (Step(name="stop", exit=0, seconds=0.5), Step(name="start", exit=0, seconds=2))
FLEET = 40


def record(host: str, outcome: Outcome = Outcome.UPDATED, **more: object) -> TurnRecord:
    number = int(host.removeprefix("web"))
    values = {
        "manifest": digest("a"),
        "release": "a",
        "steps": STEPS,
        "began_at": BEGAN + timedelta(seconds=number),
        "seconds": 10.0 + number,
        **more,
    }
    return TurnRecord.model_validate({"host": host, "outcome": outcome, **values})


def failed(host: str, code: int) -> TurnRecord:
    steps = (STEPS[0], Step(name="start", exit=code, seconds=1))
    return record(
        host,
        Outcome.REVERTED,
        error="HookFailed",
        step="start",
        message=f"{host}: start exit {code}, expected 0: /srv/{host}/run: no such file",
        steps=steps,
        output=f"/srv/{host}/run: no such file\n",
        left="the host was put back and serves 1.0",
    )


@pytest.fixture
def hard(applied: Shop) -> Shop:
    """shop/prod#1 of 40 hosts: 12 failed in two ways, one attached, and people spoke to it."""
    hosts = "\n".join(f"      web{n}: {{address: 10.0.3.{n}}}" for n in range(5, FLEET + 1))
    applied.edit("      web4:", f"{hosts}\n      web4:", file="fleet.yaml")
    applied.good("apply", "prod", "--yes", "--reason", "more room")

    async def play(catalog: Catalog) -> None:
        one = await opened(catalog, "w1", "a")
        await catalog.deployments.set_state(one.uuid, DeploymentState.RUNNING)
        bad = [failed(f"web{n}", 3 if n < 11 else 4) for n in range(1, 13)]
        late = record("web13", attached=("start",), attempts=2)
        good = [record(f"web{n}") for n in range(14, FLEET)]
        await catalog.turns.record(one.uuid, "forward", [*bad, late, *good])
        for action, who, kind, why, detail in (
            ("deploy", "carl", "declared", "release day", {}),
            ("pause", "ben", "declared", "latency is up", {}),
            ("pace", "https://idp/eve", "verified", "", {"detail": "20%"}),
        ):
            await catalog.audit.add(
                action,
                by=who,
                kind="verified" if kind == "verified" else "declared",
                application="shop",
                environment="prod",
                deployment=one.uuid,
                reason=why,
                detail=detail,
            )
        await catalog.deployments.end(one.uuid, DeploymentState.HALTED, "12 hosts failed")

    applied.in_catalog(play)
    return applied


def test_show_tells_the_whole_story(hard: Shop) -> None:
    out = hard.good("show", "prod#1").out

    assert out.startswith("shop/prod#1  nothing -> a  ✘ halted")
    assert "updated 27" in out
    assert "by       unknown (declared)\n" in out
    assert re.search(r"planned +40 hosts, revision 0\n", out)
    assert re.search(r"Z  wave 2 began: 39 hosts\n", out)
    assert re.search(r"Z  ben \(declared\) said pause: latency is up\n", out)
    assert re.search(r"Z  https://idp/eve \(verified\) said pace 20%\n", out)
    assert re.search(r"Z  ended halted: 12 hosts failed\n", out)
    assert "error[HookFailed] in start, exit 3: 10 hosts: web1, web3, web2, " in out
    assert "error[HookFailed] in start, exit 4: 2 hosts: web11, web12" in out
    assert "attached again after contact was lost: web13 in start\n" in out
    slowest = [line.split()[0] for line in out.partition("slowest hosts\n")[2].splitlines()[:5]]
    assert slowest == ["web39", "web38", "web37", "web36", "web35"]
    assert re.search(r"start +39 +2\.0s +2\.0s +web\d+\n", out)
    assert re.search(r"outside +39 +27\.5s +46\.5s +web39\n", out)
    assert re.search(r"web39 .* 49\.0s  stop 500ms, start 2\.0s, outside 46\.5s\n", out)


def test_show_is_bounded_and_shows_all_when_asked(hard: Shop) -> None:
    out, everything = hard.good("show", "prod#1").out, hard.good("show", "prod#1", "--all").out

    assert "↩ reverted: 12 hosts\n" in out
    assert "  and 7 more: --all shows them\n" in out
    assert len(out.splitlines()) < 70
    for n in range(1, FLEET + 1):
        assert re.search(rf"^  web{n} +(fra1|ams1) +wave", everything, re.MULTILINE), n
    assert "--all" not in everything


def test_show_of_one_host_has_its_steps_and_output(hard: Shop) -> None:
    out = hard.good("show", "prod#1", "--host", "web11").out

    assert "↩ reverted  web11 (ams1), wave 2\n" in out
    assert re.search(r"took +21\.0s\n", out)
    assert re.search(r"start +4 +1\.0s +1\n", out)
    assert "    /srv/web11/run: no such file\n" in out
    assert "web12" not in out
    refused = hard("show", "prod#1", "--host", "web99")
    assert (refused.code, "planned no host web99" in refused.err) == (2, True)


def test_show_as_json_holds_everything(hard: Shop) -> None:
    document = json.loads(hard.good("show", "prod#1", "--json").out)

    assert [(e["title"], e["count"]) for e in document["errors"]] == [
        ("HookFailed start exit 3", 10),
        ("HookFailed start exit 4", 2),
    ]
    assert [wave["hosts"] for wave in document["waves"]] == [1, 39]
    assert [entry["action"] for entry in document["audit"]] == ["pace", "pause", "deploy"]
    assert [event["what"] for event in document["timeline"]].count("opened") == 1
    (late,) = [host for host in document["hosts"] if host["attached"]]
    assert (late["host"], late["attempts"], late["seconds"]) == ("web13", 2, 23.0)
    assert late["steps"][1] == {
        "name": "start",
        "exit": 0,
        "seconds": 2.0,
        "times": 1,
        "began": None,
    }
    assert sum(document["outcomes"].values()) == len(document["hosts"]) == FLEET


def test_the_audit_tells_who_did_what_and_how_sure_that_is(hard: Shop) -> None:
    hard.good("hosts", "disable", "prod", "web1", "fra1", "--reason", "racks\nmove", "--yes")

    lines = [re.split(r"  +", line) for line in hard.good("history", "--audit").out.splitlines()]
    assert lines[0] == ["TIME", "WHO", "IDENTITY", "WHAT", "OF", "REASON"]
    what = [line[1:] for line in lines[1:]]
    assert what[:3] == [
        ["ada", "declared", "hosts disable web1, web2", "shop/prod", "racks move"],
        ["https://idp/eve", "verified", "pace 20%", "shop/prod#1"],
        ["ben", "declared", "pause", "shop/prod#1", "latency is up"],
    ]
    assert ["carl", "declared", "deploy a", "shop/prod#1", "release day"] in what
    assert ["ada", "declared", "apply revision 2", "shop/prod", "more room"] in what
    assert ["ada", "declared", "release 1.0", "shop"] in what
    assert ["ada", "declared", "apply revision 1", "shop/dev"] in what

    here = hard.good("history", "prod", "--audit").out
    assert "shop/dev" not in here
    assert "release 1.0" not in here
    assert "pause" in here
    newest = json.loads(hard.good("history", "--audit", "--limit", "1", "--json").out)["audit"]
    assert [(e["action"], e["detail"]["hosts"]) for e in newest] == [
        ("hosts disable", ["web1", "web2"])
    ]


def test_history_of_all_and_since(hard: Shop) -> None:
    assert "shop/prod#1" in hard.good("history").out
    assert "shop/prod#1" in hard.good("history", "prod", "--since", "1h ago").out
    assert hard.good("history", "prod", "--since", "now").out == ""
    assert len(hard.good("history", "--audit", "--since", "now").out.splitlines()) == 1
    assert "shop/prod#1" in hard.good("history", "prod", "--release", "a").out
    assert hard.good("history", "prod", "--release", "b").out == ""
    said = hard("history", "prod", "--since", "2026-11-17T09:00")
    assert (said.code, "lacks its zone" in said.err) == (2, True)
    assert hard("history", "nowhere", "--audit").code == 2


def test_a_disabled_host_is_not_planned_until_it_is_enabled(applied: Shop) -> None:
    said = applied.good("hosts", "disable", "prod", "web3", "--reason", "disk fails")
    assert "Disabled 1 host of shop/prod" in said.err
    assert "disabled: disk fails" in applied.good("hosts", "prod").out
    plan = json.loads(applied.good("plan", "prod", "1.0", "--json").out)
    assert "web3" not in json.dumps(plan["hosts"] if "hosts" in plan else plan["waves"])
    again = applied.good("hosts", "disable", "prod", "@failed | web3", "--reason", "still")
    assert "Disabled 0 hosts of shop/prod; 1 host needed no change" in again.err

    document = json.loads(applied.good("hosts", "enable", "prod", "web*", "--json").out)
    assert document["changed"] == ["web3"]
    assert len(document["chosen"]) == 4
    assert "web3" in applied.good("plan", "prod", "1.0", "--json").out


@pytest.mark.parametrize(("answer", "code"), [("n", 5), ("", 5), ("y", 0)])
def test_a_person_is_asked_before_a_host_is_disabled(
    applied: Shop, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("apollo.cli.ask.on_terminal", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{answer}\n"))
    said = applied("hosts", "disable", "prod", "fra1", "--reason", "move")

    assert said.code == code
    assert "Disable 2 hosts of shop/prod: web1, web2? [y/N]" in said.err
    assert ("disabled: move" in applied.good("hosts", "prod").out) is (code == 0)


def test_show_tells_of_the_way_back(applied: Shop) -> None:
    async def play(catalog: Catalog) -> None:
        one = await opened(catalog, "w1", "a", limit=["web1", "web2"])
        await catalog.turns.record(one.uuid, "forward", [record("web1"), failed("web2", 3)])
        turns = [
            RollbackTurn(order=1, host="web1", location="fra1", action="restore", manifest="b" * 64)
        ]
        await catalog.plans.store_rollback(one.uuid, turns)
        back = failed("web1", 7).model_copy(update={"turn": 2, "outcome": Outcome.BROKEN})
        await catalog.turns.record(one.uuid, "rollback", [back])
        await catalog.deployments.end(one.uuid, DeploymentState.ROLLBACK_FAILED)

    applied.in_catalog(play)
    out = applied.good("show", "prod").out

    assert "error[HookFailed] in start, exit 7, in the rollback: 1 host: web1" in out
    assert re.search(r"^rollback +1 .* broken 1$", out, re.MULTILINE)
    assert "✘ broken in the rollback: 1 host\n  web1  fra1" in out
    assert "turn 2" in out
    whole = applied.good("show", "prod", "--host", "web1").out
    assert re.findall(r"web1 \(fra1\), (.*)\n", whole) == ["wave 1", "rollback"]


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        (("disable", "prod", "web1"), "hosts are disabled for a reason"),
        (("disable", "prod", "--reason", "x"), "no host was named"),
        (("disable", "prod", "web9", "--reason", "x"), "'web9' matches no host"),
        (("enable", "prod", "@outdated"), "'@outdated' is unknown"),
        (("enable", "prod", "@failed"), "'@failed' chooses no host"),
        (("forget", "nowhere", "web1"), "nowhere"),
    ],
)
def test_words_about_hosts_that_make_no_sense(
    applied: Shop, tokens: tuple[str, ...], why: str
) -> None:
    said = applied("hosts", *tokens)

    assert said.code == 2
    assert why in said.err
    assert "hosts " not in applied.good("history", "--audit").out


def test_a_host_that_left_the_inventory_is_shown_until_it_is_forgotten(hard: Shop) -> None:
    hard.edit("      web39: {address: 10.0.3.39}\n", "", file="fleet.yaml")
    hard.good("apply", "prod", "--yes")
    (line,) = [each for each in hard.good("hosts", "prod").out.splitlines() if "web39" in each]
    assert line.endswith("not in the inventory")
    assert hard.good("hosts", "prod", "--at", "now").out == hard.good("hosts", "prod").out

    assert "Forgot 1 host" in hard.good("hosts", "forget", "prod", "web39").err
    assert "web39" not in hard.good("hosts", "prod").out
    assert "was not applied yet" in hard("hosts", "prod", "--at", "2026-01-01").err
