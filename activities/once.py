"""What a deployment asks of the control worker about hooks that run once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from apollo import names
from apollo.activities.deployments import check_lease, folder_of
from apollo.activities.explained import explained
from apollo.activities.host_keys import accepted_keys, keep_accepted, keys_of
from apollo.activities.trail import Trail, trace_of
from apollo.domain.environment import Environment
from apollo.domain.fleet import Host
from apollo.domain.once import (
    CANDIDATES,
    OnceCandidate,
    OnceHosts,
    OnceLoad,
    OnceRecord,
    hook_of,
    matching,
    step_of,
)
from apollo.domain.status import Serving
from apollo.domain.turn import OnceStep, TurnInput, longest_once

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog
    from apollo.catalog.records import HostRow, StoredDeployment


@dataclass
class OnceActivities:
    """The control worker's part: which hosts may run the hook, and how that went."""

    catalog: "Catalog"
    workers: Callable[[str], Awaitable[int]]
    """How many workers poll a queue."""
    trail: Trail = field(default_factory=Trail)

    @activity.defn
    @explained
    async def load_once(self, load: OnceLoad) -> OnceHosts:
        """The hosts that may run the hook, if the lease is still the deployment's."""
        stored = await self.catalog.deployments.by_uuid(load.deployment)
        await check_lease(self.catalog, stored, load.workflow_id, load.granted_ms)
        place = stored.application, stored.environment
        environment = await self.catalog.environments.planned(*place, stored.revision)
        setup = (await self.catalog.releases.get(stored.application, stored.release)).release.setup
        hook = hook_of(setup, load.when)
        if hook is None:
            raise ApplicationError(
                f"{stored.label} has no setup.once.{load.when}", type="Refused", non_retryable=True
            )
        rows = await self._rows(load, stored)
        keys = await self.catalog.keys.lines(*place)
        adopted = await self.catalog.adoptions.hosts(*place)
        owner = f"{await self.catalog.uuid()}/{stored.application}/{stored.environment}"
        step = OnceStep(step=step_of(load.when), hook=hook)
        matched = matching(environment.fleet, rows, hook.on)
        chosen = (await self._with_workers_first(matched, environment))[:CANDIDATES]
        hosts = [host for name in chosen if (host := environment.fleet.host(name))]
        return OnceHosts(
            candidates=tuple(
                OnceCandidate(
                    turn=_turn(stored, load, environment, host, rows[host.name], step).model_copy(
                        update={
                            "owner": owner,
                            "host_keys": keys_of(host, keys),
                            "adopt": host.name in adopted,
                        }
                    ),
                    own_workers=host.location in environment.own_workers,
                )
                for host in hosts
            ),
            limit=max(longest_once(setup.for_role(host.role), hook) for host in hosts)
            if hosts
            else longest_once(setup, hook),
        )

    async def _with_workers_first(
        self, matched: Sequence[str], environment: Environment
    ) -> list[str]:
        """A location without a worker must not hold the others up; they keep their order."""
        chosen = frozenset(matched)
        queues = {
            host.name: names.queue_of(host.location, environment.own_workers)
            for host in environment.fleet.hosts
            if host.name in chosen
        }
        if len(set(queues.values())) < 2:
            return list(matched)
        present = {queue: await self.workers(queue) > 0 for queue in set(queues.values())}
        return sorted(matched, key=lambda host: not present[queues[host]])

    async def _rows(self, load: OnceLoad, stored: "StoredDeployment") -> "dict[str, HostRow]":
        """The hosts that may run it: before, all that can have a turn; after, those it reached."""
        states = await self.catalog.hosts.states(stored.application, stored.environment)
        rows = await self.catalog.plans.rows(load.deployment, "forward", records=False)
        if load.when == "after":
            return {row.host: row for row in rows if row.outcome and row.outcome.good}
        disabled = {name for name, each in states.items() if each.serving is Serving.DISABLED}
        return {row.host: row for row in rows if row.host not in disabled}

    @activity.defn
    @explained
    async def record_once(self, given: OnceRecord) -> None:
        """Keep what the hook has printed on a host."""
        await self.catalog.outputs.record(given.deployment, [given.record])
        stored = await self.catalog.deployments.by_uuid(given.deployment)
        await keep_accepted(self.catalog, stored, accepted_keys([given.record]))
        await self.trail.once(stored, given.record)


def _turn(
    stored: "StoredDeployment",
    load: OnceLoad,
    environment: Environment,
    host: Host,
    row: "HostRow",
    step: OnceStep,
) -> TurnInput:
    """A journal of its own: before the host's first turn (number 0), or after its last."""
    return TurnInput(
        deployment=stored.uuid,
        label=stored.label,
        owner="",
        application=stored.application,
        environment=stored.environment,
        release=stored.release,
        previous_release=row.previous_release or "",
        wave=row.wave,
        turn=0 if load.when == "before" else row.next_turn,
        granted_ms=load.granted_ms,
        host=host,
        first_use=environment.first_use,
        manifest=row.manifest,
        folder=folder_of(stored),
        once=step,
        trace=trace_of(stored).id,
    )
