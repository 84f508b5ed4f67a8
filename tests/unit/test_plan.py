"""Rules 3, 4 and 8, sentence by sentence: order, waves, and what a plan says."""

import doctest
from datetime import timedelta
from typing import Any

import pytest

from apollo.domain import waves
from apollo.domain.capacity import Allowance
from apollo.domain.fleet import Fleet, Host
from apollo.domain.plan import HostState, Plan, make_plan, marks
from apollo.domain.strategy import Strategy

ALL: dict[str, Any] = {"waves": ["100%"]}


def fleet(text: str) -> Fleet:
    """`a1 b1.web`: location a; location b and the role web."""
    hosts = []
    for word in text.split():
        name, _, role = word.partition(".")
        labels = {"role": role} if role else {}
        hosts.append(Host(name=name, location=name[0], address="192.0.2.1", labels=labels))
    return Fleet(hosts=tuple(hosts))


def plan(
    text: str,
    strategy: dict[str, Any] | None = None,
    *,
    states: dict[str, Any] | None = None,
    labels: dict[str, dict[str, str]] | None = None,
    **options: Any,
) -> Plan:
    """Plan for hosts that serve `old`, but for `states`: `{"a1": "broken"}`, or a HostState."""
    made = fleet(text)
    if labels:
        changed = [
            host.model_copy(update={"labels": {**host.labels, **labels.get(host.name, {})}})
            for host in made.hosts
        ]
        made = Fleet(hosts=tuple(changed))
    known = {
        host.name: HostState.model_validate({"serving": "serving", "manifest": "old"})
        for host in made.hosts
    }
    for name, state in (states or {}).items():
        is_state = isinstance(state, HostState)
        known[name] = state if is_state else HostState(serving=state, manifest="old")
    manifests = {host.name: "new" for host in made.hosts}
    return make_plan(made, Strategy.model_validate(strategy or {}), known, manifests, **options)


def order(made: Plan) -> str:
    """`a1 | b1 a2`: waves are divided by `|`."""
    parts = [
        " ".join(host.host for host in made.hosts if host.wave == wave.number)
        for wave in made.waves
    ]
    return " | ".join(parts)


FAILED = HostState.model_validate({"serving": "serving", "manifest": "old", "failed_last": True})


def test_stripes_take_one_host_of_each_location_in_turn() -> None:
    assert order(plan("a1 a2 a3 b1 b2 c1", ALL)) == "a1 b1 c1 a2 b2 a3"


def test_hosts_that_are_out_or_failed_last_time_come_first() -> None:
    states = {"a3": "broken", "a2": FAILED, "b3": "unreachable", "c2": "lost", "b2": "new"}
    found = plan("a1 a2 a3 b1 b2 b3 c1 c2", ALL, states=states)
    assert order(found) == "a2 b2 c2 a3 b3 a1 b1 c1"
    assert [host.host for host in found.hosts if host.was_out] == ["b2", "c2", "a3", "b3"]
    assert [host.host for host in found.hosts if host.was_broken] == ["c2", "a3"]


def test_a_host_that_nobody_knows_is_new_and_needs_no_room() -> None:
    made = fleet("a1")
    found = make_plan(made, Strategy(), {}, {"a1": "new"})
    assert [(host.was_out, host.was_broken, host.turn.needs_room) for host in found.hosts] == [
        (True, False, False)
    ]


def test_roles_are_in_order_within_each_wave() -> None:
    text = "a1.web a2.web a3.job b1.web b2.job b3.web"
    strategy = {"waves": ["50%", "100%"], "order": ["job", "web"]}
    found = plan(text, strategy)
    assert order(found) == "a3 a1 b1 | b2 b3 a2"
    assert [host.group for host in found.hosts] == [0, 1, 1, 0, 1, 1]


def test_roles_that_order_does_not_name_come_last_together() -> None:
    found = plan("a1.db a2 a3.web a4.job", {**ALL, "order": ["job", "web"]})
    assert order(found) == "a4 a3 a1 a2"
    assert [host.group for host in found.hosts] == [0, 1, 2, 2]


def test_a_host_that_is_out_keeps_to_the_order_of_roles() -> None:
    text = "a1.web a2.web a3.job a4.job"
    found = plan(text, {**ALL, "order": ["job", "web"]}, states={"a2": "broken", "a4": "broken"})
    assert order(found) == "a4 a3 a2 a1"


def test_each_wave_has_its_part_of_each_role() -> None:
    """Though the inventory names all of one role before the other."""
    text = " ".join([*(f"a{n}.web" for n in range(80)), *(f"a{n}.job" for n in range(80, 100))])
    found = plan(text, {"waves": ["10%", "100%"]})
    assert [host.role for host in found.hosts if host.wave == 1].count("job") == 2


def test_the_same_order_every_time() -> None:
    states = {"b2": "broken", "a1": FAILED}
    one = plan("a1 a2 b1 b2", states=states)
    other = plan("a1 a2 b1 b2", states=dict(reversed(states.items())))
    assert one == other


HALF: dict[str, Any] = {"max_unavailable": "50%"}
"""Where one of two hosts of a location is out, another may be only in a larger one."""


def test_a_one_host_wave_takes_a_host_in_service() -> None:
    states = {"a1": "broken", "b1": "lost"}
    assert order(plan("a1 a2 a3 a4 b1 b2", HALF, states=states)) == "a2 | b1 a1 b2 a3 a4"
    assert order(plan("a1 a2", states={"a1": "new", "a2": "new"})) == "a1 | a2"


def test_a_one_host_wave_takes_a_host_that_is_out_where_no_other_has_room() -> None:
    """It needs none, and makes some; should it stay out, no host in service is touched."""
    found = plan("a1 a2 a3 a4", states={"a3": "broken"})
    assert order(found) == "a3 | a1 a2 a4"
    two = {"waves": [1, 2, "100%"]}
    assert order(plan("a1 a2 a3 a4", two, states={"a3": "broken"})) == "a3 | a1 | a2 a4"
    assert order(plan("a1 a2 b1 b2", HALF, states={"a1": "broken"})) == "b1 | a1 a2 b2"


def test_where_nobody_has_room_nor_is_out_the_plan_warns() -> None:
    """The room was taken by a host that is not planned."""
    found = plan("a1 a2 a3 a4", states={"a1": "disabled"})
    assert order(found) == "a2 | a3 a4"
    assert any("no host in service can be drained" in each for each in found.warnings)


def test_a_percentage_that_comes_to_one_host_takes_a_host_in_service_too() -> None:
    waves = {"waves": ["10%", "100%"], **HALF}
    found = plan("a1 a2 a3 a4", waves, states={"a1": "broken"})
    assert order(found) == "a2 | a1 a3 a4"


def test_a_one_host_wave_takes_one_of_each_role_in_order() -> None:
    text, roles = "a1.web a2.web b1.job b2.job", {"order": ["job", "web"]}
    states = {"a1": "broken"}
    assert order(plan(text, {**roles, **HALF}, states=states)) == "b1 a1 | b2 a2"
    roomy = "a1.web a2.web a3.web a4.web b1.job b2.job"
    assert order(plan(roomy, {**roles, **HALF}, states=states)) == "b1 a2 | b2 a1 a3 a4"


def test_a_one_host_wave_rather_takes_a_host_that_changes() -> None:
    current = HostState.model_validate({"serving": "serving", "manifest": "new"})
    found = plan("a1 a2 a3 a4", HALF, states={"a1": current, "a2": "broken"})
    assert order(found) == "a3 | a2 a1 a4"
    assert order(plan("a1 a2", states={"a1": current, "a2": current})) == "a1 | a2"


@pytest.mark.parametrize(
    ("shares", "hosts", "sizes"),
    [
        ([1, "10%", "100%"], 25, [1, 2, 22]),
        (["33%", "66%", "100%"], 10, [4, 3, 3]),
        ([2, 5, "100%"], 10, [2, 3, 5]),
        ([3, "100%"], 2, [2]),
        ([5, "10%", "100%"], 20, [5, 15]),
        (["100%"], 1, [1]),
    ],
)
def test_shares_of_waves_round_up_and_are_cumulative(
    shares: list[object], hosts: int, sizes: list[int]
) -> None:
    found = plan(" ".join(f"a{number}" for number in range(hosts)), {"waves": shares})
    assert [wave.hosts for wave in found.waves] == sizes
    assert [wave.number for wave in found.waves] == list(range(1, len(sizes) + 1))


def test_stripes_go_on_from_wave_to_wave() -> None:
    assert order(plan("a1 a2 b1 b2 c1 c2", {"waves": [2, 4, "100%"]})) == "a1 b1 | c1 a2 | b2 c2"


def test_of_restricts_a_wave_to_the_hosts_of_an_expression() -> None:
    canary = {name: {"canary": "yes"} for name in ("a3", "b2", "b3")}
    of = "canary=yes"
    text = "a1 a2 a3 b1 b2 b3"
    one = {"waves": [{"share": 1, "of": of}, "50%", "100%"]}
    assert order(plan(text, one, labels=canary)) == "b2 | a1 b1 | a2 b3 a3"
    part = {"waves": [{"share": "50%", "of": of}, "100%"]}
    assert order(plan(text, part, labels=canary)) == "a3 b2 | a1 b1 a2 b3"


def test_counts_of_different_expressions_do_not_hide_each_other() -> None:
    strategy = {"waves": [{"share": 1, "of": "a"}, {"share": 1, "of": "b"}, "100%"]}
    assert order(plan("a1 a2 b1 b2", strategy)) == "a1 | b1 | a2 b2"


def test_an_expression_that_matches_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="'canary=yes' matches no host of the inventory"):
        plan("a1", {"waves": [{"share": 1, "of": "canary=yes"}, "100%"]})


def test_an_expression_may_name_marks() -> None:
    strategy = {"waves": [{"share": "100%", "of": "@failed"}, "100%"]}
    states = {"a2": FAILED, "b1": "broken"}
    assert order(plan("a1 a2 b1", strategy, states=states)) == "a2 b1 | a1"


def test_what_marks_stand_for() -> None:
    states = {"a1": HostState(manifest="m"), "a2": FAILED, "b1": HostState(serving="lost")}  # type: ignore[arg-type]
    found = marks(fleet("a1 a2 b1 b2"), states, dict.fromkeys(["a1", "a2", "b1", "b2"], "m"))
    assert found == {"@failed": {"a2", "b1"}, "@outdated": {"a2", "b1", "b2"}}


def test_waves_keep_what_follows_them() -> None:
    strategy = {"waves": [{"share": 1, "bake": "30m", "approval": True}, "100%"]}
    first, last = plan("a1 a2", strategy).waves
    assert (first.bake, first.approval) == (timedelta(minutes=30), True)
    assert (last.bake, last.approval) == (timedelta(0), False)


def test_one_location_at_a_time() -> None:
    strategy = {"waves": [1, "50%", "100%"], "spread": "one_location_at_a_time"}
    assert order(plan("a1 b1 a2 b2 a3 c1", strategy)) == "a1 | a2 a3 | b1 b2 c1"


def test_lanes() -> None:
    """The same for all; a location that is alone has its own."""
    text = " ".join([*(f"a{n}" for n in range(20)), *(f"b{n}" for n in range(8)), "c1"])
    assert [wave.lanes for wave in plan(text).waves] == [{"a": 5}, {"a": 1, "b": 1, "c": 1}]
    alone = plan(text, {**ALL, "spread": "one_location_at_a_time"})
    assert alone.waves[0].lanes == {"a": 5, "b": 2, "c": 1}


def test_a_host_on_the_same_manifest_and_serving_is_expected_current() -> None:
    states = {
        "a1": HostState.model_validate({"serving": "serving", "manifest": "new"}),
        "a2": HostState.model_validate({"serving": "broken", "manifest": "new"}),
        "a3": HostState.model_validate({"serving": "serving"}),
    }
    found = plan("a1 a2 a3 a4", ALL, states=states)
    assert [host.host for host in found.hosts if host.expected_current] == ["a1"]
    again = plan("a1 a2 a3 a4", ALL, states=states, redeploy=True)
    assert not any(host.expected_current for host in again.hosts)


def test_disabled_hosts_are_not_planned_but_belong_to_the_fleet() -> None:
    found = plan("a1 a2 a3 a4", ALL, states={"a2": "disabled"})
    assert order(found) == "a1 a3 a4"
    assert found.allowance == Allowance(locations={"a": 1}, fleet=1)
    assert found.warnings == (
        "disabled, so not planned, and counted as out: a2",
        "no host in service can be drained: 1 out that is not planned, 1 allowed in the fleet",
    )


def test_a_limit_plans_some_hosts_with_the_allowance_of_the_fleet() -> None:
    text = " ".join(f"a{number}" for number in range(100))
    some = [f"a{number}" for number in range(40, 50)]
    found = plan(text, {"waves": ["10%", "100%"], "max_failures": "10%"}, limit=some)
    assert [host.host for host in found.hosts] == some
    assert [wave.hosts for wave in found.waves] == [1, 9]
    assert found.allowance == Allowance(locations={"a": 25}, fleet=25)
    assert (found.failures_allowed, found.unreachable_allowed) == (1, 1)


def test_a_limit_that_names_no_host_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="limit: the fleet has no host zz"):
        plan("a1", limit=["a1", "zz"])


def test_a_limit_to_nothing_is_an_empty_plan() -> None:
    found = plan("a1", limit=[])
    assert (found.hosts, found.waves) == ((), ())


def test_empty_waves_are_dropped_and_what_they_held_is_said() -> None:
    strategy = {"waves": [1, {"share": 1, "bake": "5m", "approval": True}, "100%"]}
    found = plan("a1 a2", strategy)
    assert order(found) == "a1 | a2"
    assert found.warnings == (
        "wave 2 has no host left; its bake and approval are dropped",
        *plan("a1 a2").warnings,
    )


def test_batches_carry_so_many_hosts() -> None:
    found = plan("a1 a2 a3 a4 a5 a6", batch_size=2)
    assert [(host.wave, host.batch) for host in found.hosts] == [
        (1, 1),
        (2, 1),
        (2, 1),
        (2, 2),
        (2, 2),
        (2, 3),
    ]
    assert [wave.batches for wave in found.waves] == [1, 3]
    assert [wave.barriers for wave in found.waves] == [(), ()]


def test_a_role_begins_a_batch_where_one_does_not_carry_the_wave() -> None:
    text = "a1.web a2.web a3.web a4.job a5.job a6.job"
    found = plan(text, {**ALL, "order": ["job", "web"]}, batch_size=2)
    assert [host.batch for host in found.hosts] == [1, 1, 2, 3, 3, 4]
    assert found.waves[0].barriers == (3,)
    whole = plan(text, {**ALL, "order": ["job", "web"]}, batch_size=6)
    assert (whole.waves[0].batches, whole.waves[0].barriers) == (1, ())


@pytest.mark.parametrize(
    ("text", "strategy", "states", "warnings"),
    [
        ("a1", {}, {}, []),
        (
            "a1 a2 a3 a4 b1",
            {},
            {},
            [
                "1 of the fleet may be out at once, so the 2 locations take turns",
                "every host may be out at once in b",
            ],
        ),
        (
            "a1 a2 b1 b2",
            {"max_unavailable": 1},
            {"a2": "disabled"},
            [
                "disabled, so not planned, and counted as out: a2",
                "no host in service can be drained in a: "
                "1 out that is not planned, 1 allowed there",
            ],
        ),
        ("a1 a2", {"order": ["job"]}, {}, ["order: no host has the role job"]),
    ],
)
def test_warnings(
    text: str, strategy: dict[str, Any], states: dict[str, Any], warnings: list[str]
) -> None:
    assert list(plan(text, strategy, states=states).warnings) == warnings


def test_the_examples_in_the_docstrings() -> None:
    results = doctest.testmod(waves)
    assert results.attempted
    assert not results.failed
