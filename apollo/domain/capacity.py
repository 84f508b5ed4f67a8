"""How many hosts may be out, and which hosts may begin their turn now (rules 1, 2 and 7)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apollo.domain.base import Share, Wire


class Allowance(Wire):
    """How many hosts may be out at one moment, in each location and in the fleet."""

    locations: dict[str, int]
    fleet: int


class Turn(NamedTuple):
    """A host that waits for its turn or is in it.

    A host that is out already needs no room. Hosts of a group begin when those of lower groups
    have ended, or cannot go on for lack of room: that is how roles keep their order.
    """

    host: str
    location: str
    needs_room: bool = True
    group: int = 0


def allowance(share: Share, sizes: Mapping[str, int]) -> Allowance:
    """What `max_unavailable` allows in locations of these sizes (the whole fleet, out or not).

    A percentage is taken of each location and of the fleet, rounded down, but is at least one
    host. A count is per location, but never a whole location of two hosts or more; the fleet's
    allowance is then the sum.

    >>> allowance(Share(percent=25), {"fra1": 10, "ams1": 3})
    Allowance(locations={'fra1': 2, 'ams1': 1}, fleet=3)
    >>> allowance(Share(count=3), {"fra1": 10, "ams1": 3, "lhr1": 1})
    Allowance(locations={'fra1': 3, 'ams1': 2, 'lhr1': 1}, fleet=6)
    """
    if share.count is not None:
        each = {place: max(1, min(share.count, size - 1)) for place, size in sizes.items()}
        return Allowance(locations=each, fleet=sum(each.values()))
    each = {place: max(1, share.down(size)) for place, size in sizes.items()}
    return Allowance(locations=each, fleet=max(1, share.down(sum(sizes.values()))))


class Room:
    """Where a host in service could be drained, while hosts that are out come back."""

    def __init__(self, allowed: Allowance, out: Mapping[str, int]) -> None:
        self._allowed = allowed
        self._out = dict(out)

    def has(self, location: str) -> bool:
        """Whether one more host may be out there."""
        here = self._out.get(location, 0) < self._allowed.locations[location]
        return here and sum(self._out.values()) < self._allowed.fleet

    def comes_back(self, location: str) -> None:
        """A host that was out there serves again."""
        self._out[location] -= 1


def side_by_side(allowed: Allowance, batch: int) -> int:
    """How many batches of so many hosts may run at once: each has at least a lane everywhere.

    >>> side_by_side(Allowance(locations={"fra1": 1000, "ams1": 400}, fleet=1400), 500)
    2
    >>> side_by_side(Allowance(locations={"fra1": 1400, "ams1": 1}, fleet=1401), 500)
    1
    """
    return max(1, min(allowed.fleet // batch, *allowed.locations.values()))


def grant(allowed: Allowance, out: Mapping[str, int], beside: int) -> Allowance:
    """What one of several batches may have out, counted as the whole allowance is: with `out`.

    `out` are the hosts that are out beyond all of them. Each has an equal share, and the one that
    looked last leaves the others theirs: so all together keep to the whole.

    >>> grant(Allowance(locations={"fra1": 10}, fleet=10), {}, beside=1)
    Allowance(locations={'fra1': 5}, fleet=5)
    >>> grant(Allowance(locations={"fra1": 10}, fleet=10), {"fra1": 2}, beside=1)
    Allowance(locations={'fra1': 5}, fleet=5)
    """

    def part(whole: int, gone: int) -> int:
        share = whole // (beside + 1)
        return min(share + gone, whole - beside * share)

    each = {place: part(whole, out.get(place, 0)) for place, whole in allowed.locations.items()}
    return Allowance(locations=each, fleet=part(allowed.fleet, sum(out.values())))


def lanes(allowed: Allowance, active: Sequence[str]) -> dict[str, int]:
    """How many hosts of each active location may be in their turn at once: the same for all.

    It is `min(smallest allowance among them, fleet's allowance // locations)`, but at least 1:
    where the fleet's allowance is less than one each, the locations take turns, which
    `next_turns` sees to.

    >>> lanes(Allowance(locations={"fra1": 5, "ams1": 2}, fleet=7), ["fra1", "ams1"])
    {'fra1': 2, 'ams1': 2}
    >>> lanes(Allowance(locations={"fra1": 5, "ams1": 2}, fleet=7), ["fra1"])
    {'fra1': 5}
    """
    if not active:
        return {}
    smallest = min(allowed.locations[place] for place in active)
    return dict.fromkeys(active, max(1, min(smallest, allowed.fleet // len(active))))


def next_turns(
    pending: Sequence[Turn],
    in_flight: Sequence[Turn],
    out: Mapping[str, int],
    allowed: Allowance,
    *,
    one_location: bool = False,
    always_a_lane: bool = False,
) -> list[Turn]:
    """The hosts that may begin their turn now, in order.

    A host begins when its location has a free lane and, unless it is out already, when fewer
    hosts than allowed are out in its location and in the fleet. A location without room waits,
    the others go on. As the plan's order goes round the locations, taking the first that can
    begin is also what makes locations take turns where the fleet's allowance is scarce.

    Nothing begins, nothing is in flight and something is pending: nothing can go on.

    Args:
        pending: Hosts that have not begun, in the order of the plan.
        in_flight: Hosts in their turn. Each counts as out, whether it was before or not.
        out: By location, the fleet's hosts that are out and not in flight: planned or not,
            pending or ended.
        allowed: How many may be out.
        one_location: `spread: one_location_at_a_time`. A location without room is passed over.
        always_a_lane: A rollback: each location has a lane even where there is no room.
    """
    if not pending:
        return []
    window = _Window(pending, in_flight, out, allowed, always_a_lane)
    admit = window.admit_one_location if one_location else window.admit
    groups = sorted(dict.fromkeys(turn.group for turn in (*in_flight, *pending)))
    begun = admit([turn for turn in pending if turn.group == groups[0]])
    if begun or in_flight:
        return begun
    # This role cannot go on. Hosts of a later one may be what fills the room that it lacks; if
    # there are none, its location waits and the others go on.
    begun = admit([turn for turn in pending if not turn.needs_room])
    for group in groups[1:]:
        begun = begun or admit([turn for turn in pending if turn.group == group])
    return begun


class _Window:
    """The counts of one decision; they grow as hosts are admitted."""

    def __init__(
        self,
        pending: Sequence[Turn],
        in_flight: Sequence[Turn],
        out: Mapping[str, int],
        allowed: Allowance,
        always_a_lane: bool,
    ) -> None:
        self.allowed = allowed
        self.always_a_lane = always_a_lane
        self.active = list(dict.fromkeys(turn.location for turn in (*in_flight, *pending)))
        self.flying: dict[str, int] = {}
        self.out = dict(out)
        self.fleet_out = sum(out.values())
        for turn in in_flight:
            self._begin(turn, counts=True)

    def admit(self, ready: Sequence[Turn]) -> list[Turn]:
        """Begin, in order, what has a lane and room."""
        return self._admit(ready, lanes(self.allowed, self.active))

    def admit_one_location(self, ready: Sequence[Turn]) -> list[Turn]:
        """The same, in the location that is at work, else the first in which something begins."""
        for place in list(self.flying) or self.active:
            here = [turn for turn in ready if turn.location == place]
            if begun := self._admit(here, lanes(self.allowed, [place])):
                return begun
        return []

    def _admit(self, ready: Sequence[Turn], each: Mapping[str, int]) -> list[Turn]:
        most = sum(each.values())
        if not self.always_a_lane:
            most = min(most, self.allowed.fleet)
        free = most - sum(self.flying.values())
        begun: list[Turn] = []
        for turn in ready:
            if len(begun) >= free:
                break
            if self.flying.get(turn.location, 0) < each[turn.location] and self._has_room(turn):
                self._begin(turn, counts=turn.needs_room)
                begun.append(turn)
        return begun

    def _has_room(self, turn: Turn) -> bool:
        if not turn.needs_room:
            return True
        place = turn.location
        if self.always_a_lane and not self.flying.get(place):
            return True
        room = self.out.get(place, 0) < self.allowed.locations[place]
        return room and self.fleet_out < self.allowed.fleet

    def _begin(self, turn: Turn, *, counts: bool) -> None:
        place = turn.location
        self.flying[place] = self.flying.get(place, 0) + 1
        if counts:
            self.out[place] = self.out.get(place, 0) + 1
            self.fleet_out += 1
