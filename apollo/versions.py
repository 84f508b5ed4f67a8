"""The builds of Apollo whose workers serve a cluster: which is current, and what ends on which."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import RoutingConfigUpdateState
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from apollo import names
from apollo.cluster import ABSENT, pollers
from apollo.domain.environment import Environment
from apollo.errors import Refused, Unavailable

_PAUSE = 0.25
_SPREAD = 60.0
"""Seconds that the server may take to tell all its queues, however short one wants to wait."""
_NOT_YET = (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION)
_UNDER_WAY = RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_IN_PROGRESS


@dataclass(frozen=True)
class Version:
    """A build, as Temporal knows it."""

    build: str
    current: bool
    """Whether deployments begin on it."""
    running: int
    """Workflows that end on it, and on no other."""
    deployments: tuple[str, ...]
    """The deployments among them by their labels; those that wait for a number by their ids."""
    queues: tuple[str, ...]
    """Those that its workers poll now."""

    @property
    def needless(self) -> bool:
        """Whether its workers may be taken down."""
        return not self.current and not self.running


@dataclass(frozen=True)
class Switched:
    """How a switch went."""

    build: str
    previous: str
    """The build that was current before; empty when there was none."""


def queues_needed(environments: Iterable[Environment]) -> list[str]:
    """The queues without which some deployment to these environments would wait."""
    found = {names.hosts_queue()}
    for each in environments:
        here = each.fleet.locations()
        found |= {names.hosts_queue(place) for place in each.own_workers if place in here}
    return [names.CONTROL_QUEUE, *sorted(found)]


async def current_build(client: Client) -> str | None:
    """The build on which deployments begin; empty: none yet, none: no worker has a build.

    Raises:
        Unavailable: The server does not say.
    """
    info = await _described(client)
    return None if info is None else _current(info)


async def versions(client: Client, queues: Sequence[str] = ()) -> list[Version]:
    """The builds that the server knows, the newest first; who polls is looked up for `queues`.

    Raises:
        Unavailable: The server does not say.
    """
    info = await _described(client)
    if info is None:
        return []
    polled = {queue: await _builds(client, queue) for queue in queues}
    summaries = sorted(
        info.version_summaries, key=lambda each: each.create_time.ToNanoseconds(), reverse=True
    )
    return [
        await _version(client, each.deployment_version.build_id, _current(info), polled)
        for each in summaries
    ]


async def switch(
    client: Client,
    build: str,
    queues: Sequence[str],
    *,
    by: str,
    wait: timedelta,
    force: bool = False,
) -> Switched:
    """Let deployments begin on a build from now on; those under way end where they began.

    Raises:
        Refused: No worker of the build polls one of the queues within `wait`; not with `force`.
        Unavailable: The server does not answer, or does not spread the word in time.
    """
    deadline = time.monotonic() + wait.total_seconds()
    while (missing := await _missing(client, build, queues)) and not force:
        if time.monotonic() > deadline:
            raise _incomplete(build, missing)
        await asyncio.sleep(_PAUSE)
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace,
        deployment_name=names.WORKERS,
        build_id=build,
        identity=by,
        ignore_missing_task_queues=force,
        allow_no_pollers=force,
    )
    deadline = max(deadline, time.monotonic() + _SPREAD)
    previous = await _made_current(client, request, deadline)
    await _spread(client, build, deadline)
    return Switched(build, previous)


async def _made_current(
    client: Client, request: SetWorkerDeploymentCurrentVersionRequest, deadline: float
) -> str:
    """The build before; a server tells who polls before it knows the build that they are of."""
    while True:
        try:
            answer = await client.workflow_service.set_worker_deployment_current_version(request)
        except RPCError as error:
            if error.status not in _NOT_YET:
                raise _unavailable(client, error) from error
            if time.monotonic() > deadline:
                raise Refused(
                    f"Temporal does not make build {request.build_id} current: {error.message}",
                    hint="apollo cluster versions shows the builds; --force switches all the same",
                ) from error
        else:
            return answer.previous_deployment_version.build_id
        await asyncio.sleep(_PAUSE)


async def _spread(client: Client, build: str, deadline: float) -> None:
    """Wait until no queue gives new work to the build before."""
    while True:
        info = await _described(client)
        if info and _current(info) == build and info.routing_config_update_state != _UNDER_WAY:
            return
        if time.monotonic() > deadline:
            raise Unavailable(
                f"build {build} is current, but Temporal has not told all its queues yet",
                hint="look again with apollo cluster versions; what begins meanwhile may begin "
                "on the build before, and ends there",
            )
        await asyncio.sleep(_PAUSE)


async def _described(client: Client) -> WorkerDeploymentInfo | None:
    request = DescribeWorkerDeploymentRequest(
        namespace=client.namespace, deployment_name=names.WORKERS
    )
    try:
        answer = await client.workflow_service.describe_worker_deployment(request)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise _unavailable(client, error) from error
    return answer.worker_deployment_info


def _current(info: WorkerDeploymentInfo) -> str:
    return str(info.routing_config.current_deployment_version.build_id)


async def _version(
    client: Client, build: str, current: str, polled: dict[str, set[str]]
) -> Version:
    pinned = (
        f"TemporalWorkerDeploymentVersion = '{names.WORKERS}:{build}' AND "
        "TemporalWorkflowVersioningBehavior = 'Pinned' AND ExecutionStatus = 'Running'"
    )
    try:
        running = (await client.count_workflows(pinned)).count
        deployments = [
            each.typed_search_attributes.get(names.DEPLOYMENT) or each.id
            async for each in client.list_workflows(f"{pinned} AND WorkflowType = 'Deployment'")
        ]
    except RPCError as error:
        raise _unavailable(client, error) from error
    return Version(
        build=build,
        current=build == current,
        running=running,
        deployments=tuple(sorted(deployments)),
        queues=tuple(queue for queue, builds in polled.items() if build in builds),
    )


async def _builds(client: Client, queue: str) -> set[str]:
    now = datetime.now(UTC)
    return {each.build for each in await pollers(client, queue) if now - each.seen < ABSENT}


async def _missing(client: Client, build: str, queues: Sequence[str]) -> list[str]:
    return [queue for queue in queues if build not in await _builds(client, queue)]


def _incomplete(build: str, missing: Sequence[str]) -> Refused:
    queue = missing[0]
    location = queue.removeprefix(names.HOSTS_QUEUE).removeprefix("-")
    flags = "--role control" if queue == names.CONTROL_QUEUE else "--role hosts"
    flags += f" --locations {location}" if location and queue != names.CONTROL_QUEUE else ""
    return Refused(
        f"no worker of build {build} polls {', '.join(missing)}: deployments would wait there",
        hint=f"APOLLO_BUILD_ID={build} apollo worker {flags}; --force switches all the same",
    )


def _unavailable(client: Client, error: RPCError) -> Unavailable:
    return Unavailable(
        f"Temporal does not tell of workers' builds in {client.namespace}: {error.message}",
        hint="see that you may look at worker deployments, and that the server knows them: builds "
        "were tested with Temporal 1.32",
    )
