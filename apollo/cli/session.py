"""The client that commands use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apollo.cli.settings import read_settings as read_settings
from apollo.client import Apollo


@asynccontextmanager
async def connected() -> AsyncIterator[Apollo]:
    """A client with its catalog open; Temporal is connected when it is needed."""
    async with Apollo.connect(read_settings()) as apollo:
        yield apollo
