"""Watches a deployment's alarms: ends when they stand otherwise than the deployment knows."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity

from apollo.activities.explained import explained
from apollo.domain.alarms import AlarmsInput, AlarmsLook
from apollo.ports import ReadAlarm

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog

EVERY = 10.0


@dataclass
class AlarmActivities:
    """The control worker's part: it has the routes to what watches."""

    catalog: "Catalog"
    read: ReadAlarm
    every: float = EVERY
    """Seconds between two looks."""

    @activity.defn
    @explained
    async def watch_alarms(self, given: AlarmsInput) -> AlarmsLook:
        """Look again and again, as the deployment was planned, until something has changed."""
        stored = await self.catalog.deployments.by_uuid(given.deployment)
        environment = await self.catalog.environments.planned(
            stored.application, stored.environment, stored.revision
        )
        while True:
            readings = await asyncio.gather(*map(self.read, environment.alarms))
            loud = tuple(each for each in readings if each.standing != "quiet")
            look = AlarmsLook(readings=loud)
            if look.standing != given.seen:
                return look
            await asyncio.sleep(self.every)
