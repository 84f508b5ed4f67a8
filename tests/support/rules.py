"""Rules 1 to 4, written down a second time as a referee that knows nothing of the planner.

It is told what the fleet is and what is planned, then sees hosts begin and end; it complains of
whatever the rules do not allow. It shares no code with the planner: its sums are fractions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor


@dataclass(frozen=True)
class Machine:
    """A host as the rules see it."""

    name: str
    location: str
    role: str | None = None
    out: bool = False
    failed: bool = False
    disabled: bool = False
    current: bool = False
    canary: bool = False

    @property
    def first(self) -> bool:
        return self.out or self.failed


def _part(share: str, whole: int) -> Fraction:
    return Fraction(share.removesuffix("%")) * whole / 100


def allowed_in(share: str, machines: Iterable[Machine], location: str | None = None) -> int:
    """How many may be out in a location, or in the fleet: rule 1."""
    everyone = list(machines)
    if location is None and not share.endswith("%"):
        return sum(
            allowed_in(share, everyone, name) for name in {each.location for each in everyone}
        )
    size = sum(location in (None, each.location) for each in everyone)
    if share.endswith("%"):
        return max(1, floor(_part(share, size)))
    return 1 if size == 1 else max(1, min(int(share), size - 1))


def wave_sizes(
    waves: Sequence[tuple[str, bool]],
    planned: Sequence[Machine],
    picked: Sequence[Sequence[str]],
    fleet: Sequence[Machine],
    most: str = "100%",
) -> list[str]:
    """Rule 4: shares round up and are cumulative. `waves` are (share, of the canaries only).

    `picked` are the hosts of each wave that came out with any, `most` is `max_unavailable`;
    complaints are returned.
    """
    left = {each.name: each for each in planned}
    rest = list(picked)
    out = [each for each in fleet if each.out or each.disabled]
    wrong = []
    for share, canaries in waves:
        pool = [each for each in planned if each.canary or not canaries]
        open_ = [each for each in pool if each.name in left]
        goal = ceil(_part(share, len(pool))) if share.endswith("%") else int(share)
        size = min(goal, len(pool)) - (len(pool) - len(open_))
        if size <= 0:
            continue
        names = rest.pop(0) if rest else []
        hosts = [left.pop(name) for name in names if name in left]
        wrong += _wave(size, open_, hosts, canaries)
        if size == 1:
            wrong += _box(open_, hosts, [each for each in open_ if _room(each, fleet, out, most)])
        out = [each for each in out if each not in hosts]
    if rest or left:
        wrong.append("waves do not reach everyone")
    return wrong


def _wave(size: int, pool: list[Machine], hosts: list[Machine], canaries: bool) -> list[str]:
    wrong = []
    if size == 1:
        roles = {each.role for each in pool}
        if sorted(map(str, roles)) != sorted(str(each.role) for each in hosts):
            wrong.append("a one-host wave is not one of each role")
        return wrong
    if len(hosts) != size:
        wrong.append(f"a wave of {size} has {len(hosts)} hosts")
    if canaries and not all(host.canary for host in hosts):
        wrong.append("a wave has hosts that its expression does not name")
    names = {host.name for host in hosts}
    later = [each for each in pool if each.name not in names]
    if any(each.first for each in later) and not all(host.first for host in hosts):
        wrong.append("failed first: another host took a wave's place")
    return wrong


def _box(pool: list[Machine], hosts: list[Machine], roomy: list[Machine]) -> list[str]:
    """The one box (of a role) serves; where nobody who serves has room, it is one that is out."""
    wrong = []
    for host in hosts:
        same = [each for each in pool if each.role == host.role]
        serving = any(each in roomy and not each.out for each in same)
        if host.out and serving:
            wrong.append(f"one-host wave: {host.name} is not in service")
        if not host.out and not serving and any(each.out for each in same):
            wrong.append(f"one-host wave: {host.name} has no room, and another needs none")
        if not host.out and serving and host not in roomy:
            wrong.append(f"one-host wave: {host.name} has no room, and another has")
    return wrong


def _room(host: Machine, fleet: Sequence[Machine], out: list[Machine], most: str) -> bool:
    return all(
        sum(place in (None, each.location) for each in out) < allowed_in(most, fleet, place)
        for place in (host.location, None)
    )


@dataclass
class Referee:
    """Watches one wave, or a rollback; `complaints` must stay empty."""

    fleet: Sequence[Machine]
    share: str
    planned: Sequence[Machine]
    order: Sequence[str] = ()
    one_location: bool = False
    rollback: bool = False
    ranks: dict[str, int] | None = None
    """Which hosts wait for which, where it is not the order of roles."""
    out: set[str] = field(default_factory=set)
    """Who is out now, but for turns in flight."""
    in_flight: set[str] = field(default_factory=set)
    begun: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def begin(self, names: Sequence[str]) -> None:
        """These hosts begin at one moment."""
        overtaking = [] if self.in_flight else self._may_overtake()
        for name in names:
            self._begin(self._machine(name), overtaking=name in overtaking)
        self._idle()

    def end(self, name: str, *, out: bool) -> None:
        self.in_flight.discard(name)
        self.out.discard(name)
        if out:
            self.out.add(name)

    def close(self) -> None:
        """The wave has come to its end: whoever waits must have had no room."""
        if self.in_flight:
            self.complaints.append("the wave ended with turns in flight")
        for machine in self._pending():
            if self._may_begin(machine):
                self.complaints.append(f"{machine.name} was left though it could begin")

    def _begin(self, host: Machine, *, overtaking: bool) -> None:
        say = self.complaints.append
        if host.name in self.begun:
            say(f"{host.name} has two turns")
        if host not in self.planned:
            say(f"{host.name} is not planned")
        self._check_room(host)
        ranks = [self._rank(each) for each in (*self._pending(), *self._flying())]
        if self._rank(host) > min(ranks) and not overtaking:
            say(f"{host.name} does not wait for its role")
        lanes = self.lanes(host.location)
        self.begun.append(host.name)
        self.in_flight.add(host.name)
        self.out.discard(host.name)
        if self._count(self.in_flight, host.location) > lanes:
            say(f"more than {lanes} lanes in {host.location}")
        if len({each.location for each in self._flying()}) > 1 and self.one_location:
            say("more than one location at a time")
        most = allowed_in(self.share, self.fleet)
        if len(self.in_flight) > most and not self.rollback:
            say(f"{len(self.in_flight)} turns in flight, {most} allowed in the fleet")

    def _check_room(self, host: Machine) -> None:
        if host.name in self.out:
            return
        if self.rollback and not self._count(self.in_flight, host.location):
            return
        for place in (host.location, None):
            if self.full(place):
                self.complaints.append(f"{host.name} drained without room in {place or 'fleet'}")

    def full(self, place: str | None) -> bool:
        """Whether one more may not be out there, or in the whole fleet."""
        return self._count(self.out | self.in_flight, place) >= allowed_in(
            self.share, self.fleet, place
        )

    def lanes(self, place: str) -> int:
        """Rule 2; everyone who waits or is under way decides which locations still have hosts."""
        places = {each.location for each in (*self._pending(), *self._flying())}
        if self.one_location:
            places = {place}
        smallest = min(allowed_in(self.share, self.fleet, each) for each in places)
        return max(1, min(smallest, allowed_in(self.share, self.fleet) // len(places)))

    def _idle(self) -> None:
        """Lanes are refilled as turns end: nobody waits who may begin.

        When the pace was lowered, all lanes together come down to what they are now first.
        """
        pending = self._pending()
        ranks = [self._rank(each) for each in (*pending, *self._flying())]
        if len(self.in_flight) >= allowed_in(self.share, self.fleet):
            return
        flying = {each.location for each in self._flying()}
        if any(self._count(self.in_flight, each) > self.lanes(each) for each in flying):
            return
        for host in pending:
            if self._rank(host) > min(ranks):
                continue
            if self.one_location and flying and host.location not in flying:
                continue
            free = self._count(self.in_flight, host.location) < self.lanes(host.location)
            if free and self._may_begin(host):
                self.complaints.append(f"{host.name} waits though it may begin")

    def _may_overtake(self) -> list[str]:
        """Nothing is in flight: who need not wait for an earlier role, as it cannot go on.

        Whoever is out waits only for the first role, as repairing it may be what makes room.
        """
        pending = self._pending()
        able = [self._rank(each) for each in pending if self._may_begin(each)]
        first = min((self._rank(each) for each in pending), default=0)
        if not able or first in able:
            return []
        next_ = min(able)
        return [h.name for h in pending if h.name in self.out or self._rank(h) == next_]

    def _may_begin(self, host: Machine) -> bool:
        return host.name in self.out or not (self.full(host.location) or self.full(None))

    def _rank(self, host: Machine) -> int:
        if self.ranks is not None:
            return self.ranks[host.name]
        if self.rollback:
            return 0
        return self.order.index(host.role) if host.role in self.order else len(self.order)

    def _pending(self) -> list[Machine]:
        return [each for each in self.planned if each.name not in self.begun]

    def _flying(self) -> list[Machine]:
        return [each for each in self.planned if each.name in self.in_flight]

    def _machine(self, name: str) -> Machine:
        return next(each for each in self.fleet if each.name == name)

    def _count(self, names: Iterable[str], place: str | None) -> int:
        chosen = set(names)
        return sum(each.name in chosen and place in (None, each.location) for each in self.fleet)
