"""The moments at which turns begin, with who was out and who was in a turn then (rules 1 to 3).

A turn takes its room from when it is due until its end, as Apollo reserves it: when it has drained
its host is not in the catalog, so its staging counts too.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apollo.proof.facts import Facts
from apollo.proof.pasts import LAST, Span
from apollo.proof.sums import Allowed
from apollo.proof.turns import CLOCKS, OUT, Turn

REACH = timedelta(seconds=5)
"""How long a word may take to reach turns that are about to begin."""
HEARD = timedelta(seconds=5)
"""How long a turn's end may take to reach its batch: a report, and a workflow's task."""
LATE = timedelta(minutes=1)
"""How much later than it was said a word may have been recorded."""


Batch = tuple[str, int, int]


class Present:
    """Hosts by location; one that is there for several reasons counts once."""

    def __init__(self) -> None:
        self._places: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, place: str, host: str) -> None:
        """One reason more."""
        self._places[place][host] += 1

    def remove(self, place: str, host: str) -> None:
        """One reason less."""
        here = self._places[place]
        here[host] -= 1
        if here[host] <= 0:
            del here[host]

    def hosts(self, place: str | None = None, but: str = "") -> list[str]:
        """The hosts of a location, or of all, without one."""
        places = self._places.values() if place is None else [self._places[place]]
        return [host for here in places for host in here if host != but]

    def count(self, place: str | None = None, but: str = "") -> int:
        """How many they are."""
        places = self._places.values() if place is None else [self._places[place]]
        return sum(len(here) - (but in here) for here in places)

    def places(self) -> list[str]:
        """Where there are any."""
        return [place for place, here in self._places.items() if here]


@dataclass
class Moment:
    """A turn begins. What stands beside it is true until the next moment."""

    turn: Turn
    at: datetime
    serving: bool
    """The host was in service."""
    out: Present
    """Who was surely out."""
    maybe: Present
    """Who may have been out: surely, or the rows do not tell."""
    flying: Present
    """Who was surely in a turn of this phase."""
    beside: Present
    """Those of its batch."""
    lingering: Present
    """Who may have been, when clocks differ."""
    sure: Allowed
    """The most that may have been allowed."""
    least: Allowed
    """The least that may have been allowed."""


@dataclass
class _Scene:
    out: Present = field(default_factory=Present)
    maybe: Present = field(default_factory=Present)
    flying: Present = field(default_factory=Present)
    batches: dict[Batch, Present] = field(default_factory=lambda: defaultdict(Present))
    lingering: Present = field(default_factory=Present)


@dataclass(frozen=True)
class _Event:
    at: datetime
    rank: int
    """Turns that end, absences that begin, turns that begin, absences that end: no gap between."""
    order: int
    do: Callable[[_Scene], None] | Turn


def moments(facts: Facts, phase: str) -> Iterator[Moment]:
    """The moments at which turns of the phase begin, in their order."""
    if not any(turn.phase == phase for turn in facts.turns):
        return
    scene = _Scene()
    events = list(_absences(facts))
    for turn in facts.turns:
        events += _turn_events(facts, turn, turn.phase == phase)
    for event in sorted(events, key=lambda each: (each.at, each.rank, each.order)):
        if not isinstance(event.do, Turn):
            event.do(scene)
            continue
        turn = event.do
        if turn.phase == phase:
            yield _moment(facts, turn, event.at, scene)
            scene.flying.add(turn.location, turn.host)
            scene.batches[turn.in_batch].add(turn.location, turn.host)
            scene.lingering.add(turn.location, turn.host)
        drained = turn.drained
        if drained:
            scene.out.add(turn.location, turn.host)
        if drained or drained is None:
            scene.maybe.add(turn.location, turn.host)


def _moment(facts: Facts, turn: Turn, at: datetime, scene: _Scene) -> Moment:
    sure, least = _limits(facts, turn.phase, at)
    return Moment(
        turn=turn,
        at=at,
        serving=serves(facts, turn, at),
        out=scene.out,
        maybe=scene.maybe,
        flying=scene.flying,
        beside=scene.batches[turn.in_batch],
        lingering=scene.lingering,
        sure=sure,
        least=least,
    )


def serves(facts: Facts, turn: Turn, at: datetime) -> bool:
    """What is recorded of a turn comes after its end: it may have been unreachable by then."""
    before = facts.went.get(turn.host) if turn.back else None
    if before and before.had and before.recorded and at < before.recorded + CLOCKS:
        return before.outcome not in OUT
    return not facts.past(turn.host).at(at).out


def _limits(facts: Facts, phase: str, at: datetime) -> tuple[Allowed, Allowed]:
    """The most and the least that may have been allowed.

    A pace is recorded after it was obeyed, and turns that are about to begin hear it later.
    """
    most = least = facts.share(phase)
    for said, new in facts.paces:
        if at >= said + REACH:
            most = least = new
        elif at >= said - CLOCKS:
            most = least = _each(max, most, new)
        elif at >= said - LATE:
            most, least = _each(max, most, new), _each(min, least, new)
    return most, least


def _each(which: Callable[[int, int], int], one: Allowed, other: Allowed) -> Allowed:
    places = {place: which(one.places[place], other.places[place]) for place in one.places}
    return Allowed(places, which(one.fleet, other.fleet))


def _turn_events(facts: Facts, turn: Turn, flies: bool) -> Iterator[_Event]:
    """A turn begins and ends; without its times it may have been at any time."""
    if not turn.had:
        return
    place, host, end = turn.location, turn.host, turn.surely_ended
    if turn.began is None or turn.ended is None or end is None:
        if turn.drained is not False:
            span = Span(facts.granted or facts.opened, turn.recorded or LAST)
            yield from _present(span, place, host, sure=False)
        return
    yield _Event(turn.began, 2, turn.order, turn)
    yield _Event(end, 0, 0, _ends(turn, flies))
    if flies:
        yield from _lingers(turn, since=facts.granted or facts.opened)
    if turn.outcome in OUT:
        for span in Span(end, _known(turn)).without(facts.missing(host)):
            yield from _present(span, place, host, sure=True)


def _lingers(turn: Turn, since: datetime) -> Iterator[_Event]:
    """Its batch may not know of its end yet; earlier turns of its host were nobody knows when."""
    place, host = turn.location, turn.host
    assert turn.began
    assert turn.ended
    if not turn.first and since < turn.began:
        yield _Event(since, 1, 0, lambda scene: scene.lingering.add(place, host))
        yield _Event(turn.began, 3, 0, lambda scene: scene.lingering.remove(place, host))
    late = turn.ended + CLOCKS + HEARD
    yield _Event(late, 0, 0, lambda scene: scene.lingering.remove(place, host))


def _ends(turn: Turn, flies: bool) -> Callable[[_Scene], None]:
    def ends(scene: _Scene) -> None:
        if flies:
            scene.flying.remove(turn.location, turn.host)
            scene.batches[turn.in_batch].remove(turn.location, turn.host)
        if turn.drained:
            scene.out.remove(turn.location, turn.host)
        if turn.drained or turn.drained is None:
            scene.maybe.remove(turn.location, turn.host)

    return ends


def _absences(facts: Facts) -> Iterator[_Event]:
    """When hosts were out that were in no turn, nor waited for its end to be recorded."""
    windows: dict[str, list[Span]] = defaultdict(list)
    for turn in facts.turns:
        if turn.had and turn.began and turn.surely_ended:
            since = turn.surely_ended if turn.drained is False else turn.began
            windows[turn.host].append(Span(since, _known(turn)))
    for machine in facts.fleet.values():
        spans = facts.past(machine.name).out()
        for taken in (*windows[machine.name], facts.missing(machine.name)):
            spans = [left for span in spans for left in span.without(taken)]
        for span in spans:
            yield from _present(span, machine.location, machine.name, sure=True)


def _known(turn: Turn) -> datetime:
    """When the history of the host tells what the turn has made of it."""
    assert turn.ended
    return max(turn.ended, turn.recorded or LAST - CLOCKS) + CLOCKS


def _present(span: Span, place: str, host: str, *, sure: bool) -> Iterator[_Event]:
    if span.begin >= span.end:
        return

    def begins(scene: _Scene) -> None:
        scene.maybe.add(place, host)
        if sure:
            scene.out.add(place, host)

    def ends(scene: _Scene) -> None:
        scene.maybe.remove(place, host)
        if sure:
            scene.out.remove(place, host)

    yield _Event(span.begin, 1, 0, begins)
    yield _Event(span.end, 3, 0, ends)
