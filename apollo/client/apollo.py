"""The client: what it starts, what it looks at, and what it makes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from apollo.artifacts.pack import pack
from apollo.catalog.records import StoredPromotion
from apollo.client.deployments import DeploymentHandle
from apollo.client.logs import Logging
from apollo.client.looking import Looking
from apollo.client.polling import Polling
from apollo.client.promotions import PromotionHandle, checked
from apollo.client.schedules import Schedules
from apollo.client.starting import Starting
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.environment import Environment
from apollo.domain.pipeline import Stage
from apollo.domain.release import Artifact, Release
from apollo.domain.setup import Setup
from apollo.errors import NotFound
from apollo.planning import prepare
from apollo.prepared import Prepared


class Apollo(Looking, Logging, Polling, Starting):
    """A connection to Temporal, the catalog and the store.

    >>> async with Apollo.connect() as apollo:  # doctest: +SKIP
    ...     deployment = await apollo.deploy("shop", "prod", "1.4.2")
    ...     result = await deployment.result()
    """

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
        self, application: str, environment: str, release: str | None, **options: Any
    ) -> Prepared:
        """What a deployment would do; changes nothing."""
        request = DeploymentRequest(
            application=application, environment=environment, release=release, **options
        )
        return await prepare(self.catalog, request)

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
