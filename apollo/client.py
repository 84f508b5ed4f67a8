"""The Python client: the same words as the command line."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from apollo import names
from apollo.artifacts.pack import pack
from apollo.artifacts.store import Store
from apollo.catalog.catalog import Catalog
from apollo.catalog.records import HostRow, KnownHost, StoredDeployment
from apollo.domain.deployment import Control, DeploymentRequest, PaceControl
from apollo.domain.environment import Environment
from apollo.domain.release import Artifact, Release
from apollo.domain.rollout import DeploymentResult
from apollo.domain.setup import Setup
from apollo.domain.sync import Drift, LookRequest
from apollo.errors import ApolloError, NotFound, Refused, Unavailable
from apollo.planning import Prepared, prepare
from apollo.settings import Settings
from apollo.wiring import connect_temporal, open_catalog, open_store
from apollo.workflows.deployment import Deployment
from apollo.workflows.look import Look

_LOOK_AGAIN = 0.5


@dataclass(frozen=True)
class Status:
    """Where a deployment stands: the deployment and its hosts, forward and back."""

    deployment: StoredDeployment
    outcomes: dict[str, int]
    rows: tuple[HostRow, ...]


class Apollo:
    """A connection to Temporal, the catalog and the store.

    >>> async with Apollo.connect() as apollo:  # doctest: +SKIP
    ...     deployment = await apollo.deploy("shop", "prod", "1.4.2")
    ...     result = await deployment.result()
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store: Store = open_store(settings)
        self.catalog: Catalog
        self._temporal: Client | None = None
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

    async def temporal(self) -> Client:
        """The Temporal client.

        Raises:
            Unavailable: No server answers.
        """
        if self._temporal is None:
            self._temporal = await connect_temporal(self.settings)
        return self._temporal

    async def apply(
        self, environment: Environment, pipeline: Sequence[str] = (), reason: str = ""
    ) -> int:
        """Make this the environment's content; its revision."""
        who = self.settings.who
        return await self.catalog.environments.apply(environment, pipeline, who, reason)

    async def create_release(
        self,
        application: str,
        version: str,
        setup: Setup,
        source: Path,
        exclude: Sequence[str] = (),
    ) -> Release:
        """Pack a folder, file or archive, store it, and make a release of it.

        Raises:
            Refused: The version exists with another content.
        """
        artifact = await self.store_artifact(source, exclude)
        release = Release(application=application, version=version, artifact=artifact, setup=setup)
        await self.catalog.releases.add(release, self.settings.who)
        return release

    async def plan(
        self, application: str, environment: str, release: str | None, **options: Any
    ) -> Prepared:
        """What a deployment would do; changes nothing."""
        request = DeploymentRequest(
            application=application, environment=environment, release=release, **options
        )
        return await prepare(self.catalog, request)

    async def deploy(
        self,
        application: str,
        environment: str,
        release: str | None = None,
        *,
        limit: str | None = None,
        redeploy: bool = False,
        if_busy: Literal["refuse", "wait", "supersede"] = "refuse",
        reason: str = "",
        request: str | None = None,
    ) -> "DeploymentHandle":
        """Start a deployment. The same `request` starts the same deployment only once."""
        given = DeploymentRequest(
            application=application,
            environment=environment,
            release=release,
            limit=limit,
            redeploy=redeploy,
            if_busy=if_busy,
            by=self.settings.who,
            reason=reason,
        )
        return await self._start(given, release or "current", request)

    async def restart(
        self,
        application: str,
        environment: str,
        *,
        limit: str | None = None,
        if_busy: Literal["refuse", "wait", "supersede"] = "refuse",
        reason: str = "",
        request: str | None = None,
    ) -> "DeploymentHandle":
        """Stop and start what each host runs, by all the rules of a deployment."""
        given = DeploymentRequest(
            application=application,
            environment=environment,
            restart=True,
            limit=limit,
            if_busy=if_busy,
            by=self.settings.who,
            reason=reason,
        )
        return await self._start(given, "restart", request)

    async def sync(
        self,
        application: str,
        environment: str,
        *,
        limit: str | None = None,
        reason: str = "",
        request: str | None = None,
    ) -> "DeploymentHandle":
        """Bring the current release to hosts that are new, missed it, or run it no longer.

        When there is nothing to do the result has no label, and no deployment is in the catalog.
        """
        given = DeploymentRequest(
            application=application,
            environment=environment,
            only="outdated",
            limit=limit,
            by=self.settings.who,
            reason=reason,
        )
        return await self._start(given, "sync", request)

    async def look(self, application: str, environment: str, *, limit: str | None = None) -> Drift:
        """How the hosts compare with the current release, as found on them; changes nothing.

        Raises:
            ApolloError: Nobody knows the environment, or the limit matches nothing.
        """
        client = await self.temporal()
        given = LookRequest(application=application, environment=environment, limit=limit)
        try:
            handle = await client.start_workflow(
                Look.run,
                given,
                id=names.look_id(names.deployment_id(application, environment, str(uuid4()))),
                task_queue=names.CONTROL_QUEUE,
                static_summary=f"what {application}/{environment} runs"[:200],
            )
            return await handle.result()
        except WorkflowFailureError as error:
            raise _translated(error) from error
        except RPCError as error:
            raise Unavailable(f"Temporal does not start the look: {error}") from error

    async def _start(
        self, given: DeploymentRequest, what: str, request: str | None
    ) -> "DeploymentHandle":
        client = await self.temporal()
        application, environment = given.application, given.environment
        workflow_id = names.deployment_id(application, environment, request or str(uuid4()))
        try:
            await client.start_workflow(
                Deployment.run,
                given,
                id=workflow_id,
                task_queue=names.CONTROL_QUEUE,
                static_summary=f"{application}/{environment} {what}"[:200],
            )
        except RPCError as error:
            raise Unavailable(f"Temporal does not start the deployment: {error}") from error
        return DeploymentHandle(self, workflow_id)

    async def deployment(
        self, application: str, environment: str, number: int | None = None
    ) -> "DeploymentHandle":
        """A deployment by its number; without one, that which runs, or else the last.

        Raises:
            NotFound: There is none.
        """
        if number is not None:
            found = await self.catalog.deployments.get(application, environment, number)
            return DeploymentHandle(self, found.workflow_id)
        running = await self.catalog.deployments.running(application, environment)
        newest = running[:1] or await self.catalog.deployments.list(
            application, environment, limit=1
        )
        if not newest:
            raise NotFound(f"{application}/{environment} has had no deployment")
        return DeploymentHandle(self, newest[0].workflow_id)

    async def hosts(self, application: str, environment: str) -> dict[str, KnownHost]:
        """What is known of each host."""
        return await self.catalog.hosts.states(application, environment)

    async def store_artifact(self, source: Path, exclude: Sequence[str] = ()) -> Artifact:
        """Pack a folder, file or archive, and store it."""
        with TemporaryDirectory(prefix="apollo-") as folder:
            packed = Path(folder) / "artifact.tar.gz"
            artifact = await asyncio.to_thread(pack, source, packed, exclude)
            await self.store.put_file(packed)
            return artifact


@dataclass(frozen=True)
class DeploymentHandle:
    """One deployment: to be watched, steered and waited for."""

    apollo: Apollo
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

        There is none when a sync found nothing to do.

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
            if status is None and await self._ended_unopened():
                return
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

    async def _ended_unopened(self) -> bool:
        """Whether it has ended without ever having been opened; its failure is raised."""
        client = await self.apollo.temporal()
        found = await client.get_workflow_handle(self.workflow_id).describe()
        if found.close_time is None:
            return False
        await self.result()
        return await self.status() is None

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
