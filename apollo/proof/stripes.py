"""Rule 2: the locations advance together, in as many lanes each."""

from collections import Counter
from collections.abc import Iterator

from apollo.proof import sums
from apollo.proof.facts import Facts
from apollo.proof.moments import Moment, moments, serves
from apollo.proof.turns import Turn
from apollo.proof.verdict import Breach, Judgement, judge
from apollo.proof.waiting import Waiting

_UNTOLD = (
    "turns that were tried again: of them only the last is recorded, so they give no place away",
    "which share of the room batches had that ran side by side",
)


def stripes(facts: Facts) -> Judgement:
    """No location has more lanes than another, and none is passed over that could go on."""
    found = [each for phase in ("forward", "rollback") for each in _breaches(facts, phase)]
    begun = Counter(turn.location for turn in facts.forward if turn.had)
    numbers = ", ".join(f"{place} {number}" for place, number in begun.items())
    rows = [turn for turn in facts.turns if turn.had and turn.began is None]
    return judge(
        2,
        "stripes",
        f"turns begun: {numbers or 'none'}",
        breaches=found,
        doubts=[Breach("when its turn was is not recorded", turn.host) for turn in rows],
        untold=_UNTOLD,
    )


def _breaches(facts: Facts, phase: str) -> Iterator[Breach]:
    turns = facts.back if phase == "rollback" else facts.forward
    waiting = Waiting(facts, turns)
    for moment in moments(facts, phase):
        turn = moment.turn
        yield from _lanes(facts, moment, waiting)
        if not facts.one_location and turn.in_batch not in facts.abreast:
            yield from _passed_over(facts, moment, waiting)
        waiting.begin(turn)


def _lanes(facts: Facts, moment: Moment, waiting: Waiting) -> Iterator[Breach]:
    """The fewest locations that can have been active in its batch give the most lanes."""
    turn, one_location = moment.turn, facts.one_location
    others = set(moment.flying.places()) - {turn.location}
    if one_location and others and not turn.back:
        what = f"began its turn in {turn.location} while {', '.join(sorted(others))} had turns"
        yield Breach(f"{what}: one location at a time", turn.host, moment.at)
    active = {turn.location, *moment.beside.places()}
    active |= waiting.places(turn) if turn.first else set()
    most = sums.lanes(moment.sure, [turn.location] if one_location else active)
    number = moment.beside.count(turn.location) + 1
    if number > most:
        what = f"was turn {number} at once in {turn.location}: {most} for each of {len(active)}"
        yield Breach(f"{what} locations", turn.host, moment.at)
    total = moment.flying.count() + 1
    if total > moment.sure.fleet and not facts.always_a_lane(turn):
        what = f"was turn {total} at once in the fleet, {moment.sure.fleet} allowed"
        yield Breach(what, turn.host, moment.at)


def _passed_over(facts: Facts, moment: Moment, waiting: Waiting) -> Iterator[Breach]:
    """A host elsewhere stood before this one in the plan, and had a free lane and room."""
    turn = moment.turn
    if not turn.first or _comes_first(moment, waiting):
        return
    for other in waiting.ahead(turn):
        if other.location == turn.location or not _could_begin(facts, moment, waiting, other):
            continue
        what = (
            f"began its turn before {other.host} of {other.location}, which stood before it and "
            "had a free lane and room"
        )
        yield Breach(what, turn.host, moment.at)


def _could_begin(facts: Facts, moment: Moment, waiting: Waiting, other: Turn) -> bool:
    assert other.began
    if facts.resumed(moment.at, other.began):
        return False
    active = {moment.turn.location, *moment.lingering.places(), *waiting.places(moment.turn)}
    lanes = sums.lanes(moment.least, active | facts.idle_places)
    if moment.lingering.count(other.location) >= lanes:
        return False
    return has_room(facts, moment, other)


def has_room(facts: Facts, moment: Moment, other: Turn) -> bool:
    """Whether another host surely could have begun then: each turn had its room reserved."""
    if not serves(facts, other, moment.at):
        return True
    place, limits = other.location, moment.least
    return _taken(moment, place) < limits.places[place] and _taken(moment) < limits.fleet


def _taken(moment: Moment, place: str | None = None) -> int:
    return len({*moment.maybe.hosts(place), *moment.lingering.hosts(place)})


def _comes_first(moment: Moment, waiting: Waiting) -> bool:
    """It fell out after it was planned; or an earlier role cannot go on, and whoever is out may."""
    if moment.serving:
        return False
    return not moment.turn.was_out or waiting.roles_before(moment.turn)
