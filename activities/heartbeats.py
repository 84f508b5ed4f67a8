"""Signs of life of an activity that takes long."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from temporalio import activity

CALM = 5.0
BRISK = 1.0
"""For what another worker takes over within seconds (`takeover`)."""


@contextlib.asynccontextmanager
async def heartbeats(details: Callable[[], Any] | None = None) -> AsyncIterator[None]:
    """Give signs of life, so that another worker soon takes over from a lost one.

    `details` are what that one must know of how far this one has come: they are told at once, and
    then every second.
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
    while True:
        activity.heartbeat(details())
        await asyncio.sleep(BRISK)
