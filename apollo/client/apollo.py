"""The client's first word: a connection to Temporal, the catalog and the store."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from apollo import names
from apollo.artifacts.pack import pack
from apollo.artifacts.store import Store
from apollo.catalog.catalog import Catalog
from apollo.catalog.records import StoredPromotion
from apollo.client.deployments import DeploymentHandle, Status
from apollo.client.looking import Looking
from apollo.client.promotions import PromotionHandle, checked, start_promotion
from apollo.client.requests import refuse_other
from apollo.client.schedules import Schedules
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.environment import Environment
from apollo.domain.pipeline import Stage
from apollo.domain.promotion import PromotionRequest
from apollo.domain.release import Artifact, Release
from apollo.domain.setup import Setup
from apollo.errors import NotFound, Unavailable
from apollo.planning import Prepared, prepare
from apollo.settings import Settings
from apollo.wiring import connect_temporal, open_catalog, open_store
from apollo.workflows.deployment import Deployment

__all__ = ["Apollo", "DeploymentHandle", "Status"]


class Apollo(Looking):
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
        self, environment: Environment, pipeline: Sequence[Stage | str] = (), reason: str = ""
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
        self, application: str, environment: str, release: str, **options: Any
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
        override: str = "",
        if_busy: Literal["refuse", "wait", "supersede"] = "refuse",
        reason: str = "",
        request: str | None = None,
    ) -> DeploymentHandle:
        """Start a deployment. The same `request` starts the same deployment only once.

        `override` says why it keeps to no window and waits for no approval.

        Raises:
            Refused: The request was used by a deployment that has ended, or that asks for
                something else; one that asks for the same and still runs is what is returned.
            Unavailable: Temporal does not answer.
        """
        client = await self.temporal()
        given = DeploymentRequest(
            application=application,
            environment=environment,
            release=release,
            limit=limit,
            redeploy=redeploy,
            override=override,
            if_busy=if_busy,
            by=self.settings.who,
            reason=reason,
        )
        workflow_id = names.deployment_id(application, environment, request or str(uuid4()))
        try:
            await client.start_workflow(
                Deployment.run,
                given,
                id=workflow_id,
                task_queue=names.CONTROL_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"{application}/{environment} {release or 'current'}"[:200],
            )
        except WorkflowAlreadyStartedError:
            await refuse_other(client, workflow_id, given)
        except RPCError as error:
            raise Unavailable(f"Temporal does not start the deployment: {error}") from error
        return DeploymentHandle(self, workflow_id)

    async def deployment(
        self, application: str, environment: str, number: int | None = None
    ) -> DeploymentHandle:
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

    async def promote(
        self,
        application: str,
        release: str | None = None,
        *,
        from_: str = "",
        to: str = "",
        reason: str = "",
    ) -> PromotionHandle:
        """Start taking a release along the pipeline.

        Without `release` it is the newest that succeeded in `from_`, or the newest that was made,
        and there may be nothing to do.

        Raises:
            NotFound: Nobody knows the application, the release or an environment.
            Refused: The release is being promoted already, or may not go there.
        """
        request = PromotionRequest.model_validate(
            {"application": application, "release": release, "from": from_, "to": to}
        ).model_copy(update={"by": self.settings.who, "reason": reason})
        client = await self.temporal()
        workflow_id, run_id = await start_promotion(self.catalog, client, request)
        return PromotionHandle(self.catalog, client, self.settings.who, workflow_id, run_id)

    async def still_run(self, stored: Sequence[StoredPromotion]) -> list[StoredPromotion]:
        """The promotions as Temporal knows them: those whose workflow is closed are `lost`.

        Raises:
            Unavailable: Temporal does not answer.
        """
        return await checked(await self.temporal(), stored) if stored else []

    async def promotion(self, stored: StoredPromotion) -> PromotionHandle:
        """A promotion that the catalog knows, to be steered."""
        found = (stored.workflow_id, stored.run_id)
        return PromotionHandle(self.catalog, await self.temporal(), self.settings.who, *found)

    @property
    def schedules(self) -> Schedules:
        """Promotions and syncs that start by themselves."""
        return Schedules(self.temporal, self.catalog, self.settings.who)

    async def store_artifact(self, source: Path, exclude: Sequence[str] = ()) -> Artifact:
        """Pack a folder, file or archive, and store it."""
        with TemporaryDirectory(prefix="apollo-") as folder:
            packed = Path(folder) / "artifact.tar.gz"
            artifact = await asyncio.to_thread(pack, source, packed, exclude)
            await self.store.put_file(packed)
            return artifact
