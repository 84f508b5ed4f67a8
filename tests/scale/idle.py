"""Activities that do nothing, as many at once as a batch has lanes: what the server takes."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

BATCH = 500


class Nothing:
    """The activity of a host that has nothing to do."""

    @activity.defn
    async def nothing(self) -> None:
        """Do nothing."""


@workflow.defn
class Idle:
    """Runs one empty activity for each host of a batch."""

    @workflow.run
    async def run(self, hosts: int, lanes: int) -> None:
        """Return when all have ended."""
        free = asyncio.Semaphore(lanes)
        await asyncio.gather(*(self._turn(free, number) for number in range(hosts)))

    async def _turn(self, free: asyncio.Semaphore, number: int) -> None:
        async with free:
            await workflow.execute_activity_method(
                Nothing.nothing,
                task_queue="apollo-hosts",
                summary=f"host {number}",
                schedule_to_close_timeout=timedelta(hours=1),
                heartbeat_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1)),
            )
