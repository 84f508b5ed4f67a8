"""Which hosts a sync takes, and that none is taken again and again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.fleet import Host
from apollo.domain.plan import HostState
from apollo.domain.status import DeploymentState, Outcome, Serving
from apollo.domain.sync import (
    LASTING,
    MOST,
    OTHERS,
    Drift,
    Finding,
    Found,
    PastTurn,
    Sight,
    Target,
    judge,
    left_for_a_person,
    pages,
    summary,
)

WANTED, OLD, OTHER = "w" * 64, "o" * 64, "x" * 64
RELEASE = "1.0"
SERVES = HostState(serving=Serving.SERVING, manifest=WANTED, release=RELEASE)
OPEN = ("halted", "aborted", "superseded", "rollback_failed", "running", "paused", "rolling_back")


def turn(outcome: str = "updated", number: int = 5, **values: Any) -> PastTurn:
    given = {
        "host": "web1",
        "number": number,
        "kind": "deploy",
        "state": "succeeded",
        "release": RELEASE,
        "wanted": WANTED,
        "ran": WANTED,
        **values,
    }
    return PastTurn.model_validate({**given, "outcome": outcome})


def look(
    runs: str | None = WANTED, state: HostState = SERVES, *past: PastTurn, error: str = ""
) -> Found:
    sight = Sight(
        host="web1",
        manifest=None if error else runs,
        release="1.0" if runs else None,
        state="serving" if runs else "none",
        error=error,
    )
    return judge(sight, state, past, wanted=WANTED, release=RELEASE)


def known(runs: str | None, serving: Serving = Serving.SERVING) -> HostState:
    return HostState(serving=serving, manifest=runs, release="some")


def test_a_host_that_runs_what_is_wanted_is_current() -> None:
    assert look().finding == "current"
    assert look(WANTED, SERVES, turn()).finding == "current"
    assert look(WANTED, SERVES, turn(), turn("reverted", 6, state="halted")).finding == "current"


def test_a_host_that_is_not_known_is_new_whatever_it_runs() -> None:
    """The catalog learns what it runs from its turn, which finds it current."""
    for runs in (None, WANTED, OTHER):
        assert look(runs, HostState()).finding == "new"


def test_a_host_that_was_rebuilt_has_drifted() -> None:
    found = look(None, SERVES, turn())
    assert (found.finding, found.runs) == ("drifted", "nothing")
    assert look(OTHER, SERVES, turn()).finding == "drifted"


@pytest.mark.parametrize("outcome", ["unreachable", "lost"])
def test_a_host_that_missed_its_turn_is_brought_when_it_is_back(outcome: str) -> None:
    state = known(OLD, Serving(outcome))
    missed = turn(outcome, error="ConnectFailed")
    assert look(OLD, state, missed).finding == "missed"
    assert look(WANTED, state, missed).finding == "missed", "the catalog must learn of it"
    assert look(OLD, known(OLD)).finding == "missed", "it was skipped, or not begun"
    assert look(OLD, state, missed, error="ConnectFailed").finding == "unreachable"


@pytest.mark.parametrize("state", OPEN)
def test_a_host_of_an_open_case_is_left(state: str) -> None:
    case = turn("updated", 6, state=state, release="2.0", wanted=OTHER, ran=OTHER)
    found = look(OTHER, known(OTHER), turn(), case)
    assert (found.finding, found.number) == ("open", 6)
    assert look(None, known(OTHER), turn(), case).finding == "open"


@pytest.mark.parametrize("state", ["rolled_back", "refused", "failed"])
def test_what_was_taken_back_is_no_open_case(state: str) -> None:
    back = turn("rolled_back", 6, state=state, release="2.0", ran=WANTED)
    assert look(None, SERVES, turn(), back).finding == "drifted"
    broken = turn("broken", 6, state=state, release="2.0", wanted=None, ran=None)
    assert look(None, known(OTHER, Serving.BROKEN), turn(), broken).finding.brought


@pytest.mark.parametrize(
    ("outcome", "values"),
    [
        ("reverted", {}),
        ("broken", {}),
        ("broken", {"kind": "sync", "state": "halted"}),
        ("lost", {"kind": "sync", "state": "halted"}),
        *(("unreachable", {"kind": "sync", "error": error}) for error in LASTING),
    ],
)
def test_a_host_that_failed_with_the_same_manifest_is_left(
    outcome: str, values: dict[str, str]
) -> None:
    state = known(OLD, Serving.BROKEN)
    found = look(OLD, state, turn(outcome, 6, **values))
    assert (found.finding, found.number) == ("failed", 6)
    assert look(OLD, state, turn(outcome, 6, **{**values, "wanted": OTHER})).finding != "failed"


def test_what_was_given_on_purpose_stays() -> None:
    configured = turn(number=6, wanted=OTHER, ran=OTHER)
    assert look(OTHER, known(OTHER), turn(), configured).finding == "current"
    canary = turn(number=6, release="2.0", wanted=OTHER, ran=OTHER)
    found = look(OTHER, known(OTHER), turn(), canary)
    assert (found.finding, found.number) == ("open", 6)
    assert look(None, known(OTHER), turn(), canary).finding == "drifted"


def test_a_restart_that_went_well_changes_nothing() -> None:
    """It neither makes up for a failure, nor gives a purpose to what it found."""
    restarted = turn(number=7, kind="restart", wanted=OLD, ran=OLD)
    assert look(OLD, known(OLD), turn("reverted", 5), restarted).finding == "failed"
    missed = turn("unreachable", error="ConnectFailed")
    assert look(OLD, known(OLD), missed, restarted).finding == "missed"
    broken = turn("broken", 8, kind="restart", state="halted", ran=None)
    assert look(None, known(WANTED, Serving.BROKEN), turn(), broken).finding == "failed"


_MANIFESTS = st.sampled_from([WANTED, OLD, OTHER, None])
_TURNS = st.lists(
    st.builds(
        turn,
        st.sampled_from(
            [str(outcome) for outcome in Outcome if outcome not in ("skipped", "not_started")]
        ),
        kind=st.sampled_from(["deploy", "sync", "restart"]),
        state=st.sampled_from([str(state) for state in DeploymentState]),
        release=st.sampled_from([RELEASE, "2.0"]),
        wanted=_MANIFESTS,
        ran=_MANIFESTS,
        error=st.sampled_from(["", "ConnectFailed", *LASTING]),
    ),
    max_size=4,
)
_STATES = st.builds(
    HostState,
    serving=st.sampled_from([s for s in Serving if s is not Serving.DISABLED]),
    manifest=_MANIFESTS,
)


def numbered(turns: list[PastTurn]) -> list[PastTurn]:
    return [t.model_copy(update={"number": n}) for n, t in enumerate(turns, 5)]


@given(_MANIFESTS, _STATES, _TURNS)
def test_what_is_taken_and_what_is_not(
    runs: str | None, state: HostState, turns: list[PastTurn]
) -> None:
    past = numbered(turns)
    found = look(runs, state, *past)
    bad = [t for t in past if t.kind != "restart" or t.outcome not in ("updated", "current")]
    last = bad[-1] if bad else None
    theirs = last and last.kind != "sync" and last.state in OPEN

    assert look(runs, state, *past, error="ConnectFailed").finding == "unreachable"
    if theirs:
        assert not found.finding.brought
    if runs == WANTED and state.serving == "serving" and state.manifest == WANTED:
        assert found.finding == "current"
    if found.finding == "current":
        assert runs is not None
        assert state.manifest == runs
        assert runs == WANTED or any(t.ran == runs and t.release == RELEASE for t in past)
    if not past:
        assert found.finding in ("current", "new", "missed", "drifted")
    if found.finding in ("open", "failed"):
        assert found.number in [t.number for t in past]


_ENDS = st.sampled_from(
    [
        ("updated", ""),
        ("current", ""),
        ("reverted", "HookFailed"),
        ("broken", "HookFailed"),
        ("lost", "ContactLost"),
        *(("unreachable", error) for error in LASTING),
    ]
)


@given(_MANIFESTS, _STATES, _TURNS, _ENDS, st.booleans())
def test_no_sync_follows_another_over_the_same_host(
    runs: str | None, state: HostState, turns: list[PastTurn], end: tuple[str, str], halted: bool
) -> None:
    """Whatever comes of it: the host is current then, or somebody is told."""
    past = numbered(turns)
    if not look(runs, state, *past).finding.brought:
        return
    outcome, error = end
    good = outcome in ("updated", "current")
    synced = turn(
        outcome,
        99,
        kind="sync",
        state="halted" if halted else "succeeded" if good else "partial",
        error=error,
        ran=WANTED if good else runs,
    )
    after = known(WANTED) if good else known(state.manifest, Serving.BROKEN)
    again = look(WANTED if good else runs, after, *past, synced)
    assert again.finding == ("current" if good else "failed")


def test_a_disabled_host_is_fine_and_an_unreachable_one_is_not() -> None:
    fine = [Found(host=f, finding=Finding(f)) for f in ("current", "disabled", "gone")]
    drift = Drift(release="1.0").plus(fine)
    assert drift.fine
    assert not drift.plus([Found(host="a", finding=Finding.UNREACHABLE)]).fine
    assert not Drift(skipped="it runs no release yet").fine


def test_what_a_look_tells_is_bounded_and_what_it_brings_comes_first() -> None:
    others = [Found(host=f"o{n}", finding=Finding.UNREACHABLE) for n in range(OTHERS + 5)]
    brought = [Found(host=f"b{n}", finding=Finding.NEW) for n in range(MOST + 5)]
    drift = Drift().plus(others).plus(brought)
    assert drift.bring == tuple(f"b{n}" for n in range(MOST))
    assert len(drift.found) == MOST + OTHERS
    assert drift.counts == {"unreachable": OTHERS + 5, "new": MOST + 5}
    (words,) = left_for_a_person(drift, "shop/prod")
    assert words.endswith(f"and {OTHERS + 5 - 20} more")
    assert len(words) < 300


def test_the_summary_names_who_is_left() -> None:
    found = [
        Found(host="a", finding=Finding.CURRENT),
        Found(host="b", finding=Finding.FAILED, number=7),
        Found(host="c", finding=Finding.OPEN, number=8),
        Found(host="d", finding=Finding.UNREACHABLE),
    ]
    assert summary(Drift(release="1.0").plus(found), "shop/prod") == (
        "nothing to do: 1 host runs 1.0; unreachable: d; "
        "left to an open deployment: c (shop/prod#8); "
        "left for a person, for it failed before: b (shop/prod#7)"
    )
    assert summary(Drift(skipped="shop/prod#9 is running"), "shop/prod") == (
        "nothing to do: shop/prod#9 is running"
    )


def test_pages_are_of_one_queue() -> None:
    targets = [
        Target(host=Host(name=f"h{n}", location="ams1" if n % 3 else "fra1", address="x"), root="/")
        for n in range(12)
    ]
    found = pages(targets, ["fra1"], size=3)
    assert [(page.location, len(page.targets)) for page in found] == [
        ("fra1", 3),
        ("fra1", 1),
        ("", 3),
        ("", 3),
        ("", 2),
    ]
    assert {t.host.name for page in found for t in page.targets} == {t.host.name for t in targets}
