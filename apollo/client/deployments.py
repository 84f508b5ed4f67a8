"""A deployment that was started: to be watched, steered and waited for."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from apollo.catalog.records import AuditEntry, HostRow, StoredDeployment, StoredOutput
from apollo.client.connection import Connection
from apollo.client.polling import Waiting, waits
from apollo.client.talk import result_of, say
from apollo.domain.deployment import Control, HostsControl, PaceControl
from apollo.domain.rollout import DeploymentResult
from apollo.errors import Abandoned, Unavailable
from apollo.proof import Judgement, prove

LOOK_AGAIN = 0.5
"""Seconds between two looks at the catalog."""
ASK_TEMPORAL = 5.0
"""Seconds between two questions whether the workflow is still there."""
_TOLD = 10_000
_PATIENCE = timedelta(seconds=5)


@dataclass(frozen=True)
class Status:
    """Where a deployment stands: the deployment and its hosts, forward and back."""

    deployment: StoredDeployment
    outcomes: dict[str, int]
    rows: tuple[HostRow, ...]


@dataclass(frozen=True)
class DeploymentHandle:
    """One deployment: to be watched, steered and waited for."""

    apollo: Connection
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

    async def skip(self, hosts: str = "", *, error: str = "", reason: str = "") -> str:
        """Leave hosts out: those of an expression, of an error group, or of both."""
        return await self._say("skip", self._hosts(hosts, error, reason))

    async def retry(self, hosts: str = "", *, error: str = "", reason: str = "") -> str:
        """Give hosts another turn that failed, were skipped or could not be reached."""
        return await self._say("retry", self._hosts(hosts, error, reason))

    async def status(self) -> Status | None:
        """Where it stands; none before it has its number."""
        catalog = self.apollo.catalog
        stored = await catalog.deployments.by_workflow(self.workflow_id)
        if stored is None:
            return None
        rows = await catalog.plans.rows(stored.uuid)
        return Status(stored, await catalog.turns.counts(stored.uuid), tuple(rows))

    async def rows(self) -> tuple[HostRow, ...]:
        """Each host in each phase: its place in the plan, how its turn ended, its steps."""
        status = await self.status()
        return status.rows if status else ()

    async def audit(self) -> list[AuditEntry]:
        """Who said what to it, the newest first; nothing before it has its number."""
        catalog = self.apollo.catalog
        stored = await catalog.deployments.by_workflow(self.workflow_id)
        return await catalog.audit.list(deployment=stored.uuid, limit=_TOLD) if stored else []

    async def once(self) -> list[StoredOutput]:
        """What ran once in it: where, how it ended, what it printed."""
        catalog = self.apollo.catalog
        stored = await catalog.deployments.by_workflow(self.workflow_id)
        return await catalog.outputs.once(stored.uuid) if stored else []

    async def prove(self) -> tuple[Judgement, ...]:
        """Whether it kept each of the fifteen rules, told from the catalog alone.

        Nothing before it has its number; of one that runs, turns under way are not judged.
        """
        catalog = self.apollo.catalog
        stored = await catalog.deployments.by_workflow(self.workflow_id)
        if stored is None:
            return ()
        return await asyncio.to_thread(prove, await catalog.evidence.of(stored.uuid))

    async def waits(self) -> list[Waiting]:
        """What of it waits for a worker, and for which; nothing when all is well.

        Raises:
            Unavailable: Temporal does not answer.
        """
        return await waits(await self.apollo.temporal(), self.workflow_id)

    async def watch(self) -> AsyncIterator[Status]:
        """Every change of the status until the deployment has ended.

        While Temporal does not answer, the catalog alone is watched. Nothing comes when a sync
        found nothing to do.

        Raises:
            ApolloError: It could not be opened.
            Abandoned: Its workflow was ended from outside; no other deployment has taken over.
        """
        last: Status | None = None
        asked = time.monotonic()
        while True:
            status = await self.status()
            if status and status != last:
                last = status
                yield status
            if status and status.deployment.state.ended:
                return
            if status is None:
                if await self._closed():
                    return
            elif time.monotonic() - asked >= ASK_TEMPORAL:
                with suppress(Unavailable):
                    await self._closed()
                asked = time.monotonic()
            await asyncio.sleep(LOOK_AGAIN)

    async def result(self) -> DeploymentResult:
        """Wait for the end.

        Raises:
            ApolloError: It could not be opened.
            Abandoned: Its workflow was ended from outside.
        """
        client = await self.apollo.temporal()
        try:
            return await result_of(client, self.workflow_id, DeploymentResult, "deployment")
        except Abandoned as error:
            failed = error.__cause__
            how = failed.cause if isinstance(failed, WorkflowFailureError) else failed
            raise await self._abandoned(str(how)) from error

    async def _closed(self) -> bool:
        """Whether the workflow has closed and written all; raise when it never will."""
        client = await self.apollo.temporal()
        handle = client.get_workflow_handle(self.workflow_id)
        try:
            found = await handle.describe(rpc_timeout=_PATIENCE)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise Unavailable(f"Temporal does not answer: {error}") from error
            raise await self._abandoned("unknown to Temporal") from error
        if found.close_time is None:
            return False
        status = await self.status()  # its last act before it closes
        if status is None:
            await self.result()
        elif not status.deployment.state.ended:
            how = found.status.name.lower().replace("_", " ") if found.status else "closed"
            raise await self._abandoned(f"{how} at {found.close_time:%Y-%m-%dT%H:%M:%SZ}")
        return status is None

    async def _abandoned(self, how: str) -> Abandoned:
        stored = await self.apollo.catalog.deployments.by_workflow(self.workflow_id)
        label = stored.label if stored else self.workflow_id
        return Abandoned(
            f"{label}: its workflow was ended from outside ({how})",
            hint="turns under way end themselves; deploy again: that takes over what it left",
        )

    def _hosts(self, hosts: str, error: str, reason: str) -> HostsControl:
        return HostsControl(by=self.apollo.settings.who, reason=reason, hosts=hosts, error=error)

    def _word(self, reason: str) -> Control:
        return Control(by=self.apollo.settings.who, reason=reason)

    async def _say(self, word: str, given: Control) -> str:
        return await say(await self.apollo.temporal(), self.workflow_id, word, given, "deployment")
