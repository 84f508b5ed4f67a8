"""What shares come to: written down a second time, for a judge shares no sums with the judged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor


@dataclass(frozen=True)
class Allowed:
    """How many hosts may be out, in each location and in the fleet."""

    places: Mapping[str, int]
    fleet: int

    def of(self, place: str | None) -> int:
        """That of a location, or of the fleet, without one."""
        return self.fleet if place is None else self.places[place]


def allowed(share: str, sizes: Mapping[str, int]) -> Allowed:
    """Rule 1: a share rounds down, to one host at least; a count never empties a location."""
    if share.endswith("%"):
        places = {place: max(1, floor(_part(share, size))) for place, size in sizes.items()}
        return Allowed(places, max(1, floor(_part(share, sum(sizes.values())))))
    places = {place: min(int(share), size - 1) or 1 for place, size in sizes.items()}
    return Allowed(places, sum(places.values()))


def lanes(limits: Allowed, active: Iterable[str]) -> int:
    """Rule 2: the same for each location that still has hosts."""
    places = set(active)
    smallest = min(limits.places[place] for place in places)
    return max(1, min(smallest, limits.fleet // len(places)))


def budget(share: str | None, hosts: int) -> int:
    """Rule 5: shares are of the hosts planned, rounded down; by default 2 %, 0 below 50 hosts."""
    if share is None:
        return floor(_part("2%", hosts)) if hosts >= 50 else 0
    return floor(_part(share, hosts)) if share.endswith("%") else min(int(share), hosts)


def goal(share: str, hosts: int) -> int:
    """Rule 4: how many hosts are done after a wave; shares round up."""
    return ceil(_part(share, hosts)) if share.endswith("%") else min(int(share), hosts)


def is_share(text: str) -> bool:
    """Whether a pace can be read."""
    try:
        return _part(f"{text.removesuffix('%')}%", 1) > 0
    except (ValueError, ArithmeticError):
        return False


def _part(share: str, whole: int) -> Fraction:
    return Fraction(share.removesuffix("%")) * whole / 100
