"""Signs of life of an activity that takes long."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from temporalio import activity

CALM = timedelta(seconds=5)
BRISK = timedelta(seconds=1)
"""For what another worker takes over within seconds (`takeover`)."""
FIRST = 5
"""The share of that time, after which the first word comes."""


@contextlib.contextmanager
def heartbeats(details: Callable[[], Any] | None = None) -> Iterator[None]:
    """Give signs of life, so that another worker soon takes over from a lost one.

    `details` are what that one must know of how far this one has come. Most turns are over before
    the first word of their first attempt is due: it would cost the server as much as their end.
    """
    heart = _Heart(details, BRISK if details else CALM)
    heart.wait(_first(activity.info()) if details else CALM)
    try:
        yield
    finally:
        heart.stop()


def _first(info: activity.Info) -> timedelta:
    """How long the first word can wait; an attempt that takes over says at once what it knows."""
    if info.attempt > 1 or info.heartbeat_timeout is None:
        return timedelta(0)
    return info.heartbeat_timeout / FIRST


class _Heart:
    """Beats by the loop's timer, which costs less than a task that sleeps."""

    def __init__(self, details: Callable[[], Any] | None, pause: timedelta) -> None:
        self._details = details
        self._pause = pause
        self._loop = asyncio.get_running_loop()

    def wait(self, time: timedelta) -> None:
        """Beat after that time."""
        self._next = self._loop.call_later(time.total_seconds(), self._beat)

    def stop(self) -> None:
        """Beat no more."""
        self._next.cancel()

    def _beat(self) -> None:
        said = [self._details()] if self._details else []
        activity.heartbeat(*said)
        self.wait(self._pause)
