"""`status`, `hosts`, `history`, `show`, `watch` and the words to a deployment, by the catalog."""

import json
import os
import signal
import subprocess
import sys

import pytest

from apollo.catalog import Catalog
from apollo.domain.status import DeploymentState, Outcome
from tests.cli.conftest import Shop
from tests.support.catalogs import ended, opened


@pytest.fixture
def halted(applied: Shop) -> Shop:
    """shop/prod has had #1, which went well, and #2, which halted after two failures."""

    async def play(catalog: Catalog) -> None:
        first = await opened(catalog, "w1", "a")
        done = [ended(f"web{n}", runs="a") for n in range(1, 5)]
        await catalog.turns.record(first.uuid, "forward", done)
        await catalog.deployments.end(first.uuid, DeploymentState.SUCCEEDED)
        await catalog.audit.add(
            "pause", by="ben", application="shop", environment="prod", deployment=first.uuid
        )
        second = await opened(catalog, "w2", "b")
        bad = [
            ended(f"web{n}", Outcome.REVERTED, runs="a").model_copy(
                update={"message": f"web{n}: start exit 3", "left": "put back", "output": "boo\n"}
            )
            for n in (1, 3)
        ]
        await catalog.turns.record(second.uuid, "forward", bad)
        await catalog.deployments.end(second.uuid, DeploymentState.HALTED, "2 hosts failed")

    applied.in_catalog(play)
    return applied


@pytest.fixture
def running(applied: Shop) -> Shop:
    """shop/prod#1 runs: one host has ended."""

    async def play(catalog: Catalog) -> None:
        first = await opened(catalog, "w1", "a")
        await catalog.deployments.set_state(first.uuid, DeploymentState.RUNNING)
        await catalog.turns.record(first.uuid, "forward", [ended("web1")])

    applied.in_catalog(play)
    return applied


def test_nothing_is_shown_before_anything_was_applied(shop: Shop) -> None:
    assert shop.good("status").err == "No environment was ever applied: apollo apply\n"
    assert json.loads(shop.good("status", "--json").out) == {"environments": [], "promotions": []}
    assert shop("status", "prod").code == 2
    assert shop("history", "prod").code == 2


def test_status_tells_of_all_environments(halted: Shop) -> None:
    lines = halted.good("status").out.splitlines()

    assert lines[0].split() == ["ENVIRONMENT", "RELEASE", "SERVING", "LAST", "DEPLOYMENT"]
    assert lines[1].split() == ["shop/dev", "-", "0/1", "-"]
    assert lines[2].split() == ["shop/prod", "a", "4/4", "#2", "b", "✘", "halted"]


def test_status_tells_of_one_environment(running: Shop) -> None:
    said = running.good("status", "prod").out

    assert "shop/prod  no release yet" in said
    assert "✔ serving 1" in said
    assert "· new 3" in said
    assert (
        "shop/prod#1  nothing -> a  ⟳ running  wave 2/2  ████░░░░░░░░░░░░ 1/4  failed 0/0" in said
    )
    assert "Watch it: apollo watch prod" in said

    document = json.loads(running.good("status", "prod", "--json").out)["environments"][0]
    assert document["serving"] == {"new": 3, "serving": 1}
    assert document["running"][0]["outcomes"] == {"updated": 1, "pending": 3}


def test_hosts_are_listed_and_filtered_by_release(running: Shop) -> None:
    assert running.good("hosts", "prod").out.splitlines()[-1] == "4 hosts"
    lines = running.good("hosts", "prod", "--release", "a").out.splitlines()
    assert lines[1].split()[:5] == ["web1", "fra1", "10.0.1.1:22", "✔", "serving"]
    assert lines[-1] == "1 host"

    document = json.loads(running.good("hosts", "shop/prod", "--json").out)
    assert [host["state"]["serving"] for host in document["hosts"]] == ["serving"] + ["new"] * 3


def test_history_lists_deployments_and_the_audit(halted: Shop) -> None:
    lines = halted.good("history", "prod").out.splitlines()
    assert [line.split()[0] for line in lines] == ["DEPLOYMENT", "shop/prod#2", "shop/prod#1"]
    assert "no deployment yet" in halted.good("history", "dev").err

    audit = halted.good("history", "prod", "--audit").out
    assert any(
        line.split()[1:] == ["ben", "declared", "pause", "shop/prod#1"]
        for line in audit.splitlines()
    )
    assert json.loads(halted.good("history", "prod", "--audit", "--json").out)["audit"]
    assert len(json.loads(halted.good("history", "prod", "--json").out)["deployments"]) == 2


def test_show_groups_errors_that_say_the_same(halted: Shop) -> None:
    said = halted.good("show", "prod#2")

    assert "  error[HookFailed] in start, exit 3: 2 hosts: web1, web3" in said.out
    assert "    web1: start exit 3" in said.out
    assert "    left: put back" in said.out
    assert "      boo" in said.out
    assert "Go on, failed hosts first: apollo deploy prod b" in said.err

    document = json.loads(halted.good("show", "shop/prod#2", "--json").out)
    assert (document["label"], document["state"], document["exit_code"]) == (
        "shop/prod#2",
        "halted",
        3,
    )
    assert len(document["hosts"]) == 4
    assert halted("show", "prod#9").code == 2


def test_watch_of_what_has_ended_shows_the_summary_and_its_exit_code(halted: Shop) -> None:
    last = halted("watch", "prod")
    assert last.code == 3
    assert last.out.startswith("shop/prod#2  nothing -> b  ✘ halted")

    assert halted("watch", "prod#1").code == 0

    lines = halted("watch", "prod", "--json").out.splitlines()
    assert [json.loads(line)["schema"] for line in lines] == [1]
    assert json.loads(lines[0])["exit_code"] == 3


def test_the_summary_links_to_temporals_pages_when_they_are_known(halted: Shop) -> None:
    told = {"address": "127.0.0.1:7233", "ui": "http://127.0.0.1:8233", "pid": 1}
    (halted.home / "temporal.json").write_text(json.dumps(told), encoding="utf-8")

    link = "http://127.0.0.1:8233/namespaces/default/workflows/w2"
    assert f"Temporal: {link}\n" in halted("watch", "prod").err


def test_watch_leaves_when_the_time_is_up(running: Shop) -> None:
    said = running("watch", "prod", "--timeout", "100ms")

    assert said.code == 124
    assert "web1 (fra1) ✔ updated (wave 1)" in said.out
    assert said.err == "Timed out. shop/prod#1 goes on. Back: apollo watch prod\n"


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_ctrl_c_detaches_and_says_how_to_get_back(running: Shop, form: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "apollo.cli", "watch", "prod", *form]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout
        assert "shop/prod#1" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert err == (
        "Detached. shop/prod#1 goes on. Back: apollo watch prod   Stop: apollo abort prod\n"
    )


@pytest.mark.parametrize("word", ["pause", "resume", "abort", "approve", "skip", "retry"])
def test_a_word_to_what_has_ended_is_refused(halted: Shop, word: str) -> None:
    said = halted(word, "prod", "--reason", "why")

    assert said.code == 5
    assert f"{word} is refused: shop/prod#2 has ended (halted)" in said.err


def test_a_rollback_of_what_has_ended_needs_something_to_go_back_to(halted: Shop) -> None:
    said = halted("rollback", "prod", "--yes")

    assert said.code == 5
    assert "shop/prod#2 changed no host that ran a release before" in said.err
    assert "apollo rollback shop/prod --to VERSION" in said.err


def test_only_the_last_deployment_is_taken_back(halted: Shop) -> None:
    said = halted("rollback", "prod#1", "--yes")

    assert said.code == 5
    assert "shop/prod#1 does not run, and only the last one is taken back" in said.err


def test_a_word_needs_the_server(running: Shop) -> None:
    said = running("pace", "prod", "50%")

    assert said.code == 1
    assert "no Temporal server answers" in said.err


def test_colour_is_for_terminals_only(halted: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in halted("watch", "prod").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31m✘ halted" in halted("watch", "prod").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in halted("watch", "prod").out
