"""Rule 3: who failed comes first, then stripes, roles in order, one box that is in service."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from apollo.catalog.evidence import BEFORE
from apollo.proof.facts import Facts
from apollo.proof.moments import Moment, moments
from apollo.proof.stripes import has_room
from apollo.proof.turns import CLOCKS, Turn
from apollo.proof.verdict import Breach, Judgement, judge
from apollo.proof.waiting import Waiting
from apollo.proof.waves import one_boxes

_TRIED = 50
"""Hosts whose state changed while the plan was made: with more of them, nobody tries them all."""
_UNTOLD = (
    "which hosts the expression of a wave's `of` names",
    "turns that were tried again, and those that a batch began anew: only the last is recorded",
)


def order(facts: Facts) -> Judgement:
    """The plan's order, and that turns began in it."""
    breaches: list[Breach] = []
    doubts: list[Breach] = []
    waves: dict[int, list[Turn]] = defaultdict(list)
    for turn in facts.forward:
        waves[turn.wave].append(turn)
    for number, turns in sorted(waves.items()):
        for breach, sure in _planned(facts, number, turns):
            (breaches if sure else doubts).append(breach)
    breaches += _one_box(facts)
    breaches += _begun(facts)
    first = sum(_was_first(facts, turn) != {False} for turn in facts.forward)
    return judge(
        3,
        "order",
        f"{len(waves)} waves of {len(facts.forward)} hosts, {first} of which were out or had "
        "failed last time",
        breaches=breaches,
        doubts=doubts,
        untold=_UNTOLD,
    )


def _planned(facts: Facts, wave: int, turns: Sequence[Turn]) -> Iterator[tuple[Breach, bool]]:
    """Roles in order; in each role those that are out or failed, then the others; in stripes."""
    groups = [facts.group(turn) for turn in turns]
    if groups != sorted(groups):
        yield Breach(f"wave {wave}: the roles are not in their order"), True
    for group in sorted(set(groups)):
        row = [turn for turn in turns if facts.group(turn) == group]
        yield from _row(facts, wave, row)


def _row(facts: Facts, wave: int, row: Sequence[Turn]) -> Iterator[tuple[Breach, bool]]:
    """Some divide of the row must have all that come first before it, each part in stripes."""
    may = [_was_first(facts, turn) for turn in row]
    least = max((place for place, each in enumerate(may, 1) if each == {True}), default=0)
    most = next((place for place, each in enumerate(may) if each == {False}), len(row))
    if least > most:
        late = row[least - 1].host
        what = f"wave {wave}: {late} was out or had failed last time, and stands behind others"
        yield Breach(what, late), True
    elif most - least > _TRIED:
        what = f"wave {wave}: {most - least} hosts changed while the plan was made"
        yield Breach(what), False
    elif not any(
        _striped(facts, row[:place]) and _striped(facts, row[place:])
        for place in range(least, most + 1)
    ):
        yield Breach(f"wave {wave}: a location stands ahead of the others"), True


def _was_first(facts: Facts, turn: Turn) -> set[bool]:
    """Whether it was out or had failed when the plan was made; both, if that changed just then."""
    begin = facts.opened - BEFORE
    states = facts.past(turn.host).between(begin, facts.opened)
    return {state.first for state in states if state.out == turn.was_out} or {
        states[-1].first,
    }


def _striped(facts: Facts, row: Sequence[Turn]) -> bool:
    """No location is more than one host ahead of another that still has hosts in the row."""
    left: dict[str, int] = defaultdict(int)
    done: dict[str, int] = defaultdict(int)
    for turn in row:
        left[turn.location] += 1
    before = None
    for turn in row:
        place = turn.location
        if facts.one_location:
            if before != place and done[place]:
                return False
        elif any(done[other] < done[place] for other, number in left.items() if number):
            return False
        done[place] += 1
        left[place] -= 1
        before = place
    return True


def _one_box(facts: Facts) -> Iterator[Breach]:
    """A wave of one host (of each role) takes one that is in service, if any has room."""
    boxes = one_boxes(facts)
    for turn in facts.forward:
        if turn.wave not in boxes or not turn.was_out:
            continue
        out = _may_be_out(facts, turn.wave)
        later = [each for each in facts.forward if each.wave > turn.wave and not each.was_out]
        same = [each for each in later if each.role == turn.role]
        if others := [each.host for each in same if _has_room(facts, out, each.location)]:
            what = f"is the one box of wave {turn.wave} and was out, unlike {others[0]}"
            yield Breach(what, turn.host)


def _may_be_out(facts: Facts, wave: int) -> list[str]:
    """The locations of hosts that may have been out at the plan and come back in no wave before."""
    begin = facts.opened - BEFORE
    found = [each.location for each in facts.forward if each.was_out and each.wave >= wave]
    for host in facts.fleet.values():
        if host.name not in facts.went:
            states = facts.past(host.name).between(begin, facts.opened)
            found += [host.location] * any(state.out for state in states)
    return found


def _has_room(facts: Facts, out: Sequence[str], place: str) -> bool:
    limits = facts.share("forward")
    return out.count(place) < limits.places[place] and len(out) < limits.fleet


def _begun(facts: Facts) -> Iterator[Breach]:
    waiting = Waiting(facts, facts.forward)
    for moment in moments(facts, "forward"):
        yield from _overtaken(facts, moment, waiting)
        yield from _too_early(facts, moment, waiting)
        waiting.begin(moment.turn)


def _overtaken(facts: Facts, moment: Moment, waiting: Waiting) -> Iterator[Breach]:
    """Within a location and role, turns begin in the order of the plan."""
    turn = moment.turn
    if not turn.first or not moment.serving:
        return
    for other in waiting.ahead(turn):
        assert other.began
        if other.location == turn.location and not facts.resumed(moment.at, other.began):
            yield Breach(f"began its turn before {other.host}", turn.host, moment.at)


def _too_early(facts: Facts, moment: Moment, waiting: Waiting) -> Iterator[Breach]:
    """Hosts of a role begin when those of earlier roles have ended, or cannot go on.

    When the first role cannot, whoever is out begins at once, whatever its role.
    """
    turn, group = moment.turn, facts.group(moment.turn)
    if not turn.first or not group:
        return
    for host in moment.flying.hosts():
        other = facts.went[host]
        assert other.began
        together = not moment.serving and moment.at - other.began < CLOCKS
        if other.wave == turn.wave and facts.group(other) < group and not together:
            what = f"began its turn while {host} had its own, whose role comes earlier"
            yield Breach(what, turn.host, moment.at)
    if moment.lingering.count() or turn.in_batch in facts.abreast:
        return
    for other in waiting.earlier_roles(turn):
        assert other.began
        if facts.one_location and not moment.serving and other.location != turn.location:
            continue  # whoever is out may go ahead, one location after the other
        if has_room(facts, moment, other) and not facts.resumed(moment.at, other.began):
            what = f"began its turn before {other.host}, whose role comes earlier and had room"
            yield Breach(what, turn.host, moment.at)
