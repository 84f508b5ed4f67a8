"""In which order hosts have their turns, and how waves cut that order (rules 2 to 4)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from apollo.domain.capacity import Room
from apollo.domain.fleet import Host
from apollo.domain.strategy import Strategy, Wave

Spread = Literal["stripe", "one_location_at_a_time"]
NOTHING: Mapping[int, int] = MappingProxyType({})


class Candidate(NamedTuple):
    """A host to be planned, and what decides its place."""

    host: Host
    place: int
    """Which location, counted in the order of the inventory."""
    first: bool
    """It is out, or failed last time."""
    serves: bool
    current: bool


def sequence(
    candidates: Iterable[Candidate], spread: Spread, taken: Mapping[int, int] = NOTHING
) -> list[Candidate]:
    """Hosts that are out or failed last time, then the others; each in stripes.

    A stripe takes one host of each location that still has one: a1 b1 c1 a2 b2 a3. Within a
    stripe the location goes first of which earlier waves have taken fewest. With
    `one_location_at_a_time` it is a1 a2 a3 b1 b2 c1.
    """
    rows: dict[tuple[bool, int], list[Candidate]] = {}
    for candidate in candidates:
        rows.setdefault((not candidate.first, candidate.place), []).append(candidate)
    keyed = []
    for (later, place), row in rows.items():
        for index, candidate in enumerate(_mixed(row)):
            stripe = (index, taken.get(place, 0), place)
            keyed.append(((later, stripe if spread == "stripe" else (place, index)), candidate))
    return [candidate for _, candidate in sorted(keyed, key=lambda pair: pair[0])]


def _mixed(row: list[Candidate]) -> list[Candidate]:
    """Spread the roles evenly, so that a wave that takes a tenth takes a tenth of each role.

    The k-th of n hosts of a role stands at (2k + 1) / 2n: of 1 worker and 4 web hosts the order
    is web, web, worker, web, web.
    """
    roles: dict[str | None, list[Candidate]] = {}
    for candidate in row:
        roles.setdefault(candidate.host.role, []).append(candidate)
    if len(roles) == 1:
        return row
    keyed = [
        ((2 * index + 1) / (2 * len(hosts)), candidate)
        for hosts in roles.values()
        for index, candidate in enumerate(hosts)
    ]
    return [candidate for _, candidate in sorted(keyed, key=lambda pair: pair[0])]


def cut(
    candidates: Sequence[Candidate],
    waves: Sequence[Wave],
    named: Callable[[str], frozenset[str]],
    room: Room,
) -> list[list[Candidate]]:
    """Divide the sequence into waves; some may come out empty.

    Shares are cumulative and rounded up: of 25 hosts, `[1, 10%, 100%]` are 1, 2 and 22 (1, 3 and
    25 in all). The share of a wave with `of` is of the hosts that the expression names. A wave of
    one host takes one in service, one of each role; where hosts that are out leave none of them
    any room, it takes one of those, which needs none.
    """
    taken: set[str] = set()
    result = []
    for wave in waves:
        names = named(wave.of) if wave.of else None
        pool = [each for each in candidates if names is None or each.host.name in names]
        left = [each for each in pool if each.host.name not in taken]
        size = wave.share.up(len(pool)) - (len(pool) - len(left))
        picked = _one_of_each_role(left, room) if size == 1 else left[: max(size, 0)]
        for each in picked:
            if not each.serves:
                room.comes_back(each.host.location)
        taken.update(each.host.name for each in picked)
        result.append(picked)
    return result


def _one_of_each_role(candidates: Sequence[Candidate], room: Room) -> list[Candidate]:
    """Of each role the first host in service that has room; rather one that will be changed.

    Where none has room, the first that is out. Should it stay out, there still is no room: then
    the release reaches no host in service.
    """

    def rank(each: Candidate) -> tuple[int, bool]:
        if not each.serves:
            return 1, False
        return 0 if room.has(each.host.location) else 2, each.current

    roles: dict[str | None, list[Candidate]] = {}
    for candidate in candidates:
        roles.setdefault(candidate.host.role, []).append(candidate)
    return [min(row, key=rank) for row in roles.values()]


def arrange(
    wave: Sequence[Candidate], strategy: Strategy, taken: Mapping[int, int] = NOTHING
) -> list[tuple[int, Candidate]]:
    """A wave's hosts in the order of their turns, each with its group.

    A group is the number of the role in `order`; roles that it does not name come last, together.
    The order of roles also holds for hosts that are out: what a role needs of another is needed
    by them too.
    """
    ranks = {role: rank for rank, role in enumerate(strategy.order)}
    groups: dict[int, list[Candidate]] = {}
    for candidate in wave:
        group = ranks.get(candidate.host.role or "", len(ranks))
        groups.setdefault(group, []).append(candidate)
    return [
        (group, candidate)
        for group in sorted(groups)
        for candidate in sequence(groups[group], strategy.spread, taken)
    ]


def batches(groups: Sequence[int], size: int) -> list[int]:
    """The number of the batch of each host, from the groups of a wave's hosts in order.

    Where one batch does not carry the wave, each group begins a batch of its own, so that batches
    may overlap though groups must not.

    >>> batches([0, 0, 1], size=3)
    [1, 1, 1]
    >>> batches([0, 0, 1, 1, 1], size=2)
    [1, 1, 2, 2, 3]
    """
    numbers: list[int] = []
    batch, filled = 1, 0
    for index, group in enumerate(groups):
        changed = index > 0 and group != groups[index - 1]
        if filled == size or (changed and len(groups) > size):
            batch, filled = batch + 1, 0
        filled += 1
        numbers.append(batch)
    return numbers
