"""A connection to Temporal, the catalog and the store."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from temporalio.client import Client

from apollo.artifacts.store import Store
from apollo.catalog.catalog import Catalog
from apollo.settings import Settings
from apollo.telemetry.exporting import tracing
from apollo.wiring import connect_temporal, open_catalog, open_store


class Connection:
    """What the client talks to; Temporal is connected when it is first needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store: Store = open_store(settings)
        self.catalog: Catalog
        self._temporal: Client | None = None
        self._traced = False
        self._stack = AsyncExitStack()

    @classmethod
    def connect(cls, settings: Settings | None = None) -> Self:
        """A client as `APOLLO_*` and `TEMPORAL_*` say; Temporal is connected when it is needed."""
        return cls(settings or Settings())

    async def __aenter__(self) -> Self:
        self.catalog = await self._stack.enter_async_context(open_catalog(self.settings))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _trace(self) -> None:
        """Export the spans of this client, if `OTEL_*` asks for them."""
        if not self._traced:
            self._traced = True
            await self._stack.enter_async_context(tracing("apollo"))

    async def temporal(self) -> Client:
        """The Temporal client.

        Raises:
            Unavailable: No server answers.
        """
        if self._temporal is None:
            self._temporal = await connect_temporal(self.settings)
        return self._temporal
