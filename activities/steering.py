"""What a deployment asks of the control worker when somebody speaks of single hosts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity

from apollo.activities.explained import explained
from apollo.domain.steering import Steered, SteeringInput, SteerInput, steered
from apollo.domain.turn import skipped
from apollo.errors import Refused

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog


@dataclass
class SteeringActivities:
    """The control worker's part: which hosts are meant, and what is written of them."""

    catalog: "Catalog"

    @activity.defn
    @explained
    async def choose_hosts(self, given: SteeringInput) -> Steered:
        """The hosts that are meant, as they stand; nothing is changed."""
        stored = await self.catalog.deployments.by_uuid(given.deployment)
        environment = await self.catalog.environments.planned(
            stored.application, stored.environment, stored.revision
        )
        rows = await self.catalog.plans.rows(given.deployment, "forward")
        try:
            return steered(given, environment.fleet, rows)
        except ValueError as error:
            raise Refused(str(error)) from None

    @activity.defn
    @explained
    async def skip_hosts(self, given: SteerInput) -> None:
        """Hosts of batches that do not run now have no turn any more."""
        records = [skipped(each.host, each.turn + 1, given.why) for each in given.hosts]
        await self.catalog.turns.record(given.deployment, "forward", records)

    @activity.defn
    @explained
    async def retry_hosts(self, given: SteerInput) -> None:
        """Hosts are due once more; until then their last turn stands."""
        turns = {each.host: each.turn for each in given.hosts}
        await self.catalog.plans.again(given.deployment, turns)
