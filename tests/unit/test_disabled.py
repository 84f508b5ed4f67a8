"""Hosts that are disabled, or enabled again, while a batch is under way."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo.domain.rolling import Rolling
from apollo.domain.rollout import BatchControl, HostTurn
from apollo.domain.status import Outcome
from tests.unit.test_rolling import ENDS, batch, end, turn

LIGHT = settings(deadline=None, max_examples=200)
EACH = 2


def names(turns: list[HostTurn]) -> list[str]:
    return [each.host.name for each in turns]


def test_one_that_waits_has_no_turn_and_one_in_its_turn_ends_it() -> None:
    turns = [turn(n) for n in range(6)]
    rolling = Rolling(batch(EACH - 1), turns, {})
    assert names(rolling.begin()) == ["h0", "h1", "h2"]
    rolling.look(["h0", "h5", "h99"], {})
    for each in turns[:3]:
        end(rolling, each, Outcome.UPDATED)
    assert names(rolling.begin()) == ["h4"], "h0 is out now, so h3 has no room; h5 has no turn"
    end(rolling, turns[4], Outcome.UPDATED)
    assert rolling.begin() == []
    assert rolling.finished
    assert (rolling.result().pending, rolling.result().stuck) == (1, ("fra1",))


def test_one_that_is_enabled_again_has_its_turn() -> None:
    rolling = Rolling(batch(), [turn(0), turn(1)], {})
    rolling.look(["h0"], {})
    assert names(rolling.begin()) == ["h1"]
    rolling.look([], {})
    assert names(rolling.begin()) == ["h0"]


def test_one_that_was_disabled_before_can_be_left_out() -> None:
    rolling = Rolling(batch(), [turn(0)], {"fra1": 1}, {"h9": 3})
    rolling.begin()
    for _ in range(2):
        rolling.control(BatchControl(skip=("h9",)))
    assert [(each.host, each.turn, each.outcome) for each in rolling.unrecorded] == [
        ("h9", 3, Outcome.SKIPPED)
    ]
    assert (rolling.failures, rolling.left_out, rolling.finished) == (0, 0, False)


def test_one_that_could_not_be_reached_is_not_tried_again() -> None:
    rolling = Rolling(batch(), [turn(0)], {})
    rolling.begin()
    end(rolling, turn(0), Outcome.UNREACHABLE)
    rolling.look(["h0"], {})
    assert rolling.begin() == []
    assert rolling.finished
    assert rolling.result().unreachable == 1


def test_others_that_are_out_now_take_room() -> None:
    rolling = Rolling(batch(1), [turn(0)], {})
    rolling.look([], {"fra1": 1})
    assert rolling.begin() == []
    rolling.look([], {})
    assert names(rolling.begin()) == ["h0"]


class Blind(Rolling):
    """The control: it looks and sees nothing."""

    def look(self, disabled: object, out: object) -> None:
        self.moves += 1


def drive(seed: int, make: type[Rolling]) -> list[str]:
    """A batch in which hosts are disabled and enabled at random; what breaks the rules."""
    random, wrong = Random(seed), []
    turns = {f"h{n}": turn(n, was_out=random.random() < 0.2) for n in range(random.randint(1, 15))}
    rolling = make(batch(EACH), turns.values(), {})
    place = {name: each.host.location for name, each in turns.items()}
    out = {name for name, each in turns.items() if each.was_out}
    running: set[str] = set()
    disabled: set[str] = set()
    for _ in range(1000):
        begun = rolling.begin()
        for name in names(begun):
            wrong += [f"{name} begins while it is disabled"] * (name in disabled)
            there = [each for each in out | disabled | running if each != name]
            full = Counter(place[each] for each in there)[place[name]] >= EACH
            wrong += [f"{name} has no room"] * (name not in out and full)
            running.add(name)
        if rolling.finished:
            left = {*turns} - {record.host for record in rolling.unrecorded} - disabled
            wrong += [f"{left} are left, not {rolling.result()}"] * (
                len(left) != rolling.result().pending
            )
            return wrong
        if random.random() < 0.3:
            disabled = {name for name in turns if random.random() < 0.2}
            rolling.look(disabled, {})
        elif running:
            name = random.choice(sorted(running))
            running.remove(name)
            out.discard(name)
            outcome = random.choice(ENDS)
            end(rolling, turns[name], outcome)
            out |= {name} if outcome.out else set()
    return [*wrong, "it never ends"]


@LIGHT
@given(st.integers(0, 2**32))
def test_no_disabled_host_begins_and_each_counts_as_out(seed: int) -> None:
    assert drive(seed, Rolling) == []


@pytest.mark.parametrize("what", ["disabled", "no room"])
def test_a_batch_that_does_not_look_is_found_out(what: str) -> None:
    told = [each for seed in range(50) for each in drive(seed, Blind)]
    assert any(what in each for each in told)
