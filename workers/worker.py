"""A worker: polls for workflows and control work, for hosts' turns, or for both."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from apollo import names
from apollo.activities.deployments import DeploymentActivities
from apollo.activities.hosts import HostActivities
from apollo.activities.notifications import NotificationActivities
from apollo.activities.once import OnceActivities
from apollo.activities.promotions import PromotionActivities
from apollo.activities.sync import LookActivities, SyncActivities
from apollo.balancers import build_balancer
from apollo.cluster import ensure_search_attributes, usable
from apollo.hosts.look import Looker
from apollo.hosts.secrets import ReferenceSecrets
from apollo.hosts.session import SshHosts
from apollo.hosts.turn import TurnRunner
from apollo.links import temporal_link
from apollo.pulse import beating
from apollo.settings import Settings
from apollo.telemetry import configure_logging
from apollo.webhooks import post
from apollo.wiring import StoredManifests, connect_temporal, open_catalog, open_store
from apollo.workflows.batch import Batch
from apollo.workflows.deployment import Deployment
from apollo.workflows.look import Look
from apollo.workflows.notification import Notification
from apollo.workflows.promotion import Promotion

Role = Literal["control", "hosts", "all"]
WORKFLOWS = (Deployment, Batch, Promotion, Notification, Look)


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
    async with running(client, settings, role, locations), beating(settings.home, role):
        await stop.wait()


@asynccontextmanager
async def running(
    client: Client, settings: Settings, role: Role = "all", locations: Sequence[str] = ()
) -> AsyncIterator[None]:
    """The workers of one process while the context is open."""
    async with AsyncExitStack() as stack:
        if role in ("control", "all"):
            catalog = await stack.enter_async_context(open_catalog(settings))
            if not await usable(client):  # some servers let nobody list or make them
                await ensure_search_attributes(client)
            takeover = timedelta(seconds=settings.takeover)
            control = DeploymentActivities(catalog, open_store(settings), client, takeover)
            promotions = PromotionActivities(catalog, client)
            notifications = NotificationActivities(
                catalog, _secrets(settings), partial(temporal_link, settings), post
            )
            offered = (
                control,
                OnceActivities(catalog),
                promotions,
                SyncActivities(catalog, client),
                notifications,
            )
            await stack.enter_async_context(_control_worker(client, settings, *offered))
        if role in ("hosts", "all"):
            runner = _runner(settings)
            turns, looks = HostActivities(runner), LookActivities(Looker(runner.hosts))
            queues = [f"{names.HOSTS_QUEUE}-{location}" for location in locations]
            if role == "all" or not queues:
                queues.append(names.HOSTS_QUEUE)
            for queue in queues:
                await stack.enter_async_context(
                    _hosts_worker(client, settings, queue, turns, looks)
                )
        yield


def activities_of(*offered: object) -> list[Callable[..., Any]]:
    """All activities that these objects have as methods."""
    methods = [getattr(each, name) for each in offered for name in dir(type(each))]
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]


def _control_worker(client: Client, settings: Settings, *offered: object) -> Worker:
    return Worker(
        client,
        task_queue=names.CONTROL_QUEUE,
        workflows=WORKFLOWS,
        activities=activities_of(*offered),
        identity=_identity("control"),
        max_concurrent_workflow_tasks=20,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=settings.takeover),
        graceful_shutdown_timeout=timedelta(seconds=settings.grace),
    )


def _hosts_worker(client: Client, settings: Settings, queue: str, *offered: object) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        activities=activities_of(*offered),
        identity=_identity(queue),
        max_concurrent_activities=settings.slots,
        activity_task_poller_behavior=PollerBehaviorAutoscaling(maximum=20),
        graceful_shutdown_timeout=timedelta(seconds=settings.grace),
    )


def _runner(settings: Settings) -> TurnRunner:
    return TurnRunner(
        hosts=SshHosts(key=settings.ssh_key),
        manifests=StoredManifests(open_store(settings)),
        secrets=_secrets(settings),
        build_balancer=build_balancer,
    )


def _secrets(settings: Settings) -> ReferenceSecrets:
    return ReferenceSecrets(tuple(settings.allow_secrets))


def _identity(what: str) -> str:
    return f"{what}@{socket.gethostname()}:{os.getpid()}"
