"""Random deployments of the real planner, judged from the rows that they would have left.

What keeps the rules must never be called broken; each sabotage of the planner must be found out.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo.domain import capacity
from apollo.domain.capacity import Allowance, Turn, next_turns
from apollo.domain.status import Outcome
from apollo.proof import Judgement, Verdict, prove
from tests.support.rollouts import Case, Decide, Times, back, cases, deploy
from tests.support.rules import Machine
from tests.support.witness_rows import evidence

LIGHT = settings(deadline=None, max_examples=150)
SICK = tuple(
    Machine(f"h{n}", "abc"[n % 3], role="job" if n % 2 else "web", out=n in (0, 7))
    for n in range(24)
)
WELL = [Outcome.ROLLED_BACK]
CONTROL = Case(SICK, share="25%", waves=(("100%", False),), order=("job", "web"))


def broken(judged: Sequence[Judgement]) -> dict[int, list[str]]:
    return {
        each.rule: [f"{breach.host} {breach.what}" for breach in each.breaches]
        for each in judged
        if each.verdict is Verdict.BROKEN
    }


def found(case: Case, seed: int, **options: Any) -> dict[int, list[str]]:
    times: Times = {}
    _, outcomes, _ = deploy(case, seed, times=times, **options)
    return broken(prove(evidence(case, case.plan(), times, outcomes)))


@LIGHT
@given(cases(), st.integers(0, 2**32))
def test_what_the_planner_does_is_never_called_broken(case: Case, seed: int) -> None:
    assert found(case, seed) == {}


@LIGHT
@given(cases(), st.integers(0, 2**32))
def test_nor_is_what_a_rollback_does(case: Case, seed: int) -> None:
    forward: Times = {}
    backward: Times = {}
    _, turns, outcomes = back(case, seed, ends=WELL, times=(forward, backward))
    rows = evidence(case, case.plan(), forward, outcomes, turns, backward)
    assert broken(prove(rows)) == {}


def test_who_is_out_may_go_ahead_of_its_role_one_location_after_the_other() -> None:
    """The first role has no room: the plan's first location goes ahead, whatever the roles."""
    machines = (
        Machine("a1", "a", role="job", out=True),
        Machine("a2", "a"),
        Machine("b1", "b", role="web"),
        Machine("b2", "b", out=True),
    )
    waves, order = (("100%", False),), ("web", "job")
    case = Case(machines, share="1", waves=waves, order=order, one_location=True)
    assert [found(case, seed) for seed in range(5)] == [{}] * 5


def words(rule: int, decide: Decide, case: Case = CONTROL, **options: Any) -> str:
    seeds = [found(case, seed, decide=decide, **options) for seed in range(5)]
    return "\n".join(word for judged in seeds for word in judged.get(rule, ()))


def changed(**fixed: Any) -> Decide:
    def decide(
        pending: list[Turn], flying: list[Turn], out: dict[str, int], limits: Allowance, **kw: Any
    ) -> list[Turn]:
        if fixed.get("roles") is False:
            pending = [turn._replace(group=0) for turn in pending]
            flying = [turn._replace(group=0) for turn in flying]
        if fixed.get("room") is False:
            pending = [turn._replace(needs_room=False) for turn in pending]
        if "shuffled" in fixed:
            Random(len(pending)).shuffle(pending)
        own = {key: value for key, value in fixed.items() if key in kw}
        return next_turns(pending, flying, fixed.get("out", out), limits, **{**kw, **own})

    return decide


@pytest.mark.parametrize("rule", [1, 2, 3])
def test_control_nothing_is_said_of_the_real_planner(rule: int) -> None:
    assert words(rule, next_turns) == ""


def test_control_one_host_more_than_allowed() -> None:
    one_more = Allowance(locations={"a": 3, "b": 3, "c": 3}, fleet=7)
    assert "were out" in words(1, next_turns, limits=one_more)
    assert words(2, next_turns, limits=one_more) == ""
    three_lanes = Allowance(locations={"a": 3, "b": 3, "c": 3}, fleet=9)
    assert "was turn 3 at once in a: 2 for each" in words(2, next_turns, limits=three_lanes)


def test_control_hosts_that_are_out_do_not_count() -> None:
    assert "were out" in words(1, changed(out={}))


def test_control_nobody_needs_room() -> None:
    assert "were out" in words(1, changed(room=False))


def test_control_roles_do_not_wait() -> None:
    assert "whose role comes earlier" in words(3, changed(roles=False))


def test_control_turns_in_any_order() -> None:
    shuffled = changed(shuffled=True)
    assert "began its turn before" in words(3, shuffled)
    assert "had a free lane and room" in words(2, shuffled)


def test_control_all_locations_at_a_time() -> None:
    case = Case(SICK, waves=CONTROL.waves, one_location=True)
    assert "one location at a time" in words(2, changed(one_location=False), case)


def test_control_lanes_that_are_not_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    uneven = (*SICK, *(Machine(f"a{n}", "a") for n in range(40)))
    case = Case(uneven, share="25%", waves=CONTROL.waves)
    assert words(2, next_turns, case) == ""
    monkeypatch.setattr(
        capacity, "lanes", lambda allowed, active: {p: allowed.locations[p] for p in active}
    )
    assert "at once in a" in words(2, next_turns, case)


def test_control_a_rollback_that_forgets_its_allowance() -> None:
    machines = tuple(Machine(f"h{n}", "ab"[n % 2], disabled=n < 6) for n in range(20))
    case = Case(machines, share="50%")

    def judged(decide: Decide) -> dict[int, list[str]]:
        forward: Times = {}
        backward: Times = {}
        _, turns, outcomes = back(case, 1, decide=decide, ends=WELL, times=(forward, backward))
        return broken(prove(evidence(case, case.plan(), forward, outcomes, turns, backward)))

    assert judged(next_turns) == {}
    assert any("were out" in word for word in judged(changed(room=False)).get(7, ()))
