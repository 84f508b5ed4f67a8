"""Rules 1 and 2, sentence by sentence: how many may be out, lanes, and who may begin."""

import doctest
import time

import pytest

from apollo.domain import capacity
from apollo.domain.base import parse_share
from apollo.domain.capacity import Allowance, Turn, allowance, lanes, next_turns


def allowed(share: str, **sizes: int) -> Allowance:
    return allowance(parse_share(share), sizes)


def turns(text: str) -> list[Turn]:
    """`a1 b2! c1@2`: location a, location b and out already, location c in group 2."""
    result = []
    for word in text.split():
        name, _, group = word.partition("@")
        out = name.endswith("!")
        result.append(Turn(name.rstrip("!"), name[0], not out, int(group or 0)))
    return result


def begin(
    pending: str,
    in_flight: str = "",
    *,
    out: dict[str, int] | None = None,
    limit: Allowance,
    one_location: bool = False,
    always_a_lane: bool = False,
) -> str:
    begun = next_turns(
        turns(pending),
        turns(in_flight),
        out or {},
        limit,
        one_location=one_location,
        always_a_lane=always_a_lane,
    )
    return " ".join(turn.host for turn in begun)


def limit(fleet: int, **locations: int) -> Allowance:
    return Allowance(locations=locations, fleet=fleet)


@pytest.mark.parametrize(
    ("share", "sizes", "locations", "fleet"),
    [
        ("25%", {"a": 10, "b": 3}, {"a": 2, "b": 1}, 3),
        ("25%", {"a": 7}, {"a": 1}, 1),
        ("20%", {"a": 4, "b": 4, "c": 4}, {"a": 1, "b": 1, "c": 1}, 2),
        ("1%", {"a": 3, "b": 3}, {"a": 1, "b": 1}, 1),
        ("100%", {"a": 2, "b": 1}, {"a": 2, "b": 1}, 3),
        ("0%", {"a": 2}, {"a": 1}, 1),
        ("3", {"a": 10, "b": 10}, {"a": 3, "b": 3}, 6),
        ("3", {"a": 10, "b": 3, "c": 2, "d": 1}, {"a": 3, "b": 2, "c": 1, "d": 1}, 7),
        ("0", {"a": 5}, {"a": 1}, 1),
        ("29%", {"a": 100}, {"a": 29}, 29),
    ],
)
def test_allowance(
    share: str, sizes: dict[str, int], locations: dict[str, int], fleet: int
) -> None:
    """Percentages are rounded down, at least one; counts are per location, never all of it."""
    assert allowed(share, **sizes) == Allowance(locations=locations, fleet=fleet)


@pytest.mark.parametrize(
    ("given", "active", "each"),
    [
        (limit(9, a=5, b=2), "ab", 2),
        (limit(9, a=5, b=2), "a", 5),
        (limit(7, a=5, b=4), "ab", 3),
        (limit(2, a=1, b=1, c=1), "abc", 1),
        (limit(1, a=3), "a", 1),
    ],
)
def test_every_location_has_the_same_lanes(given: Allowance, active: str, each: int) -> None:
    """The smallest allowance among them, within the fleet's, at least one."""
    assert lanes(given, list(active)) == dict.fromkeys(active, each)


def test_no_location_no_lanes() -> None:
    assert lanes(limit(3, a=3), []) == {}


def test_a_host_in_service_needs_room_in_its_location() -> None:
    assert begin("a1 a2 a3", limit=limit(9, a=2)) == "a1 a2"
    assert begin("a1 a2 a3", out={"a": 1}, limit=limit(9, a=2)) == "a1"
    assert begin("a1 a2 a3", out={"a": 2}, limit=limit(9, a=2)) == ""


def test_a_host_in_service_needs_room_in_the_fleet() -> None:
    """Hosts that are out in locations which are not even planned count."""
    assert begin("a1 a2 a3", out={"z": 4}, limit=limit(5, a=3, z=5)) == "a1"
    assert begin("a1 a2 a3", out={"z": 5}, limit=limit(5, a=3, z=5)) == ""


def test_hosts_in_flight_count_as_out() -> None:
    assert begin("a3 a4", "a1 a2", limit=limit(3, a=3)) == "a3"


def test_a_host_in_flight_counts_as_out_although_it_was_before() -> None:
    """Its turn does not make it serve sooner."""
    assert begin("a2", "a1!", limit=limit(1, a=1)) == ""
    assert begin("a2", "a1!", out={"b": 1}, limit=limit(2, a=2, b=1)) == ""


def test_a_host_already_out_needs_no_room() -> None:
    assert begin("a1!", out={"a": 5}, limit=limit(1, a=1)) == "a1"


def test_a_host_already_out_takes_a_lane() -> None:
    assert begin("a1! a2! a3!", out={"a": 3}, limit=limit(2, a=2)) == "a1 a2"
    assert begin("a2! a3", "a1", out={"a": 1}, limit=limit(1, a=1)) == ""


def test_a_location_without_room_waits_and_the_others_go_on() -> None:
    assert begin("a1 b1 a2 b2", out={"a": 1}, limit=limit(4, a=1, b=3)) == "b1"


def test_when_nothing_can_go_on_nothing_begins() -> None:
    assert begin("a1 b1", out={"a": 1, "b": 1}, limit=limit(2, a=1, b=1)) == ""


def test_lanes_are_refilled_without_waiting_for_the_slowest() -> None:
    assert begin("a3 b3", "a1 a2 b2", limit=limit(4, a=2, b=2)) == "b3"


def test_all_locations_use_the_lanes_of_the_smallest() -> None:
    assert begin("a1 b1 a2 b2 a3", limit=limit(9, a=5, b=1)) == "a1 b1"


def test_a_location_counts_until_its_last_turn_has_ended() -> None:
    assert begin("a2 a3", "a1 b1", limit=limit(9, a=5, b=1)) == ""
    assert begin("a2 a3", "a1", limit=limit(9, a=5, b=1)) == "a2 a3"


def test_locations_take_turns_where_the_fleet_allows_less_than_one_each() -> None:
    scarce = limit(2, a=1, b=1, c=1)
    assert begin("a1 b1 c1 a2 b2 c2", limit=scarce) == "a1 b1"
    assert begin("c1 a2 b2 c2", "b1", limit=scarce) == "c1"
    assert begin("a2 b2 c2", "c1", limit=scarce) == "a2"


def test_hosts_that_are_out_do_not_exceed_the_lanes_of_the_fleet() -> None:
    assert begin("a1! b1! c1!", out={"a": 1, "b": 1, "c": 1}, limit=limit(2, a=1, b=1, c=1)) == (
        "a1 b1"
    )


def test_a_slower_pace_lets_turns_in_flight_end() -> None:
    assert begin("a4", "a1 a2 a3", limit=limit(1, a=1)) == ""


def test_a_role_begins_when_the_one_before_has_ended() -> None:
    most = limit(9, a=9, b=9)
    assert begin("a1 b1 a2@1 b2@1", limit=most) == "a1 b1"
    assert begin("a2@1 b2@1", "b1", limit=most) == ""
    assert begin("a2@1 b2@1", limit=most) == "a2 b2"


def test_a_host_that_is_out_may_overtake_its_role_where_nothing_else_can_go_on() -> None:
    """A broken web host takes the room that a worker needs; repairing it is the way on."""
    assert begin("a1 a2!@1 a3@1", out={"a": 1}, limit=limit(1, a=1)) == "a2"
    assert begin("a1 a2!@1 b3", out={"a": 1}, limit=limit(2, a=1, b=1)) == "b3"
    assert begin("a1 b2@1 a2!@2", out={"a": 1}, limit=limit(2, a=1, b=1)) == "a2"


def test_a_location_without_room_does_not_hold_the_later_roles_of_the_others() -> None:
    assert begin("a1 a2@1 b2@1 b3@2", out={"a": 1}, limit=limit(2, a=1, b=1)) == "b2"
    assert begin("a1 a2@1 b3@2", "b2@1", limit=limit(3, a=1, b=2)) == "a1"


def test_one_location_at_a_time() -> None:
    most = limit(6, a=2, b=4)
    assert begin("a1 a2 a3 b1 b2", limit=most, one_location=True) == "a1 a2"
    assert begin("b1 b2", "a3", limit=most, one_location=True) == ""
    assert begin("b1 b2 b3 b4 b5", limit=most, one_location=True) == "b1 b2 b3 b4"


def test_one_location_at_a_time_passes_over_a_location_without_room() -> None:
    most = limit(6, a=2, b=2)
    assert begin("a1 b1 b2 b3", out={"a": 2}, limit=most, one_location=True) == "b1 b2"
    assert begin("a1 b3", "b2", limit=most, one_location=True) == "b3"


def test_a_rollback_always_has_a_lane_in_each_location() -> None:
    full = {"a": 3, "b": 3}
    assert begin("a1 b1 a2 b2", out=full, limit=limit(1, a=1, b=1), always_a_lane=True) == "a1 b1"
    assert begin("a2 b2", "a1", out=full, limit=limit(1, a=1, b=1), always_a_lane=True) == "b2"
    assert begin("a1 a2 a3", limit=limit(2, a=2), always_a_lane=True) == "a1 a2"
    assert begin("a1 a2 a3", out={"a": 9}, limit=limit(2, a=2), always_a_lane=True) == "a1"


def test_nothing_pending() -> None:
    assert begin("", "a1", limit=limit(1, a=1)) == ""
    assert begin("", limit=limit(1, a=1)) == ""


def test_a_decision_about_500_hosts_is_quick() -> None:
    """A batch decides after each of its turns; 10 ms is a hundred times what it takes."""
    places = "abc"
    pending = [Turn(f"h{number}", places[number % 3]) for number in range(500)]
    began = time.perf_counter()
    for _ in range(100):
        next_turns(pending[40:], pending[:40], {"a": 200}, allowed("20%", a=500, b=500, c=500))
    assert (time.perf_counter() - began) / 100 < 0.01


def test_the_examples_in_the_docstrings() -> None:
    results = doctest.testmod(capacity)
    assert results.attempted
    assert not results.failed
