"""Alarms: watched from the first turn to the end of the last bake."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apollo.domain.alarms import Alarm, PrometheusAlarm
from apollo.workflows import alarms
from tests.support.prometheus import PrometheusServer
from tests.support.stage import Running, Stage, failures, until

WAVES: list[Any] = [{"share": 1, "bake": "1h"}, "100%"]


async def says(running: Running, text: str) -> bool:
    """Whether the deployment's detail says that; without a text, whether it says nothing."""
    detail = (await running.stored()).detail
    return text in detail if text else not detail


async def test_one_that_fires_in_a_bake_rolls_the_release_back(stage: Stage) -> None:
    """No failed host was needed, and none is counted; the next wave never began."""
    play = await stage.play(waves=WAVES, alarms=["errors"])
    running = await play.start("1.0")
    await running.until("baking")
    play.script.alarms["errors"] = "firing"
    result = await running.result()
    assert (result.state, result.outcomes) == ("rolled_back", {"rolled_back": 1, "not_started": 3})
    assert result.detail == f"alarm {play.application} errors fires: played"
    assert failures(await running.events()) == []


async def test_quiet_alarms_change_nothing(stage: Stage) -> None:
    """The control."""
    waves = [{"share": 1, "bake": "300ms"}, {"share": "100%", "bake": "300ms"}]
    play = await stage.play(waves=waves, alarms=["errors", "latency"])
    running = await play.start("1.0")
    result = await running.result()
    assert (result.state, result.detail, result.outcomes) == ("succeeded", "", {"updated": 4})


async def test_turns_in_flight_end_before_it_goes_back(stage: Stage) -> None:
    play = await stage.play(alarms=["errors"])
    play.script.hold("h1", "h2")
    running = await play.start("1.0")
    await play.under_way(2)
    play.script.alarms["errors"] = "firing"
    await until(lambda: says(running, "errors fires"), "it is told")
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("rolled_back", {"rolled_back": 2, "not_started": 2})
    assert not any(turn.cancelled for turn in play.script.turns)


async def test_with_on_failure_halt_hosts_stay_as_they_are(stage: Stage) -> None:
    play = await stage.play(waves=WAVES, alarms=["errors"], on_failure="halt")
    running = await play.start("1.0")
    await running.until("baking")
    play.script.alarms["errors"] = "firing"
    result = await running.result()
    assert (result.state, result.outcomes) == ("halted", {"updated": 1, "not_started": 3})


async def test_one_that_fires_while_it_is_paused_counts_too(stage: Stage) -> None:
    play = await stage.play(waves=WAVES, alarms=["errors"])
    running = await play.start("1.0")
    await running.until("baking")
    await running.said.pause("look")
    play.script.alarms["errors"] = "firing"
    assert (await running.result()).state == "rolled_back"


async def test_one_that_fired_before_says_nothing_about_the_release(stage: Stage) -> None:
    """It counts when it has been quiet."""
    play = await stage.play(waves=WAVES, alarms=["errors"])
    play.script.alarms["errors"] = "firing"
    running = await play.start("1.0")
    stored = await running.until("paused")
    assert stored.detail.startswith(
        f"before the first turn: alarm {play.application} errors fires: played; resume goes on"
    )
    assert play.script.turns == []
    await running.said.resume()
    await running.until("baking")
    assert "errors fires" in (await running.stored()).detail
    play.script.alarms["errors"] = "quiet"
    await until(lambda: says(running, ""), "it is quiet")
    play.script.alarms["errors"] = "firing"
    assert (await running.result()).state == "rolled_back"


async def test_one_that_cannot_be_read_holds_the_next_wave(stage: Stage) -> None:
    """It goes on when the alarm can be read; nothing is rolled back."""
    waves = [{"share": 1, "bake": "200ms"}, "100%"]
    play = await stage.play(waves=waves, alarms=["errors"])
    play.script.hold()
    running = await play.start("1.0")
    await play.under_way(1)
    play.script.alarms["errors"] = "unreadable"
    await until(lambda: says(running, "cannot be read"), "it is told")
    play.script.let_go()
    stored = await running.until("awaiting")
    assert stored.detail == (
        f"wave 2 waits: alarm {play.application} errors cannot be read: played; "
        "approve goes on without it"
    )
    assert len(play.script.turns) == 1
    play.script.alarms["errors"] = "quiet"
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 4})


async def test_a_person_may_go_on_without_it(stage: Stage) -> None:
    play = await stage.play(waves=["100%"], alarms=["errors"])
    play.script.alarms["errors"] = "unreadable"
    running = await play.start("1.0")
    await running.until("awaiting")
    assert play.script.turns == []
    await running.said.approve("I look at the graphs")
    assert (await running.result()).outcomes == {"updated": 4}


async def test_with_an_override_alarms_only_report(stage: Stage) -> None:
    play = await stage.play(waves=[{"share": 1, "bake": "400ms"}, "100%"], alarms=["a", "b"])
    play.script.alarms = {"a": "firing", "b": "unreadable"}
    running = await play.start("1.0", override="the fix for it")
    stored = await running.until("baking")
    assert "a fires: played; alarm" in stored.detail
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 4})


async def test_a_rollback_does_not_hear_them(stage: Stage) -> None:
    play = await stage.play(waves=WAVES, alarms=["errors"])
    running = await play.start("1.0")
    await running.until("baking")
    play.script.alarms["errors"] = "firing"
    play.script.hold("rollback")
    await running.until("rolling_back")
    play.script.alarms["errors"] = "unreadable"
    play.script.let_go()
    assert (await running.result()).state == "rolled_back"


async def test_one_that_stays_unreadable_pauses_the_deployment(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That says nothing about the release: `resume` goes on, and no host is taken back."""
    monkeypatch.setattr(alarms, "UNREADABLE_FOR", timedelta(seconds=1))
    play = await stage.play(waves=["100%"], alarms=["errors"], max_unavailable="100%")
    play.script.hold("h1")
    running = await play.start("1.0")
    await play.under_way(1)
    play.script.alarms["errors"] = "unreadable"
    stored = await running.until("paused")
    assert stored.detail.endswith("for 1s now; resume goes on without it")
    await running.said.resume()
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 4}


async def test_a_real_prometheus_ends_a_bake(
    stage: Stage, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """The metric of the release that bakes rises, and Prometheus tells."""
    program("prometheus")
    async with PrometheusServer(tmp_path) as prometheus:
        query = PrometheusAlarm(url=prometheus.url, query="shop_error_ratio > 0.01")
        play = await stage.play(waves=WAVES, alarms=[Alarm(prometheus=query)])
        prometheus.metrics = {"shop_error_ratio": 0.0}
        await until(lambda: prometheus.has("shop_error_ratio == 0"), "it is scraped")
        running = await play.start("1.0")
        await running.until("baking")
        prometheus.metrics = {"shop_error_ratio": 0.25}
        result = await running.result()
    assert result.state == "rolled_back"
    assert result.detail.startswith("alarm shop_error_ratio > 0.01 fires: shop_error_ratio{")
    assert result.detail.endswith("is 0.25")
