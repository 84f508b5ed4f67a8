"""A worker: polls for workflows and control work, for hosts' turns, or for both."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from apollo import names
from apollo.activities.deployments import DeploymentActivities
from apollo.activities.hosts import HostActivities
from apollo.activities.sync import LookActivities, SyncActivities
from apollo.balancers import build_balancer
from apollo.hosts.look import Looker
from apollo.hosts.secrets import ReferenceSecrets
from apollo.hosts.session import SshHosts
from apollo.hosts.turn import TurnRunner
from apollo.settings import Settings
from apollo.telemetry import configure_logging
from apollo.wiring import StoredManifests, connect_temporal, open_catalog, open_store
from apollo.workers.attributes import ensure_search_attributes
from apollo.workflows.batch import Batch
from apollo.workflows.deployment import Deployment
from apollo.workflows.look import Look

Role = Literal["control", "hosts", "all"]
WORKFLOWS = (Deployment, Batch, Look)


async def run_worker(settings: Settings, role: Role = "all", locations: Sequence[str] = ()) -> None:
    """Work until SIGTERM or SIGINT; turns are handed over within the grace.

    Raises:
        Unavailable: Temporal, the catalog or the store does not answer.
    """
    configure_logging()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = await connect_temporal(settings)
    async with running(client, settings, role, locations):
        await stop.wait()


@asynccontextmanager
async def running(
    client: Client, settings: Settings, role: Role = "all", locations: Sequence[str] = ()
) -> AsyncIterator[None]:
    """The workers of one process while the context is open."""
    async with AsyncExitStack() as stack:
        if role in ("control", "all"):
            catalog = await stack.enter_async_context(open_catalog(settings))
            await ensure_search_attributes(client)
            takeover = timedelta(seconds=settings.takeover)
            control = DeploymentActivities(catalog, open_store(settings), client, takeover)
            await stack.enter_async_context(_control_worker(client, control, settings))
        if role in ("hosts", "all"):
            runner = _runner(settings)
            turns, looks = HostActivities(runner), LookActivities(Looker(runner.hosts))
            queues = [f"{names.HOSTS_QUEUE}-{location}" for location in locations]
            if role == "all" or not queues:
                queues.append(names.HOSTS_QUEUE)
            for queue in queues:
                await stack.enter_async_context(
                    _hosts_worker(client, [turns.turn, looks.look], queue, settings)
                )
        yield


def _control_worker(client: Client, control: DeploymentActivities, settings: Settings) -> Worker:
    sync = SyncActivities(control.catalog, control.client)
    return Worker(
        client,
        task_queue=names.CONTROL_QUEUE,
        workflows=WORKFLOWS,
        activities=[
            control.open,
            control.await_lease,
            control.load_batch,
            control.record,
            control.set_state,
            control.record_control,
            control.plan_rollback,
            control.close,
            sync.survey,
            sync.judge,
        ],
        identity=_identity("control"),
        max_concurrent_workflow_tasks=20,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=settings.takeover),
        graceful_shutdown_timeout=timedelta(seconds=settings.grace),
    )


def _hosts_worker(
    client: Client, activities: Sequence[Callable[..., Any]], queue: str, settings: Settings
) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        activities=activities,
        identity=_identity(queue),
        max_concurrent_activities=settings.slots,
        activity_task_poller_behavior=PollerBehaviorAutoscaling(maximum=20),
        graceful_shutdown_timeout=timedelta(seconds=settings.grace),
    )


def _runner(settings: Settings) -> TurnRunner:
    return TurnRunner(
        hosts=SshHosts(key=settings.ssh_key),
        manifests=StoredManifests(open_store(settings)),
        secrets=ReferenceSecrets(tuple(settings.allow_secrets)),
        build_balancer=build_balancer,
    )


def _identity(what: str) -> str:
    return f"{what}@{socket.gethostname()}:{os.getpid()}"
