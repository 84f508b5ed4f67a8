"""The client's part of promotions: to be started, watched, steered and waited for."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from apollo import names
from apollo.catalog.promotions import already_promoted
from apollo.catalog.records import StoredPromotion
from apollo.client.talk import result_of, say
from apollo.domain.promotion import PromotionRequest, PromotionResult, PromotionState, StageControl
from apollo.errors import Refused, Unavailable
from apollo.executions import runs
from apollo.promoting import find_way
from apollo.workflows.promotion import Promotion

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog

_LOOK_AGAIN = 0.5
_CLOSES = 10.0
"""Seconds that a promotion which has ended on record may take to close its workflow."""


async def start_promotion(
    catalog: "Catalog", client: Client, request: PromotionRequest
) -> tuple[str, str]:
    """Start a promotion; its workflow and run.

    Raises:
        NotFound: Nobody knows the application, the release or an environment.
        Refused: The release is being promoted already, or may not go there.
    """
    way = await find_way(catalog, request)
    if not way.release:
        raise Refused(f"nothing to promote: {way.nothing}")
    given = request.model_copy(
        update={"release": way.release, "if_needed": request.if_needed or not request.release}
    )
    workflow_id = names.promotion_id(request.application, way.release)
    try:
        await _until_none_runs(catalog, client, request.application, way.release)
        handle = await client.start_workflow(
            Promotion.run,
            given,
            id=workflow_id,
            task_queue=names.CONTROL_QUEUE,
            static_summary=f"{request.application} {way.release}"[:200],
        )
    except WorkflowAlreadyStartedError as error:
        label = f"{request.application} {way.release}"
        raise Refused(
            f"{label} is being promoted already: workflow {workflow_id}",
            hint=f"watch it: apollo watch {request.application}",
        ) from error
    except RPCError as error:
        raise Unavailable(f"Temporal does not start the promotion: {error}") from error
    return workflow_id, handle.result_run_id or ""


async def _until_none_runs(
    catalog: "Catalog", client: Client, application: str, release: str
) -> None:
    """Return when the release is not being promoted, or it is not known by whom.

    The workflow of one that has ended on record closes soon.

    Raises:
        Refused: It is being promoted.
    """
    until = time.monotonic() + _CLOSES
    while True:
        for other in await catalog.promotions.running(application):
            if other.release == release and await runs(client, other.workflow_id, other.run_id):
                raise already_promoted(other)
        closed = not await runs(client, names.promotion_id(application, release))
        if closed or time.monotonic() >= until:
            return
        await asyncio.sleep(_LOOK_AGAIN)


async def checked(client: Client, stored: Sequence[StoredPromotion]) -> list[StoredPromotion]:
    """Promotions that seem to run; those whose workflow is closed are `lost`.

    Raises:
        Unavailable: Temporal does not answer.
    """
    lost = {"state": PromotionState.LOST, "detail": "its workflow was ended from outside"}
    try:
        return [
            each
            if await runs(client, each.workflow_id, each.run_id)
            else each.model_copy(update=lost)
            for each in stored
        ]
    except RPCError as error:
        raise Unavailable(f"Temporal does not answer: {error}") from error


@dataclass(frozen=True)
class PromotionHandle:
    """One promotion: to be watched, steered and waited for."""

    catalog: "Catalog"
    client: Client
    who: str
    workflow_id: str
    run_id: str

    async def approve(self, reason: str = "", *, environment: str = "") -> str:
        """Let the release into the stage that waits; with `environment` only into that one."""
        return await self._say("approve", reason, environment)

    async def reject(self, reason: str = "", *, environment: str = "") -> str:
        """End the promotion; what is deployed stays."""
        return await self._say("reject", reason, environment)

    async def hold(self, reason: str = "", *, environment: str = "") -> str:
        """Begin nothing new; a deployment under way ends."""
        return await self._say("hold", reason, environment)

    async def resume(self, reason: str = "", *, environment: str = "") -> str:
        """Go on after a hold."""
        return await self._say("resume", reason, environment)

    async def status(self) -> StoredPromotion | None:
        """Where it stands; none before it is opened, or where there is nothing to do."""
        return await self.catalog.promotions.by_workflow(self.workflow_id, self.run_id)

    async def watch(self) -> AsyncIterator[StoredPromotion]:
        """Every change of the status until the promotion has ended.

        Nothing comes where there is nothing to do.

        Raises:
            ApolloError: It could not be opened, or was ended from outside.
        """
        last: StoredPromotion | None = None
        while True:
            status = await self.status()
            if status and status != last:
                last = status
                yield status
            if status and status.state.ended:
                return
            if not await runs(self.client, self.workflow_id, self.run_id):
                now = await self.status()
                if now is None or not now.state.ended:
                    await self.result()
                    return
            await asyncio.sleep(_LOOK_AGAIN)

    async def result(self) -> PromotionResult:
        """Wait for the end.

        Raises:
            ApolloError: It could not be opened, or was ended from outside.
        """
        status = await self.status()
        if status and status.state.ended:
            return PromotionResult.model_validate(status.model_dump())
        # Without the run: one that was reset goes on in another.
        return await result_of(self.client, self.workflow_id, PromotionResult, "promotion")

    async def _say(self, word: str, reason: str, environment: str) -> str:
        given = StageControl(by=self.who, reason=reason, environment=environment)
        return await say(self.client, self.workflow_id, word, given, "promotion")
