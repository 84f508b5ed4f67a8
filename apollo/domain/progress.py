"""Progress: a location that ends no turn for too long is told of (rule 14)."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from apollo.domain.base import Duration, Wire, format_duration
from apollo.domain.turn import CONTACT_MARGIN

GRACE = timedelta(minutes=5)


def default_deadline(turn_limit: timedelta) -> timedelta:
    """The longest that one turn takes while its host answers, and five minutes."""
    return turn_limit - CONTACT_MARGIN + GRACE


class Pulse:
    """When each location last moved: it began to have turns, or ended one. It has no clock."""

    def __init__(self, deadline: timedelta) -> None:
        self._deadline = deadline
        self._moved: dict[str, datetime] = {}

    def begun(self, location: str, now: datetime) -> None:
        """A turn has begun there; the first after a rest counts as a move."""
        self._moved.setdefault(location, now)

    def ended(self, location: str, now: datetime, running: Iterable[str]) -> None:
        """A turn has ended there; `running` are the locations of those under way."""
        if location in set(running):
            self._moved[location] = now
        else:
            self._moved.pop(location, None)

    def under_way(self, locations: Iterable[str], now: datetime) -> None:
        """These are the locations with turns under way, whoever began them."""
        self._moved = {place: self._moved.get(place, now) for place in sorted(locations)}

    def rest(self, now: datetime) -> None:
        """Time begins to count anew: it was paused meanwhile."""
        self._moved = dict.fromkeys(self._moved, now)

    def slow(self, now: datetime) -> tuple[str, ...]:
        """The locations whose turns under way have not moved for too long."""
        late = (place for place, moved in self._moved.items() if now - moved >= self._deadline)
        return tuple(sorted(late))

    def stalled(self, now: datetime) -> bool:
        """Whether none moves that has turns under way."""
        return bool(self._moved) and len(self.slow(now)) == len(self._moved)

    @property
    def busy(self) -> bool:
        """Whether turns are under way."""
        return bool(self._moved)

    def next_look(self, now: datetime) -> timedelta:
        """How long nothing that is under way can become slow."""
        waits = (moved + self._deadline - now for moved in self._moved.values())
        return min((wait for wait in waits if wait > timedelta(0)), default=self._deadline)


class SlowInput(Wire):
    """Say why these locations do not move."""

    deployment: str
    locations: tuple[str, ...]
    deadline: Duration


class Queue(Wire):
    """A location's queue, and how many workers poll it."""

    location: str
    name: str
    workers: int
    own: bool = False
    build: str = ""
    """The only build whose workers count."""

    @property
    def text(self) -> str:
        """What may be wrong, and what to do."""
        if not self.workers:
            flags = f"--role hosts --locations {self.location}" if self.own else "--role hosts"
            who = f"worker of build {self.build}" if self.build else "worker"
            how = f"APOLLO_BUILD_ID={self.build} apollo" if self.build else "apollo"
            return f"{self.location}: no {who} polls {self.name} ({how} worker {flags})"
        many = f"{self.workers} workers poll" if self.workers > 1 else "a worker polls"
        return f"{self.location}: {many} {self.name}, and its turns have not ended"


def why_slow(queues: Iterable[Queue], deadline: timedelta) -> str:
    """What is said of locations that do not move."""
    told = "; ".join(queue.text for queue in queues)
    return f"no turn has ended for {format_duration(deadline)} in {told}"
