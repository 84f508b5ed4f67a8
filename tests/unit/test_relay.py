"""When a batch tells what it still takes, and what that is."""

from apollo.domain.capacity import Turn
from apollo.domain.relay import Baton, relays, turns_of
from apollo.domain.rollout import Held


def turns(*locations: str, group: int = 0) -> list[Turn]:
    return [Turn(f"h{n}", place, group=group) for n, place in enumerate(locations)]


def baton(most: int) -> Baton:
    found = Baton()
    for running in (1, most, most - 1):
        found.runs(running)
    return found


def test_it_tells_at_a_half_and_at_a_quarter() -> None:
    found = baton(8)
    told = [
        count for count in range(8, -1, -1) if found.hand_over(turns(*["a"] * count)) is not None
    ]
    assert told == [4, 2]


def test_what_comes_down_at_once_is_told_once() -> None:
    found = baton(8)
    assert found.hand_over(turns("a"))
    assert not found.may_pass(1)
    assert found.hand_over(turns("a")) is None


def test_of_few_lanes_none_is_handed_over() -> None:
    assert not baton(1).may_pass(1)
    assert baton(2).may_pass(1)


def test_so_many_batches_for_each_that_runs_at_once() -> None:
    assert relays(100, width=1)
    assert not relays(101, width=1)
    assert relays(201, width=50)
    assert not relays(401, width=50)


def test_hosts_that_are_out_are_told_from_the_first_word_on() -> None:
    found = baton(8)
    found.stays_out(Turn("before", "a"))
    first = found.hand_over(turns("a", "a", "b", group=1))
    assert first == (
        Held(location="a", group=1, turns=2),
        Held(location="b", group=1, turns=1),
    )
    found.stays_out(Turn("h1", "a", group=1))
    found.stays_out(Turn("h2", "b"))
    assert found.hand_over(turns("a", group=1)) == (
        Held(location="a", group=1, turns=1, out=1),
        Held(location="b", group=0, out=1),
    )
    assert [(turn.location, turn.group) for turn in turns_of(first)] == [("a", 1)] * 2 + [("b", 1)]
