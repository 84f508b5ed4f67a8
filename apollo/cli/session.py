"""The client that commands use."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apollo.cli.settings import read_settings as read_settings
from apollo.client import Apollo


@asynccontextmanager
async def connected() -> AsyncIterator[Apollo]:
    """A client with its catalog open; Temporal is connected when it is needed.

    What OpenTelemetry has to say of a collector that is dead belongs on nobody's terminal.
    """
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    async with Apollo.connect(read_settings()) as apollo:
        yield apollo
