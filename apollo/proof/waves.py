"""Rules 4 and 13: waves follow each other when baked and approved, within windows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from apollo.proof import sums
from apollo.proof.facts import Facts, Word, first_begin, last_end, seconds
from apollo.proof.hours import Hours
from apollo.proof.moments import REACH
from apollo.proof.turns import CLOCKS, Turn
from apollo.proof.verdict import Breach, Judgement, judge

_UNTOLD = ("why a wave began later than it could have: states on the way are not kept",)


@dataclass(frozen=True)
class Wave:
    """A wave as it was applied, with its hosts."""

    number: int
    turns: list[Turn]
    bake: timedelta
    approval: bool


def waves(facts: Facts) -> Judgement:
    """Shares, bakes, approvals and windows of the way forward."""
    found = waves_of(facts)
    breaches = [*_sizes(facts), *_following(facts, found)]
    doubts: list[Breach] = []
    for breach, sure in _approvals(facts, found):
        (breaches if sure else doubts).append(breach)
    breaches += _windows(facts)
    said = len(facts.said("approve"))
    gates = "overridden" if facts.overridden else f"{said} approvals"
    named = any(wave.get("of") for wave in _applied(facts))
    untold = (*_UNTOLD, "the sizes of waves, for an `of` names hosts") if named else _UNTOLD
    sizes = ", ".join(str(len(wave.turns)) for wave in found)
    what = f"hosts by wave: {sizes or 'none'}; {gates}"
    return judge(4, "waves", what, breaches=breaches, doubts=doubts, untold=untold)


def bake(facts: Facts) -> Judgement:
    """The deployment ended well only after its last bake; what alarms said is not kept."""
    found = [wave for wave in waves_of(facts) if any(turn.had for turn in wave.turns)]
    untold = ["what the alarms said, and when they could not be read"]
    watched = bool(facts.spec.get("alarms"))
    doubts = [Breach(f"{untold[0]}: only how the deployment ended")] if watched else []
    breaches: list[Breach] = []
    what = "it has alarms" if watched else "no alarm was applied"
    if found and facts.state in ("succeeded", "partial") and facts.ended:
        end, last = last_end(found[-1].turns), found[-1]
        what += f"; the last bake is {seconds(last.bake)}"
        if end and facts.ended + CLOCKS < end + last.bake:
            told = (
                f"ended {seconds(facts.ended - end)} after its last turn, bake {seconds(last.bake)}"
            )
            breaches.append(Breach(told, at=facts.ended))
    return judge(
        13, "bake", what, breaches=breaches, doubts=doubts, untold=[] if watched else untold
    )


def waves_of(facts: Facts) -> list[Wave]:
    """The waves that have hosts, with what was applied for them, else what was planned."""
    rows: dict[int, list[Turn]] = {}
    for turn in facts.forward:
        rows.setdefault(turn.wave, []).append(turn)
    outlines = {each["number"]: each for each in (facts.plan or {}).get("waves", ())}
    applied = _by_number(facts, rows)
    found = []
    for number, turns in sorted(rows.items()):
        given = applied.get(number) or outlines.get(number, {})
        baked = timedelta(seconds=float(given.get("bake", 0)))
        approval = bool(given.get("approval")) and not facts.overridden
        found.append(Wave(number, turns, baked, approval))
    return found


def _applied(facts: Facts) -> list[Mapping[str, Any]]:
    return list(facts.strategy.get("waves", ()))


def _by_number(facts: Facts, rows: Mapping[int, list[Turn]]) -> dict[int, Mapping[str, Any]]:
    """Which applied wave each is; empty where an `of` leaves that open."""
    return {number: given for number, given, _ in _expected(facts, rows)}


def one_boxes(facts: Facts) -> list[int]:
    """The waves of one host; with roles, of one of each."""
    rows = {wave.number: wave.turns for wave in waves_of(facts)}
    return [number for number, _, size in _expected(facts, rows) if size == 1]


def _expected(
    facts: Facts, rows: Mapping[int, list[Turn]]
) -> Iterator[tuple[int, Mapping[str, Any], int]]:
    """Waves that have hosts, with how many; shares are cumulative and round up."""
    if any(wave.get("of") for wave in _applied(facts)):
        return
    number = taken = 0
    for wave in _applied(facts):
        size = sums.goal(str(wave["share"]), len(facts.forward)) - taken
        if size > 0:
            number += 1
            yield number, wave, size
            taken += len(rows.get(number, ()))


def _sizes(facts: Facts) -> Iterator[Breach]:
    rows = {wave.number: wave.turns for wave in waves_of(facts)}
    left = {turn.host: turn for turn in facts.forward}
    for number, given, size in _expected(facts, rows):
        turns = rows.get(number, [])
        if size == 1:
            size = len({turn.role for turn in left.values()})
        if len(turns) != size:
            what = f"wave {number} has {len(turns)} hosts, {size} expected ({given['share']})"
            yield Breach(what)
        for turn in turns:
            del left[turn.host]


def _following(facts: Facts, found: list[Wave]) -> Iterator[Breach]:
    """A wave begins when all turns of the one before have ended, and its bake has passed."""
    for before, wave in pairwise(found):
        begin, end = first_begin(wave.turns), _known_end(before.turns)
        if begin and end and begin + CLOCKS < end + before.bake:
            what = (
                f"wave {wave.number} began {seconds(begin - end)} after the last turn of wave "
                f"{before.number}, whose bake is {seconds(before.bake)}"
            )
            yield Breach(what, at=begin)


def _known_end(turns: list[Turn]) -> datetime | None:
    """Turns that somebody asked for may come after the wave."""
    ends = [turn.surely_ended for turn in turns if turn.surely_ended and not turn.asked]
    return max(ends, default=None)


def _approvals(facts: Facts, found: list[Wave]) -> Iterator[tuple[Breach, bool]]:
    """Each gate that was passed had an approval of its own, said while it was waited at."""
    left = facts.said("approve")
    gates: list[tuple[str, datetime | None, datetime | None]] = []
    if facts.spec.get("approval") and not facts.overridden:
        gates.append(("the deployment", facts.opened, first_begin(facts.forward)))
    for place, wave in enumerate(found):
        if wave.approval:
            since = _known_end(found[place - 1].turns) if place else facts.opened
            gates.append((f"wave {wave.number}", since, first_begin(wave.turns)))
    for gate, since, begin in gates:
        if begin is None:
            continue
        word = next((each for each in left if not since or each.at >= since - CLOCKS), None)
        if word is None:
            yield Breach(f"{gate} began without an approval", at=begin), True
            continue
        left.remove(word)
        yield from _late(gate, word, begin)


def _late(gate: str, word: Word, begin: datetime) -> Iterator[tuple[Breach, bool]]:
    """An approval is recorded a moment after it was said; a late one may not have been heard."""
    if word.at > begin + REACH:
        what = f"{gate} began {seconds(word.at - begin)} before its approval was recorded"
        yield Breach(what, at=word.at), False


def _windows(facts: Facts) -> Iterator[Breach]:
    hours = Hours.of(facts.spec)
    if not hours or facts.overridden:
        return
    for turn in facts.forward:
        if turn.had and turn.began and not _open_around(hours, turn.began):
            outside = f"outside the windows ({'; '.join(hours.windows)})" if hours.windows else ""
            frozen = "in a freeze" if hours.calendars else ""
            where = " or ".join(filter(None, (outside, frozen)))
            yield Breach(f"began its turn {where}", turn.host, turn.began)


def _open_around(hours: Hours, at: datetime) -> bool:
    """A closing window takes a moment to reach turns that are about to begin."""
    at = at.astimezone(UTC)
    return any(hours.allow(each) for each in (at, at - REACH, at + CLOCKS))
