"""What hooks print while they run: whose turn it is, and what is on the host."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from apollo.activities.explained import explained
from apollo.activities.heartbeats import heartbeats
from apollo.activities.host_keys import keys_of
from apollo.domain.logs import HostLog, LogRead, LogRequest, LogTarget
from apollo.domain.manifest import Manifest
from apollo.domain.status import Outcome
from apollo.errors import NotFound, TurnError
from apollo.ports import ReadPrinted

if TYPE_CHECKING:
    from apollo.artifacts.store import Store
    from apollo.catalog.catalog import Catalog


@dataclass
class LogActivities:
    """The control worker's part: it knows the catalog and the store, and no host."""

    catalog: "Catalog"
    store: "Store"

    @activity.defn
    @explained
    async def find_turn(self, given: LogRequest) -> LogTarget:
        """The host, if a deployment that runs has a turn for it that has not ended.

        One of which something was seen already is found once more when it has.
        """
        place = given.application, given.environment
        if given.deployment:
            candidates = [await self.catalog.deployments.by_uuid(given.deployment)]
        else:
            candidates = await self.catalog.deployments.running(*place)
        for stored in candidates:
            rows = await self.catalog.plans.rows(stored.uuid)
            mine = [row for row in rows if row.host == given.host]
            ended = not mine or mine[-1].outcome not in (None, Outcome.UNREACHABLE)
            if not mine or (ended and not given.deployment):
                continue
            environment = await self.catalog.environments.planned(*place, stored.revision)
            digest = mine[-1].manifest or mine[-1].previous_manifest
            host = environment.fleet.host(given.host)
            if host is None or digest is None:
                continue
            manifest = Manifest.model_validate_json(await self.store.get_bytes(digest))
            return LogTarget(
                label=stored.label,
                deployment=stored.uuid,
                under_way=not (ended or stored.state.ended),
                host=host,
                host_keys=keys_of(host, await self.catalog.keys.lines(*place)),
                first_use=environment.first_use,
                own_workers=host.location in environment.own_workers,
                root=manifest.root,
            )
        await self._check(given)
        return LogTarget()

    async def _check(self, given: LogRequest) -> None:
        place = given.application, given.environment
        environment = (await self.catalog.environments.get(*place)).environment
        if environment.fleet.host(given.host) is None:
            raise NotFound(f"{environment.label} has no host {given.host}", hint="see apollo hosts")


@dataclass
class PrintedActivities:
    """The host workers' part: they know the hosts and no catalog."""

    read_printed: ReadPrinted

    @activity.defn
    async def read_log(self, given: LogRead) -> HostLog:
        """Read what the hooks of the host's turn have printed; nothing is changed there.

        Raises:
            ApplicationError: The host cannot be reached, or what it says cannot be shown.
        """
        try:
            with heartbeats():
                return await self.read_printed(given)
        except TurnError as error:
            raise ApplicationError(
                error.message,
                type=error.code,
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            ) from error
