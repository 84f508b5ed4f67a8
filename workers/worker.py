"""A worker: polls for workflows and control work, for hosts' turns, or for both."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Literal, TypedDict

from temporalio.client import Client
from temporalio.common import VersioningBehavior
from temporalio.worker import (
    PollerBehaviorAutoscaling,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkerDeploymentConfig,
)

from apollo import __version__, names
from apollo.activities.alarms import AlarmActivities
from apollo.activities.deployments import DeploymentActivities
from apollo.activities.host_keys import KeyActivities, ScanActivities
from apollo.activities.hosts import HostActivities
from apollo.activities.lending import LendingActivities
from apollo.activities.logs import LogActivities, PrintedActivities
from apollo.activities.notifications import NotificationActivities
from apollo.activities.once import OnceActivities
from apollo.activities.progress import ProgressActivities
from apollo.activities.promotions import PromotionActivities
from apollo.activities.staging import StagingActivities
from apollo.activities.standings import Standings, asked
from apollo.activities.steering import SteeringActivities
from apollo.activities.sync import LookActivities, SyncActivities
from apollo.activities.trail import Trail
from apollo.alarms import AlarmReader
from apollo.artifacts.store import Readable
from apollo.balancers import Lines, build_balancer
from apollo.cluster import ensure_search_attributes, present, usable
from apollo.errors import Unavailable
from apollo.hosts.look import Looker
from apollo.hosts.printed import PrintedReader
from apollo.hosts.scan import scan
from apollo.hosts.secrets import ReferenceSecrets
from apollo.hosts.session import SshHosts
from apollo.hosts.turn import TurnRunner
from apollo.lent import borrowed, borrows
from apollo.links import temporal_link
from apollo.ports import Hosts
from apollo.pulse import beating
from apollo.settings import Settings
from apollo.telemetry.exporting import metering, temporal_runtime, tracing
from apollo.telemetry.logs import configure_logging
from apollo.telemetry.metrics import BUDGET_LEFT, HOSTS_DRAINED, HOSTS_OUT
from apollo.webhooks import post
from apollo.wiring import StoredManifests, connect_temporal, open_catalog, open_store
from apollo.workflows.batch import Batch
from apollo.workflows.deployment import Deployment
from apollo.workflows.logs import Logs
from apollo.workflows.look import Look
from apollo.workflows.moving import MovingPromotion
from apollo.workflows.notification import Notification
from apollo.workflows.piece import Piece
from apollo.workflows.promotion import Promotion
from apollo.workflows.scan import ScanKeys
from apollo.workflows.staging import StageAhead

Role = Literal["control", "hosts", "all"]
WORKFLOWS = (
    *(Deployment, Batch, StageAhead, Promotion, Notification),
    *(Look, Logs, ScanKeys, Piece),
)
SERVICE = "apollo-worker"
"""What traces and metrics call it, unless `OTEL_SERVICE_NAME` does."""
BUILD = f"apollo-{__version__}"
"""The SDK would hash the code of all loaded modules at each start, for seconds, to make one up."""
YOUNG = 100_000
"""New objects after which Python looks for garbage among them; its default, 700, comes several
times in each turn."""
MOVING: dict[type, type] = {Promotion: MovingPromotion}
"""What takes the place of workflows, where workers have builds, to move on to the newest."""


class _Version(TypedDict, total=False):
    build_id: str
    deployment_config: WorkerDeploymentConfig


async def run_worker(settings: Settings, role: Role = "all", locations: Sequence[str] = ()) -> None:
    """Work until SIGTERM or SIGINT; turns are handed over within the grace.

    Raises:
        Unavailable: Temporal, the catalog or the store does not answer.
    """
    configure_logging()
    collect_rarely()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with tracing(SERVICE), metering(SERVICE):
        client = await connect_temporal(settings, runtime=temporal_runtime(SERVICE))
        async with running(client, settings, role, locations), beating(settings.home, role):
            await stop.wait()


def collect_rarely() -> None:
    """Have Python look for garbage less often: what a turn leaves behind goes without a look."""
    gc.freeze()
    gc.set_threshold(YOUNG)


@asynccontextmanager
async def running(
    client: Client,
    settings: Settings,
    role: Role = "all",
    locations: Sequence[str] = (),
    hosts: Hosts | None = None,
) -> AsyncIterator[None]:
    """The workers of one process while the context is open; `hosts` are reached by SSH."""
    async with AsyncExitStack() as stack:
        workers: list[Worker] = []
        if role in ("control", "all"):
            workers.append(await _control(stack, client, settings))
        if role in ("hosts", "all"):
            store = borrowed(client, settings) if borrows(settings, role) else open_store(settings)
            runner = _runner(settings, hosts or _ssh(settings), store)
            turns = HostActivities(runner)
            stack.enter_context(HOSTS_DRAINED.observed(turns.drained))
            offers = (
                turns,
                StagingActivities(runner),
                LookActivities(Looker(runner.hosts)),
                PrintedActivities(PrintedReader(runner.hosts, runner.secrets)),
                ScanActivities(scan),
            )
            queues = [names.hosts_queue(location) for location in locations]
            if role == "all" or not queues:
                queues.append(names.hosts_queue())
            workers += [hosts_worker(client, settings, queue, *offers) for queue in queues]
        for worker in workers:
            await stack.enter_async_context(worker)
        try:
            yield
        finally:  # all at once: they share the grace
            await asyncio.gather(*(worker.shutdown() for worker in workers))


async def _control(stack: AsyncExitStack, client: Client, settings: Settings) -> Worker:
    """The control worker of this process, with its catalog open as long as the stack."""
    catalog = await stack.enter_async_context(open_catalog(settings))
    if not await usable(client):  # some servers let nobody list or make them
        await ensure_search_attributes(client)
    standings = Standings(catalog)
    stack.enter_context(HOSTS_OUT.observed(asked(standings.hosts_out)))
    stack.enter_context(BUDGET_LEFT.observed(asked(standings.budget_left)))
    takeover, store = timedelta(seconds=settings.takeover), open_store(settings)
    trail = Trail(settings.trace_turns)
    reader = AlarmReader(_secrets(settings), tuple(settings.allow_commands))
    polling = partial(present, client, build=settings.build_id)
    return control_worker(
        client,
        settings,
        versioned(WORKFLOWS) if settings.build_id else WORKFLOWS,
        DeploymentActivities(catalog, store, client, takeover, settings.pull_above, trail),
        OnceActivities(catalog, polling, trail),
        ProgressActivities(catalog, polling, settings.build_id),
        SteeringActivities(catalog),
        KeyActivities(catalog),
        LogActivities(catalog, store),
        LendingActivities(store),
        PromotionActivities(catalog, client),
        SyncActivities(catalog, client),
        AlarmActivities(catalog, reader),
        NotificationActivities(catalog, _secrets(settings), partial(temporal_link, settings), post),
    )


def activities_of(*offered: object) -> list[Callable[..., Any]]:
    """All activities that these objects have as methods."""
    methods = [getattr(each, name) for each in offered for name in dir(type(each))]
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]


def versioned(workflows: Sequence[type]) -> list[type]:
    """The workflows of workers that have builds: pinned, but for those that move on."""
    return [MOVING.get(each, each) for each in workflows]


def control_worker(
    client: Client, settings: Settings, workflows: Sequence[type], *offered: object
) -> Worker:
    """The worker of workflows and of what they ask of the catalog.

    Without the SDK's sandbox, in which each of the workflows' steps takes more than twice as long:
    what it watches over, the tests see to (docs/decisions/0009-no-sandbox.md). Python can only do
    one of them at a time: where more would wait, what comes meanwhile makes one step together. No
    payload is stored elsewhere, for which the SDK would have a task of its own for each.
    """
    return Worker(
        client,
        task_queue=names.CONTROL_QUEUE,
        workflows=workflows,
        activities=activities_of(*offered),
        workflow_runner=UnsandboxedWorkflowRunner(),
        identity=_identity("control"),
        **_version(settings),
        max_concurrent_workflow_tasks=2,
        max_workflow_task_external_storage_concurrency=1,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=settings.takeover),
        graceful_shutdown_timeout=timedelta(seconds=settings.grace),
    )


def hosts_worker(client: Client, settings: Settings, queue: str, *offered: object) -> Worker:
    """The worker of what is done on hosts."""
    return Worker(
        client,
        task_queue=queue,
        activities=activities_of(*offered),
        identity=_identity(queue),
        **_version(settings),
        max_concurrent_activities=settings.slots,
        activity_task_poller_behavior=PollerBehaviorAutoscaling(maximum=20),
        graceful_shutdown_timeout=timedelta(seconds=settings.grace),
    )


def _version(settings: Settings) -> _Version:
    """What the worker tells Temporal of its code; with a build, what begins on it ends on it."""
    if not settings.build_id:
        return {"build_id": BUILD}
    return {
        "deployment_config": WorkerDeploymentConfig(
            version=names.version(settings.build_id),
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.PINNED,
        )
    }


def _ssh(settings: Settings) -> SshHosts:
    return SshHosts(
        key=settings.ssh_key,
        passphrase=_passphrase(settings),
        handshakes=settings.ssh_handshakes,
        jump_handshakes=settings.ssh_jump_handshakes,
    )


def _runner(settings: Settings, hosts: Hosts, store: Readable) -> TurnRunner:
    return TurnRunner(
        hosts=hosts,
        manifests=StoredManifests(store, settings.store_public_url.rstrip("/")),
        secrets=_secrets(settings),
        build_balancer=partial(
            build_balancer,
            allowed=tuple(settings.allow_commands),
            lines=Lines(settings.ssh_key, _passphrase(settings)),
        ),
    )


def _passphrase(settings: Settings) -> str | None:
    """The worker's own setting may name whatever it likes.

    Raises:
        Unavailable: It is not there.
    """
    if not settings.ssh_passphrase:
        return None
    try:
        found = ReferenceSecrets(("file:", "env:", "command:")).resolve(
            {"passphrase": settings.ssh_passphrase}
        )
    except ValueError as error:
        hint = "see APOLLO_SSH_PASSPHRASE: file:PATH, env:NAME or command:WORDS"
        raise Unavailable(str(error), hint=hint) from error
    return found["passphrase"]


def _secrets(settings: Settings) -> ReferenceSecrets:
    return ReferenceSecrets(tuple(settings.allow_secrets))


def _identity(what: str) -> str:
    return f"{what}@{socket.gethostname()}:{os.getpid()}"
