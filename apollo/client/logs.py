"""What hooks have printed: the end of it from the catalog, and all of it while a turn runs."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

from apollo import names
from apollo.catalog.records import StoredOutput
from apollo.client.connection import Connection
from apollo.client.talk import result_of, start
from apollo.domain.logs import HostLog, LogPart, LogRequest
from apollo.workflows.logs import Logs

POLL = 10
"""Seconds that one question waits on the host for something new."""


AGAIN = 1.0
"""Seconds between two questions, where nothing new had come."""


class Logging(Connection):
    """Words about outputs."""

    async def logs(
        self, application: str, environment: str, host: str, *, number: int | None = None
    ) -> list[StoredOutput]:
        """The ends of what a host's hooks printed, in its last deployment or in that of a number.

        Raises:
            NotFound: The host has had no turn there.
        """
        return await self.catalog.outputs.of_host(application, environment, host, number)

    async def follow_logs(
        self, application: str, environment: str, host: str, *, wait: bool = True
    ) -> AsyncIterator[tuple[str, LogPart]]:
        """What a host's hooks print while its turn is under way, each with its deployment's label.

        Nothing comes when no turn of the host is under way. Leaving harms nothing.

        Args:
            application: The application.
            environment: The environment.
            host: The host.
            wait: Go on until the turn has ended; else only what there is now.

        Raises:
            ApolloError: Nobody knows the host, it cannot be reached, or it may not be shown.
            Unavailable: Temporal does not answer.
        """
        request = LogRequest(application=application, environment=environment, host=host)
        while True:
            log = await self._read(request)
            for part in log.parts:
                if part.text:
                    yield log.label, part
            if not (wait and log.under_way):
                return
            if not any(part.text for part in log.parts):
                await asyncio.sleep(AGAIN)
            seen = {part.step: part.end for part in log.parts}
            more = {"deployment": log.deployment, "turn": log.turn, "seen": seen, "poll": POLL}
            request = request.model_copy(update=more)

    async def _read(self, request: LogRequest) -> HostLog:
        client = await self.temporal()
        place = f"{request.application}/{request.environment}"
        workflow_id = names.logs_id(request.application, request.environment, str(uuid4()))
        summary = f"what {request.host} of {place} prints"
        await start(client, Logs.run, request, workflow_id, summary, "look")
        return await result_of(client, workflow_id, HostLog, "look")
