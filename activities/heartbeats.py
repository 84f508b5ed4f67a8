"""Signs of life of an activity that takes long."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from temporalio import activity

CALM = 5.0
BRISK = 1.0
"""For what another worker takes over within seconds (`takeover`)."""
FIRST = 5
"""The share of that time, after which the first word comes."""


@contextlib.asynccontextmanager
async def heartbeats(details: Callable[[], Any] | None = None) -> AsyncIterator[None]:
    """Give signs of life, so that another worker soon takes over from a lost one.

    `details` are what that one must know of how far this one has come. Most turns are over before
    the first word of their first attempt is due: it would cost the server as much as their end.
    """
    heart = asyncio.create_task(_tell(details) if details else _beat())
    try:
        yield
    finally:
        heart.cancel()


async def _beat() -> None:
    while True:
        await asyncio.sleep(CALM)
        activity.heartbeat()


async def _tell(details: Callable[[], Any]) -> None:
    info = activity.info()
    if info.attempt == 1 and info.heartbeat_timeout:
        await asyncio.sleep(info.heartbeat_timeout.total_seconds() / FIRST)
    while True:
        activity.heartbeat(details())
        await asyncio.sleep(BRISK)
