"""Batches side by side: all together keep to what one batch at a time would keep to."""

import random
from dataclasses import dataclass, field

import pytest

from apollo.domain import engine
from apollo.domain.base import Share
from apollo.domain.capacity import Allowance, allowance, side_by_side
from apollo.domain.fleet import Host
from apollo.domain.known import Known
from apollo.domain.rolling import Rolling
from apollo.domain.rollout import BatchControl, BatchInput, BatchLoad, Held, HostTurn, Opened
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnRecord

PLACES = ("fra1", "ams1", "lhr1")
ENDS = [Outcome.UPDATED] * 8 + [Outcome.BROKEN, Outcome.LOST, Outcome.UNREACHABLE]


@dataclass
class Fleet:
    """The judge: who is out, whatever the batches think."""

    hosts: dict[str, str]
    out: set[str] = field(default_factory=set)
    in_turn: set[str] = field(default_factory=set)

    def count(self, place: str | None = None) -> int:
        away = self.out | self.in_turn
        return len([name for name in away if place in (None, self.hosts[name])])

    def keeps_to(self, allowed: Allowance) -> bool:
        each = all(self.count(place) <= most for place, most in allowed.locations.items())
        return each and self.count() <= allowed.fleet


def batch(fleet: Fleet, names: list[str], allowed: Allowance, beside: int) -> Rolling:
    """A batch that has just looked who is out."""
    load = BatchLoad(
        deployment="d", workflow_id="w", phase="forward", wave=1, batch=1, granted_ms=1
    )
    given = BatchInput(
        load=load,
        label="shop/prod#1",
        allowance=allowed,
        failures_left=1_000,
        unreachable_left=1_000,
        turn_limit=1,  # type: ignore[arg-type]
        beside=beside,
    )
    turns = [
        HostTurn(
            host=Host(name=name, location=fleet.hosts[name], address="10.0.0.1"),
            was_out=name in fleet.out,
        )
        for name in names
    ]
    elsewhere: dict[str, int] = {}
    for name in fleet.out - set(names):
        place = fleet.hosts[name]
        elsewhere[place] = elsewhere.get(place, 0) + 1
    return Rolling(given, turns, elsewhere)


def worst(seed: int, *, told: bool) -> tuple[bool, int]:
    """Whether all turns of a random deployment kept to the allowance; how many ended."""
    chance = random.Random(seed)
    names = [f"h{n}" for n in range(chance.randrange(40, 120))]
    fleet = Fleet({name: chance.choice(PLACES) for name in names})
    fleet.out = set(chance.sample(names, chance.randrange(4)))
    sizes = {place: list(fleet.hosts.values()).count(place) for place in PLACES}
    allowed = allowance(Share(percent=chance.choice([30, 50, 80])), sizes)
    size = 4
    width = side_by_side(allowed, size)
    queue = [names[first : first + size] for first in range(0, len(names), size)]
    under_way: list[Rolling] = []
    turns: list[tuple[Rolling, str]] = []
    begun_out = fleet.out.copy()
    kept, ended = True, 0
    while queue or under_way:
        while queue and len(under_way) < width:
            beside = width - 1 if told else 0
            under_way.append(batch(fleet, queue.pop(0), allowed, beside))
        for rolling in under_way:
            begun = [turn.host.name for turn in rolling.begin()]
            turns += [(rolling, name) for name in begun]
            fleet.in_turn |= set(begun)
            if any(name not in begun_out for name in begun):
                kept = kept and fleet.keeps_to(allowed)
        under_way = [rolling for rolling in under_way if not rolling.finished]
        if not turns:
            continue
        rolling, name = turns.pop(chance.randrange(len(turns)))
        outcome = chance.choice(ENDS)
        fleet.in_turn.discard(name)
        (fleet.out.add if outcome.out else fleet.out.discard)(name)
        if outcome.out:
            begun_out.add(name)
        rolling.end(TurnRecord(host=name, outcome=outcome))
        ended += 1
    return kept, ended


@pytest.mark.parametrize("seed", range(150))
def test_they_keep_to_the_allowance_together(seed: int) -> None:
    assert worst(seed, told=True)[0]


def test_the_control_does_not() -> None:
    """Batches that do not know of those beside them."""
    assert not all(worst(seed, told=False)[0] for seed in range(150))


def test_hosts_have_their_turns() -> None:
    assert sum(worst(seed, told=True)[1] for seed in range(150)) > 5_000


HALF = Allowance(locations={"fra1": 8}, fleet=8)
QUARTER = Allowance(locations={"fra1": 4}, fleet=4)


def ends(rolling: Rolling, turn: HostTurn) -> None:
    rolling.end(TurnRecord(host=turn.host.name, turn=1, outcome=Outcome.UPDATED))
    assert not rolling.tell(), "it is not recorded"
    rolling.unrecorded.clear()


def test_a_batch_tells_when_it_has_come_down_and_waits_until_the_others_have() -> None:
    fleet = Fleet({f"h{n}": "fra1" for n in range(16)})
    rolling = batch(fleet, [f"h{n}" for n in range(8)], HALF, beside=1)
    begun = rolling.begin()
    assert len(begun) == 4
    rolling.control(BatchControl(allowance=QUARTER, narrows=1, others_narrow=True))
    ends(rolling, begun[0])
    assert (rolling.begin(), rolling.waited_for) == ([], False), "three, and two are its share"
    ends(rolling, begun[1])
    assert (rolling.tell(), rolling.result().narrowed, rolling.tell()) == (True, 1, False)
    ends(rolling, begun[2])
    assert rolling.begin() == [], "others have not come down"
    assert not rolling.finished
    rolling.control(BatchControl(allowance=QUARTER, narrows=1))
    assert len(rolling.begin()) == 1


def test_one_that_only_waits_for_others_says_so_after_each_word_until_it_goes_on() -> None:
    fleet = Fleet({f"h{n}": "fra1" for n in range(16)})
    rolling = batch(fleet, [f"h{n}" for n in range(8)], HALF, beside=1)
    word = BatchControl(allowance=QUARTER, narrows=1, others_narrow=True)
    for _ in range(2):
        rolling.control(word)
        assert (rolling.tell(), rolling.idle, rolling.tell()) == (True, True, False)
    rolling.control(BatchControl(allowance=QUARTER, narrows=1))
    assert (rolling.tell(), rolling.idle, rolling.tell()) == (True, False, False)


@pytest.mark.parametrize("fits_idle", [True, False])
def test_one_without_turns_waits_for_no_hosts_that_the_batch_before_tries_again(
    fits_idle: bool,
) -> None:
    """The batch before tells of its own turns; its other hosts wait until all have come down."""
    fleet = Fleet({f"h{n}": "fra1" for n in range(16)})
    rolling = batch(fleet, [f"h{n}" for n in range(8)], HALF, beside=1)
    rolling.fits_idle = fits_idle
    held = (Held(location="fra1", turns=3),)
    rolling.control(BatchControl(held=held))
    (begun,) = rolling.begin()
    rolling.control(BatchControl(allowance=QUARTER, held=held, narrows=1, others_narrow=True))
    assert not rolling.waited_for, "one and three, and two are its share"
    ends(rolling, begun)
    assert rolling.tell() is fits_idle
    rolling.control(BatchControl(allowance=QUARTER, held=held, narrows=1))
    assert rolling.begin() == [], "the other three may come"


@pytest.mark.parametrize(("pace", "lower"), [("25%", 1), ("50%", 0), ("75%", 0), ("3", 1)])
def test_a_lower_pace_is_waited_for_where_batches_run_side_by_side(pace: str, lower: int) -> None:
    sizes = {"fra1": 16, "ams1": 8}
    plan = Opened.model_construct(locations=sizes, allowance=allowance(Share(percent=50), sizes))
    both = Known().began((1, 1), beside=1).began((1, 2), beside=1)
    known = engine.paced(plan, both, pace)
    assert (known.pace, known.narrows, known.narrowing) == (pace, lower, bool(lower))
    assert engine.paced(plan, Known().began((1, 1)), pace).narrows == 0, "alone"

    came_down = known.came_down((1, 1), lower)
    assert came_down.came_down((1, 1), 0) == came_down, "an older worker says nothing of it"
    assert came_down.narrowing is bool(lower)
    for last in (came_down.came_down((1, 2), lower), came_down.let_go((1, 2))):
        assert not last.narrowing
        assert last.looks.get((1, 1), 0) == lower, "they look who is out"
