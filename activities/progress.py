"""Why a location does not move: who polls its queue."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity

from apollo import names
from apollo.activities.explained import explained
from apollo.domain.progress import Queue, SlowInput, why_slow

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog


@dataclass
class ProgressActivities:
    """The control worker's part: it can ask Temporal."""

    catalog: "Catalog"
    workers: Callable[[str], Awaitable[int]]
    """How many workers poll a queue, of this worker's build if it has one."""
    build: str = ""

    @activity.defn
    @explained
    async def look_at_progress(self, given: SlowInput) -> str:
        """What may be wrong in the locations, in words."""
        stored = await self.catalog.deployments.by_uuid(given.deployment)
        environment = await self.catalog.environments.planned(
            stored.application, stored.environment, stored.revision
        )
        return why_slow(
            [await self._queue(each, environment.own_workers) for each in given.locations],
            given.deadline,
        )

    async def _queue(self, location: str, own_workers: tuple[str, ...]) -> Queue:
        name, own = names.queue_of(location, own_workers), location in own_workers
        workers = await self.workers(name)
        return Queue(location=location, name=name, workers=workers, own=own, build=self.build)
