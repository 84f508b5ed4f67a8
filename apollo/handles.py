"""A deployment that was started: to be watched, steered and waited for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from apollo.catalog.records import HostRow, StoredDeployment
from apollo.domain.deployment import Control, PaceControl
from apollo.domain.rollout import DeploymentResult
from apollo.errors import ApolloError, NotFound, Refused, Unavailable

if TYPE_CHECKING:
    from apollo.client import Apollo

_LOOK_AGAIN = 0.5


@dataclass(frozen=True)
class Status:
    """Where a deployment stands: the deployment and its hosts, forward and back."""

    deployment: StoredDeployment
    outcomes: dict[str, int]
    rows: tuple[HostRow, ...]


@dataclass(frozen=True)
class DeploymentHandle:
    """One deployment: to be watched, steered and waited for."""

    apollo: "Apollo"
    workflow_id: str

    async def pause(self, reason: str = "") -> str:
        """Begin no more turns."""
        return await self._say("pause", self._word(reason))

    async def resume(self, reason: str = "") -> str:
        """Go on after a pause."""
        return await self._say("resume", self._word(reason))

    async def abort(self, reason: str = "") -> str:
        """End at the next host boundary."""
        return await self._say("abort", self._word(reason))

    async def rollback(self, reason: str = "") -> str:
        """Take every changed host back."""
        return await self._say("rollback", self._word(reason))

    async def approve(self, reason: str = "") -> str:
        """Open the gate that is waited at."""
        return await self._say("approve", self._word(reason))

    async def pace(self, max_unavailable: str, reason: str = "") -> str:
        """Change `max_unavailable` for the rest of the deployment."""
        by = self.apollo.settings.who
        return await self._say(
            "pace", PaceControl(by=by, reason=reason, max_unavailable=max_unavailable)
        )

    async def status(self) -> Status | None:
        """Where it stands; none before it has its number."""
        catalog = self.apollo.catalog
        stored = await catalog.deployments.by_workflow(self.workflow_id)
        if stored is None:
            return None
        rows = await catalog.plans.rows(stored.uuid)
        return Status(stored, await catalog.turns.counts(stored.uuid), tuple(rows))

    async def watch(self) -> AsyncIterator[Status]:
        """Every change of the status until the deployment has ended.

        Raises:
            ApolloError: It could not be opened.
        """
        last: Status | None = None
        while True:
            status = await self.status()
            if status and status != last:
                last = status
                yield status
            if status and status.deployment.state.ended:
                return
            if status is None:
                await self._raise_if_failed()
            await asyncio.sleep(_LOOK_AGAIN)

    async def result(self) -> DeploymentResult:
        """Wait for the end.

        Raises:
            ApolloError: It could not be opened.
        """
        client = await self.apollo.temporal()
        handle = client.get_workflow_handle(self.workflow_id, result_type=DeploymentResult)
        try:
            result: DeploymentResult = await handle.result()
            return result
        except WorkflowFailureError as error:
            raise _translated(error) from error

    async def _raise_if_failed(self) -> None:
        client = await self.apollo.temporal()
        found = await client.get_workflow_handle(self.workflow_id).describe()
        if found.close_time is not None:
            await self.result()

    def _word(self, reason: str) -> Control:
        return Control(by=self.apollo.settings.who, reason=reason)

    async def _say(self, word: str, given: Control) -> str:
        client = await self.apollo.temporal()
        handle = client.get_workflow_handle(self.workflow_id)
        try:
            answer: str = await handle.execute_update(word, given, result_type=str)
            return answer
        except WorkflowUpdateFailedError as error:
            why = error.cause.message if isinstance(error.cause, ApplicationError) else error.cause
            raise Refused(f"{word} is refused: {why}") from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise Refused(f"{word} is refused: the deployment has ended") from error
            raise Unavailable(f"Temporal does not take {word}: {error}") from error


def _translated(error: WorkflowFailureError) -> ApolloError:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    if isinstance(cause, ApplicationError):
        kind = NotFound if cause.type == "NotFound" else Refused
        return kind(cause.message)
    return ApolloError(f"the deployment's workflow ended: {error.cause}")
