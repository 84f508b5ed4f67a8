"""Processes on a simulated clock: generators that yield what they wait for."""

import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True)
class Until:
    """Wait until this is so, or for so many seconds."""

    so: Callable[[], bool] = lambda: False
    seconds: float | None = None


Doing = Generator[Until, None, _T]


@dataclass
class Clockwork:
    """Runs processes and events, one after the other; time passes when nothing more happens."""

    now: float = 0.0
    _events: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _waiting: list[tuple[Doing[None], Until, float | None]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def at(self, when: float, event: Callable[[], object]) -> None:
        """Something happens then."""
        heapq.heappush(self._events, (when, next(self._numbers), event))

    def start(self, process: Doing[None]) -> None:
        """A process begins now."""
        wait = next(process, None)
        if wait is not None:
            late = None if wait.seconds is None else self.now + wait.seconds
            self._waiting.append((process, wait, late))

    def run(self, until: Callable[[], bool], at_rest: Callable[[], None], most: int) -> bool:
        """Let time pass until this is so; whether it came to be so.

        `at_rest` is called when nothing more happens at a moment; `most` is how much may happen.
        """
        for _ in range(most):
            if until():
                return True
            if self._wake():
                continue
            at_rest()
            if not self._pass_time():
                return False
        return False

    def _wake(self) -> bool:
        for each in self._waiting:
            process, wait, late = each
            if wait.so() or (late is not None and late <= self.now):
                self._waiting.remove(each)
                self.start(process)
                return True
        return False

    def _pass_time(self) -> bool:
        times = [late for _, _, late in self._waiting if late is not None]
        times += [self._events[0][0]] if self._events else []
        if not times:
            return False
        self.now = max(self.now, min(times))
        while self._events and self._events[0][0] <= self.now:
            heapq.heappop(self._events)[2]()
        return True
