"""What may be said to a deployment when, and how its details show it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.capacity import Allowance
from apollo.domain.controls import ACTIONS, Controls, pace_refusal
from apollo.domain.deployment import PaceControl
from apollo.domain.details import GAP, deployment_details
from apollo.domain.rollout import LocationCounts, Opened, Progress, WaveOutline
from apollo.domain.status import DeploymentState

LIVE = [state for state in DeploymentState if not state.ended]
ENDED = [state for state in DeploymentState if state.ended]


def controls(base: DeploymentState = DeploymentState.RUNNING, gate: str = "") -> Controls:
    found = Controls()
    found.base, found.gate = base, gate
    return found


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", ENDED)
def test_nothing_may_be_said_to_one_that_has_ended(action: str, state: DeploymentState) -> None:
    assert controls(state).refusal(action) == f"the deployment has ended: {state}"


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "pace"])
def test_nothing_but_a_pace_may_be_said_to_one_that_is_ending(action: str) -> None:
    ending = controls()
    ending.end("abort", "enough")
    assert "already ending: abort was asked for" in str(ending.refusal(action))
    assert ending.refusal("pace") is None


def test_what_may_be_said_while_it_runs() -> None:
    running = controls()
    allowed = {action for action in ACTIONS if running.refusal(action) is None}
    assert allowed == {"pause", "abort", "rollback", "pace", "skip", "retry", "supersede"}


def test_what_may_be_said_while_it_is_paused() -> None:
    paused = controls()
    paused.pause("latency is up")
    assert (paused.state, paused.detail) == ("paused", "paused: latency is up")
    allowed = {action for action in ACTIONS if paused.refusal(action) is None}
    assert allowed == {"resume", "abort", "rollback", "pace", "skip", "retry", "supersede"}
    paused.resume()
    assert (paused.state, paused.detail) == ("running", "")


def test_what_may_be_said_at_a_gate_and_in_a_rollback() -> None:
    awaiting = controls(DeploymentState.AWAITING, "wave 2")
    assert awaiting.refusal("approve") is None
    awaiting.approve()
    assert awaiting.approved == ["wave 2"]
    back = controls(DeploymentState.ROLLING_BACK)
    assert back.refusal("rollback") == back.refusal("supersede") == "it is rolling back already"
    assert back.refusal("pause") is None
    assert back.refusal("abort") is None


ONE = Allowance(locations={"fra1": 1}, fleet=1)
OPENS = "opens 2026-11-25 09:00 Europe/Amsterdam"


def test_closed_windows_hold_what_runs_and_say_when_they_open() -> None:
    running = controls()
    running.closed = OPENS
    assert (running.state, running.held) == ("paused", True)
    assert running.says == f"its windows have closed; {OPENS}"
    allowed = {action for action in ACTIONS if running.refusal(action) is None}
    assert allowed == {"pause", "abort", "rollback", "pace", "skip", "retry", "supersede"}
    refusal = str(running.refusal("resume"))
    assert refusal.startswith(f"nobody has paused it: its windows have closed; {OPENS}; it goes on")
    assert "--override REASON" in refusal
    running.closed = ""
    assert (running.state, running.held, running.says) == ("running", False, "")


def test_a_persons_pause_and_closed_windows_are_two_holds() -> None:
    paused = controls()
    paused.closed = OPENS
    paused.pause("lunch")
    assert paused.says == f"paused: lunch; its windows have closed; {OPENS}"
    paused.resume()
    assert (paused.state, paused.held) == ("paused", True)
    paused.pause("lunch")
    paused.closed = ""
    assert (paused.state, paused.held, paused.says) == ("paused", True, "paused: lunch")


@pytest.mark.parametrize("base", LIVE)
def test_closed_windows_hold_everything_but_a_rollback(base: DeploymentState) -> None:
    closed = controls(base)
    closed.closed = OPENS
    back = base is DeploymentState.ROLLING_BACK
    assert closed.held == (not back)
    assert bool(closed.says) == (not back)
    stays = base is not DeploymentState.RUNNING
    assert closed.state == (base if stays else "paused")
    closed.end("rollback", "latency")
    assert (closed.state, closed.says) == (base, "rollback: latency")


def test_details_offer_no_resume_for_what_windows_hold() -> None:
    opened = Opened(
        deployment="u", number=1, label="shop/prod#1", release="1", hosts=1, allowance=ONE
    )
    told = deployment_details(
        opened, DeploymentState.PAUSED, f"its windows have closed; {OPENS}", {}
    )
    assert "`resume`" not in told
    assert "`rollback`" in told
    paused = deployment_details(opened, DeploymentState.PAUSED, "paused", {})
    assert "`resume`" in paused


def test_ending_takes_the_pause_away() -> None:
    paused = controls()
    paused.pause_itself("no room in fra1")
    paused.end("rollback", "")
    assert (paused.state, paused.paused, paused.detail) == ("running", False, "rollback")


@given(st.lists(st.sampled_from(ACTIONS), max_size=12), st.sampled_from(LIVE), st.booleans())
def test_whatever_is_said_in_whatever_order_an_end_stays_an_end(
    actions: list[str], base: DeploymentState, gate: bool
) -> None:
    said = controls(base, "wave 1" if gate else "")
    ended: str | None = None
    for action in actions:
        if said.refusal(action) is not None:
            continue
        if action == "pause":
            said.pause("x")
            assert said.state == "paused"
        elif action == "resume":
            said.resume()
            assert said.state == said.base
        elif action == "approve":
            assert gate
            said.approve()
        elif action in ("abort", "rollback", "supersede"):
            assert ended is None
            said.end(action, "x")  # type: ignore[arg-type]
            ended = action
        assert said.stop == ended
        assert not (said.paused and ended)


@pytest.mark.parametrize("pace", ["1", "20%", "0.5%", "100%", "7"])
def test_a_pace_is_a_count_or_a_percentage(pace: str) -> None:
    assert pace_refusal(PaceControl(max_unavailable=pace)) is None


@pytest.mark.parametrize(
    "pace", ["", "0", "0%", "101%", "-1", "many", "1.5", "20 %", "²", "9" * 9999, "9" * 9999 + "%"]
)
def test_what_is_no_pace_is_told_what_one_is(pace: str) -> None:
    found = pace_refusal(PaceControl(max_unavailable=pace))
    assert found is not None
    assert found.startswith("max_unavailable: ")


def opened(waves: int = 2, locations: int = 3) -> Opened:
    sizes = {f"location-{n:02}": 100 for n in range(locations)}
    return Opened(
        deployment="u",
        number=42,
        label="shop/prod#42",
        release="1.4.2",
        previous_release="1.4.1",
        hosts=100 * locations,
        locations=sizes,
        waves=tuple(WaveOutline(number=n, hosts=9, batches=1) for n in range(1, waves + 1)),
        allowance=Allowance(locations=sizes, fleet=9),
    )


def progress(given: Opened) -> dict[str, Progress]:
    counts = LocationCounts(ended=99999, failed=9999, unreachable=9999)
    places = dict.fromkeys(given.locations, counts)
    return {
        f"forward/{wave.number}": Progress(
            wave=wave.number, batch=1, phase="forward", locations=places
        )
        for wave in given.waves
    }


def test_details_are_a_table_of_waves_by_locations() -> None:
    counts = {"location-00": LocationCounts(ended=2, failed=1)}
    forward = {
        f"forward/1/{batch}": Progress(wave=1, batch=batch, phase="forward", locations=counts)
        for batch in (1, 2)
    }
    counts = {"location-01": LocationCounts(ended=1, out=1)}
    back = {"rollback/1/1": Progress(wave=1, batch=1, phase="rollback", locations=counts)}
    text = deployment_details(opened(2, 2), DeploymentState.PAUSED, "no room", forward | back)
    assert text.splitlines() == [
        "**shop/prod#42** 1.4.1 → 1.4.2: **paused**",
        "",
        "no room",
        "",
        f"|  | {GAP}location-00 | {GAP}location-01 |",
        "|:--|:--|:--|",
        f"| wave 1 (9 hosts) | {GAP}4 ended, 2 failed | {GAP}· |",
        f"| wave 2 (9 hosts) | {GAP}· | {GAP}· |",
        f"| rollback | {GAP}· | {GAP}1 ended, 1 out |",
        "",
        "More Actions → Send an Update: `resume`, `pace`, `skip`, `retry`, `rollback`, `abort`",
    ]


@pytest.mark.parametrize(("waves", "locations"), [(1, 1), (4, 12), (3, 200), (40, 40), (500, 1)])
@pytest.mark.parametrize("text", ["x", "<", "[", "é"])
def test_details_stay_small(waves: int, locations: int, text: str) -> None:
    given = opened(waves, locations)
    text = deployment_details(given, DeploymentState.RUNNING, text * 100_000, progress(given))
    assert len(text) < 11_000
    assert text.endswith("`abort`")


@given(st.text(max_size=300))
def test_no_text_becomes_markup(text: str) -> None:
    bare = deployment_details(opened(), DeploymentState.PAUSED, "x", {}).split("\n")
    shown = deployment_details(opened(), DeploymentState.PAUSED, f"x{text}", {}).split("\n")
    assert shown[:2] + shown[3:] == bare[:2] + bare[3:], "it stays on its line"
    assert not set("|`") & set(shown[2])
    assert not re.search(r"(?<!\\)(\\\\)*[*\[\]{}~<&]", shown[2])


def test_details_show_the_signal_that_was_ignored_and_nothing_more_to_say_at_the_end() -> None:
    ignored = "The signal resume was ignored: it is not paused: it is running"
    text = deployment_details(opened(), DeploymentState.RUNNING, "", {}, ignored)
    assert text.splitlines()[-3] == ignored
    ended = deployment_details(opened(), DeploymentState.SUCCEEDED, "", {})
    assert ended.splitlines()[-1].startswith("| wave 2")


@pytest.mark.parametrize("text", ["# heading", "> quote", "- item", "+ item", "=== "])
def test_no_text_becomes_a_block(text: str) -> None:
    shown = deployment_details(opened(), DeploymentState.PAUSED, f"\n\n{text}\n", {})
    assert shown.split("\n")[2] == "\\" + text.strip()
