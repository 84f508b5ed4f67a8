"""Paused for an hour, at another pace after that: the record tells when, by whom and why."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from apollo.catalog.engine import utc_now
from tests.support.falsify import broken_rules
from tests.support.stage import Stage, failures, open_stage
from tests.support.typing_desk import Desk

HOUR = timedelta(hours=1)


def skip_in_catalog(stage: Stage, patch: pytest.MonkeyPatch, duration: timedelta) -> None:
    """The catalog's clock goes with the workflow's: it is the clock of what is recorded."""
    patch.setattr(stage.catalog._database, "now", lambda: utc_now() + duration)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def skipping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A stage on which hours pass at once."""
    async with open_stage(tmp_path_factory.mktemp("skipping"), skipping=True) as stage:
        yield stage


async def test_an_hour_of_pause_and_another_pace_are_on_record(
    skipping: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    desk = Desk.of(skipping, tmp_path, monkeypatch, capfd, application="nobody-deploys-this")
    waves = [{"share": 2, "bake": "50m"}, "100%"]
    play = await skipping.play(hosts=10, max_unavailable=1, waves=waves, progress_deadline="1m")
    running = await play.start("1.0")
    await running.until("baking")
    assert play.script.most_at_once <= 2
    stored = await running.stored()
    typed = await desk.type("apollo", "pause", stored.label, "--reason", "latency is up")
    assert typed.code == 0
    await running.until("paused")

    await running.skip(HOUR)
    skip_in_catalog(skipping, monkeypatch, HOUR)
    assert (await running.until("paused")).detail == "paused: latency is up (ada)"
    assert len(play.script.begun()) == 2, "the bake is over, and the second wave does not begin"
    paced = await desk.type("apollo", "pace", stored.label, "4", "--reason", "make up for it")
    assert paced.code == 0
    await running.until("paused")
    assert len(play.script.begun()) == 2, "a pace is no resume"

    play.script.hold()
    resumed = await desk.type("apollo", "resume", stored.label, "--reason", "it was the cache")
    assert resumed.code == 0
    assert len(await play.under_way(8)) == 8, "four in each location, not one"
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 10})
    assert failures(await running.events()) == []

    words = [("pause", "latency is up"), ("pace", "make up for it"), ("resume", "it was the cache")]
    audit = await running.audit()
    assert [(each.action, each.reason) for each in audit] == words
    assert {each.identity for each in audit} == {"ada"}
    assert audit[1].detail == {"detail": "4"}
    paused, paced_at, resumed_at = (each.at for each in audit)
    assert HOUR <= paced_at - paused < HOUR + timedelta(minutes=10)
    assert paced_at < resumed_at

    told = (await desk.type("apollo", "show", stored.label)).out
    story = [
        "wave 1 ended: updated 2",
        "ada (declared) said pause: latency is up",
        "ada (declared) said pace 4: make up for it",
        "ada (declared) said resume: it was the cache",
        "ended succeeded",
    ]
    places = [told.index(each) for each in story]
    assert places == sorted(places)
    assert "wave 2 began: 8 hosts" in told, "at a time of its turns' clock, which skips no hour"
    document = json.loads((await desk.type("apollo", "show", stored.label, "--json")).out)
    assert [each["what"] for each in document["timeline"] if "said" in each["what"]] == story[1:4]
    rows = await running.said.rows()
    assert [row.started_at - paused > HOUR for row in rows if row.started_at and row.wave == 2] == (
        [True] * 8
    )
    assert await broken_rules(running) == {}
