"""Rules 1 to 5, 7 and 8 over random fleets, judged by a referee that shares no code with them.

Each property has a control: a planner or a window that breaks the rule, which must be found out.
"""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo.domain import capacity
from apollo.domain.base import parse_share
from apollo.domain.capacity import Allowance, Turn, allowance, next_turns
from apollo.domain.plan import Plan, PlannedHost, make_plan
from apollo.domain.rollback import EndedHost, rollback_plan
from apollo.domain.status import Outcome
from tests.support.rollouts import Case, Decide, back, cases, deploy
from tests.support.rules import Machine, wave_sizes

LIGHT = settings(deadline=None, max_examples=150)


@LIGHT
@given(cases(), st.integers(0, 2**32))
def test_capacity_lanes_order_and_liveness(case: Case, seed: int) -> None:
    """Rules 1 to 3: whatever ends how and when, and everyone who has room has one turn."""
    complaints, _, _ = deploy(case, seed)
    assert complaints == []


@LIGHT
@given(cases(), st.integers(0, 2**32))
def test_every_planned_host_has_its_turn_when_turns_go_well(case: Case, seed: int) -> None:
    """All hosts are repaired or updated, so none but a disabled host can take the room."""
    well = Case(
        machines=tuple(each for each in case.machines if not each.disabled),
        share=case.share,
        waves=(("100%", False),),
        order=case.order,
        one_location=case.one_location,
    )
    complaints, outcomes, out = deploy(well, seed, ends=[Outcome.UPDATED])
    assert complaints == []
    assert sorted(outcomes) == sorted(each.name for each in well.machines)
    assert out == set()


@LIGHT
@given(cases())
def test_a_plan_is_a_permutation_of_the_hosts_that_are_not_disabled(case: Case) -> None:
    plan = case.plan()
    expected = sorted(each.name for each in case.machines if not each.disabled)
    assert sorted(host.host for host in plan.hosts) == expected
    assert [host.order for host in plan.hosts] == list(range(1, len(expected) + 1))
    assert sum(wave.hosts for wave in plan.waves) == len(expected)
    assert all(wave.hosts for wave in plan.waves)


def complaints_of_waves(case: Case, plan: Plan) -> list[str]:
    picked = [[h.host for h in plan.hosts if h.wave == wave.number] for wave in plan.waves]
    return wave_sizes(case.waves, case.planned(plan), picked, case.machines, case.share)


@LIGHT
@given(cases())
def test_waves_are_cumulative_and_failed_hosts_come_first(case: Case) -> None:
    assert complaints_of_waves(case, case.plan()) == []


def complaints_of_order(case: Case, plan: Plan) -> list[str]:
    """Within a wave: roles in order, then who is out or failed, then stripes."""
    wrong = []
    for wave in plan.waves:
        machines = {each.name: each for each in case.machines}
        hosts = [machines[host.host] for host in plan.hosts if host.wave == wave.number]
        keys = [
            (case.order.index(h.role) if h.role in case.order else len(case.order), not h.first)
            for h in hosts
        ]
        if keys != sorted(keys):
            wrong.append(f"wave {wave.number} is out of order")
        for key in dict.fromkeys(keys):
            row = [host.location for host, own in zip(hosts, keys, strict=True) if own == key]
            wrong += _stripes(row, case.one_location)
    return wrong


def _stripes(row: list[str], one_location: bool) -> list[str]:
    """No location gets ahead of another that still has hosts in the row."""
    for index in range(1, len(row)):
        done, left = row[:index], row[index:]
        counts = [done.count(place) for place in dict.fromkeys(left)]
        most = max(done.count(place) for place in done)
        if not one_location and most - min(counts) > 1:
            return [f"stripes: {''.join(row)}"]
        if one_location and row[index] != row[index - 1] and row[index] in done:
            return [f"one location at a time: {''.join(row)}"]
    return []


@LIGHT
@given(cases())
def test_the_order_within_waves(case: Case) -> None:
    assert complaints_of_order(case, case.plan()) == []


@LIGHT
@given(cases(), st.randoms(use_true_random=False))
def test_the_same_plan_every_time(case: Case, random: Random) -> None:
    """However what is known of the hosts happens to be ordered."""
    states = list(case.states.items())
    random.shuffle(states)
    manifests = {each.name: "new" for each in reversed(case.machines)}
    again = make_plan(case.fleet, case.strategy, dict(states), manifests)
    assert again == case.plan()


@LIGHT
@given(cases(), st.data())
def test_a_limit_changes_neither_allowances_nor_what_is_known(
    case: Case, data: st.DataObject
) -> None:
    names = [each.name for each in case.machines]
    limit = data.draw(st.lists(st.sampled_from(names), unique=True))
    plan, whole = case.plan(limit=limit), case.plan()
    hosts = {host.host: host for host in whole.hosts}
    assert plan.allowance == whole.allowance
    assert {host.host for host in plan.hosts} == set(limit) & set(hosts)
    for host in plan.hosts:
        other = hosts[host.host]
        assert (host.was_out, host.was_broken) == (other.was_out, other.was_broken)
        assert host.expected_current == other.expected_current
    assert plan.failures_allowed == case.strategy.failures_allowed(len(plan.hosts))


@LIGHT
@given(cases(), st.integers(1, 7))
def test_batches_are_pages_of_a_wave_in_order(case: Case, size: int) -> None:
    plan = case.plan(batch_size=size)
    for wave in plan.waves:
        hosts = [host for host in plan.hosts if host.wave == wave.number]
        numbers = [host.batch for host in hosts]
        assert numbers == sorted(numbers)
        assert list(dict.fromkeys(numbers)) == list(range(1, wave.batches + 1))
        for number in range(1, wave.batches + 1):
            page = [host for host in hosts if host.batch == number]
            assert len(page) <= size
            before = [host.group for host in hosts if host.batch < number]
            barrier = bool(before) and max(before) < page[0].group
            assert barrier == (number in wave.barriers)
            assert not before or max(before) <= min(host.group for host in page)
            assert wave.batches == 1 or len({host.group for host in page}) == 1


@pytest.mark.parametrize("share", ["1", "2", "20%", "50%", "100%"])
@pytest.mark.parametrize("locations", [2, 3, 5])
def test_locations_of_the_same_size_advance_together(share: str, locations: int) -> None:
    """Turns that take equally long: at no moment is a location ahead by more than a stripe."""
    machines = tuple(
        Machine(f"h{number}", "abcde"[number % locations]) for number in range(10 * locations)
    )
    case = Case(machines, share=share, waves=(("100%", False),))
    plan = case.plan()
    pending, ahead = [host.turn for host in plan.hosts], 0
    done = dict.fromkeys([each.location for each in machines], 0)
    lanes = max(plan.waves[0].lanes.values())
    while pending:
        begun = next_turns(pending, [], {}, plan.allowance)
        assert begun
        for turn in begun:
            done[turn.location] += 1
            pending.remove(turn)
        ahead = max(ahead, max(done.values()) - min(done.values()))
    assert ahead <= (0 if plan.allowance.fleet >= locations else lanes)


@LIGHT
@given(cases(), st.integers(0, 2**32))
def test_a_rollback_reaches_every_changed_host_within_its_allowance(case: Case, seed: int) -> None:
    """Rule 7: always at least one lane per location, so that nothing is left behind."""
    complaints, turns, outcomes = back(case, seed)
    assert complaints == []
    changed = {"updated", "reverted", "broken", "lost"}
    assert {turn.host for turn in turns} == {n for n, end in outcomes.items() if end in changed}
    restored = [turn for turn in turns if turn.action == "restore"]
    assert not any(outcomes[turn.host] is Outcome.REVERTED for turn in restored)


@LIGHT
@given(cases(), st.integers(0, 2**32))
def test_a_rollback_with_roles_ends_too(case: Case, seed: int) -> None:
    """With the groups as they are planned: each changed host begins once, later roles first."""
    _, outcomes, out = deploy(case, seed)
    rows = [
        EndedHost(planned=row, outcome=outcomes[row.host], wanted="new", last_good="old")
        for row in case.plan().hosts
        if row.host in outcomes
    ]
    turns = rollback_plan(rows)
    planned = {row.planned.host: row.planned for row in rows}
    pending, flying, began = [turn.turn for turn in turns], list[Turn](), list[str]()
    places = {each.name: each.location for each in case.machines}
    random = Random(seed)
    limits = allowance(parse_share("33%"), case.fleet.sizes())
    while pending or flying:
        counts: dict[str, int] = {}
        for name in sorted(out - {turn.host for turn in flying}):
            counts[places[name]] = counts.get(places[name], 0) + 1
        begun = next_turns(pending, flying, counts, limits, always_a_lane=True)
        assert begun or flying
        flying += begun
        pending = [turn for turn in pending if turn not in begun]
        began += [turn.host for turn in begun]
        flying.pop(random.randrange(len(flying)))
    in_service = [name for name in began if not outcomes[name].out]
    groups = [planned[name].group for name in in_service]
    assert sorted(began) == sorted(turn.host for turn in turns)
    assert groups == sorted(groups, reverse=True)


# The controls: each breaks a rule on purpose, and must be found out.

SICK = tuple(
    Machine(f"h{n}", "abc"[n % 3], role="job" if n % 2 else "web", out=n in (0, 7))
    for n in range(24)
)
CONTROL = Case(SICK, share="25%", waves=(("100%", False),), order=("job", "web"))


def _words(decide: Decide, case: Case = CONTROL, **options: Any) -> str:
    found = [deploy(case, seed, decide=decide, **options)[0] for seed in range(5)]
    return "\n".join(complaint for complaints in found for complaint in complaints)


def _changed(**fixed: Any) -> Decide:
    def decide(
        pending: list[Turn], flying: list[Turn], out: dict[str, int], limits: Allowance, **kw: Any
    ) -> list[Turn]:
        if fixed.get("roles") is False:
            pending = [turn._replace(group=0) for turn in pending]
            flying = [turn._replace(group=0) for turn in flying]
        if fixed.get("room") is False:
            pending = [turn._replace(needs_room=False) for turn in pending]
        own = {key: value for key, value in fixed.items() if key in kw}
        return next_turns(pending, flying, fixed.get("out", out), limits, **{**kw, **own})

    return decide


def test_control_the_referee_has_nothing_against_the_real_window() -> None:
    assert _words(next_turns) == ""


def test_control_an_allowance_of_the_whole_fleet() -> None:
    whole = Allowance(locations={"a": 8, "b": 8, "c": 8}, fleet=24)
    assert "drained without room" in _words(next_turns, limits=whole)


def test_control_one_host_more_than_allowed() -> None:
    one_more = Allowance(locations={"a": 3, "b": 3, "c": 3}, fleet=7)
    assert "drained without room" in _words(next_turns, limits=one_more)


def test_control_hosts_that_are_out_do_not_count() -> None:
    assert "drained without room" in _words(_changed(out={}))


def test_control_nobody_needs_room() -> None:
    assert "drained without room" in _words(_changed(room=False))


def test_control_roles_do_not_wait() -> None:
    assert "does not wait for its role" in _words(_changed(roles=False))


def test_control_all_locations_at_a_time() -> None:
    case = Case(SICK, waves=CONTROL.waves, one_location=True)
    assert "more than one location at a time" in _words(_changed(one_location=False), case)


def test_control_lanes_that_are_not_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    uneven = (*SICK, *(Machine(f"a{n}", "a") for n in range(40)))
    case = Case(uneven, share="25%", waves=CONTROL.waves)
    assert _words(next_turns, case) == ""
    monkeypatch.setattr(
        capacity, "lanes", lambda allowed, active: {p: allowed.locations[p] for p in active}
    )
    assert "lanes in a" in _words(next_turns, case)


def test_control_waiting_for_the_slowest() -> None:
    def batchwise(pending: list[Turn], flying: list[Turn], *rest: Any, **kw: Any) -> list[Turn]:
        return [] if flying else next_turns(pending, flying, *rest, **kw)

    assert "waits though it may begin" in _words(batchwise)


def test_control_giving_up() -> None:
    def lazy(pending: list[Turn], *rest: Any, **kw: Any) -> list[Turn]:
        return next_turns(pending[:1], *rest, **kw) if len(pending) > 4 else []

    assert "was left though it could begin" in _words(lazy)


def test_control_a_host_begins_twice() -> None:
    seen: list[Turn] = []

    def again(pending: list[Turn], flying: list[Turn], *rest: Any, **kw: Any) -> list[Turn]:
        begun = next_turns(pending, flying, *rest, **kw)
        if begun and len(seen) < 30:
            seen.extend(begun)
            return [*begun, seen[0]]
        return begun

    assert "has two turns" in _words(again)


def test_control_a_rollback_that_forgets_its_allowance() -> None:
    machines = tuple(Machine(f"h{n}", "ab"[n % 2], disabled=n < 6) for n in range(20))
    case = Case(machines, share="50%")
    assert back(case, 1)[0] == []
    assert "without room" in "\n".join(back(case, 1, decide=_changed(room=False))[0])
    stuck = [back(CONTROL, seed, decide=_changed(always_a_lane=False))[0] for seed in range(40)]
    assert any("had no turn" in word for words in stuck for word in words)


def _moved(plan: Plan, source: int, target: int) -> Plan:
    """The same plan with one host in the place of another."""
    hosts = list(plan.hosts)
    one, other = hosts[source], hosts[target]
    swap = {"order", "wave", "batch"}
    hosts[source] = PlannedHost(**{**other.model_dump(), **one.model_dump(include=swap)})
    hosts[target] = PlannedHost(**{**one.model_dump(), **other.model_dump(include=swap)})
    return plan.model_copy(update={"hosts": tuple(hosts)})


def test_control_waves_and_order() -> None:
    machines = tuple(Machine(f"h{n}", "ab"[n % 2], out=n == 5) for n in range(12))
    case = Case(machines, waves=(("1", False), ("25%", False), ("100%", False)))
    plan = case.plan()
    assert complaints_of_waves(case, plan) + complaints_of_order(case, plan) == []
    out = next(index for index, host in enumerate(plan.hosts) if host.was_out)
    assert any("in service" in word for word in complaints_of_waves(case, _moved(plan, 0, out)))
    last = _moved(plan, out, len(machines) - 1)
    assert any("failed first" in word for word in complaints_of_waves(case, last))
    later = [index for index, host in enumerate(plan.hosts) if host.wave == 3]
    rows = [plan.hosts[index].location for index in later]
    twice = _moved(plan, later[1], later[2 + rows[2:].index(rows[0])])
    assert complaints_of_order(case, twice)
    full = Case(machines, share="8%", waves=case.waves)
    assert complaints_of_waves(full, full.plan()) == []
    assert any("needs none" in word for word in complaints_of_waves(full, plan))
    fewer = plan.model_copy(update={"hosts": plan.hosts[:-1]})
    assert complaints_of_waves(Case(machines, waves=case.waves), fewer) == []
    short = [[h.host for h in plan.hosts if h.wave == 1], [h.host for h in plan.hosts[1:6]]]
    assert wave_sizes(case.waves, machines, short, machines)
