"""How activities are called: timeouts, retries and queues, in one place."""

from datetime import timedelta

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig

from apollo import names
from apollo.domain.keys import ScanInput
from apollo.domain.lending import PieceRequest
from apollo.domain.rollout import BatchInput
from apollo.domain.staging import StagingPage
from apollo.domain.sync import Page
from apollo.domain.turn import TurnInput

LEASE_HEARTBEAT = timedelta(seconds=10)
WORKER_WAIT = timedelta(seconds=30)
"""How long somebody who waits at a terminal is kept when no worker takes the work."""
LENT_WITHIN = timedelta(minutes=1)
"""How long a host worker waits for a piece of what the store holds before it asks again."""
CONTROL_HEARTBEAT = timedelta(seconds=30)
"""Planning a large fleet keeps a worker from giving signs of life for a while."""


def quick(summary: str) -> ActivityConfig:
    """Catalog work: retried until it succeeds, for its writes may be repeated."""
    return ActivityConfig(
        summary=summary,
        start_to_close_timeout=timedelta(minutes=2),
        heartbeat_timeout=CONTROL_HEARTBEAT,
        retry_policy=RetryPolicy(
            initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=20)
        ),
    )


def waiting(summary: str) -> ActivityConfig:
    """An activity that ends on a change, however long that takes."""
    return ActivityConfig(
        summary=summary,
        start_to_close_timeout=timedelta(days=365),
        heartbeat_timeout=LEASE_HEARTBEAT,
        retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10)),
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def listening(summary: str) -> ActivityConfig:
    """The same; nobody waits for its end when it is not needed any more."""
    ended = ActivityCancellationType.TRY_CANCEL
    return {**waiting(summary), "cancellation_type": ended}


def delivering(summary: str) -> ActivityConfig:
    """A webhook: told within a day, or not at all."""
    return ActivityConfig(
        summary=summary,
        start_to_close_timeout=timedelta(minutes=1),
        schedule_to_close_timeout=timedelta(days=1),
        heartbeat_timeout=CONTROL_HEARTBEAT,
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=10)
        ),
    )


def looking(page: Page) -> ActivityConfig:
    """A look at a page of hosts; what nobody does within minutes is not done."""
    return ActivityConfig(
        summary=f"{len(page.targets)} hosts{f' in {page.location}' if page.location else ''}",
        task_queue=names.hosts_queue(page.location),
        schedule_to_close_timeout=timedelta(minutes=5),
        heartbeat_timeout=CONTROL_HEARTBEAT,
        retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10)),
    )


def scanning(page: ScanInput) -> ActivityConfig:
    """A scan of a page of hosts' keys; somebody waits for it."""
    return ActivityConfig(
        summary=f"{len(page.targets)} hosts{f' in {page.location}' if page.location else ''}",
        task_queue=names.hosts_queue(page.location),
        schedule_to_start_timeout=WORKER_WAIT,
        schedule_to_close_timeout=timedelta(minutes=3),
        heartbeat_timeout=CONTROL_HEARTBEAT,
        retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10)),
    )


def staging(page: StagingPage, takeover: timedelta) -> ActivityConfig:
    """Staging ahead of a page of hosts; where nobody does it soon, their turns will."""
    return ActivityConfig(
        summary=f"{len(page.hosts.turns)} hosts{f' in {page.location}' if page.location else ''}",
        task_queue=names.hosts_queue(page.location),
        schedule_to_start_timeout=WORKER_WAIT,
        start_to_close_timeout=page.limit + timedelta(minutes=1),
        heartbeat_timeout=takeover,
        retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10), maximum_attempts=3),
    )


def reading(host: str, location: str, wait: timedelta) -> ActivityConfig:
    """A look at what a host's hooks print, by the location's own workers if it has some."""
    return ActivityConfig(
        summary=host,
        task_queue=names.hosts_queue(location),
        schedule_to_close_timeout=timedelta(minutes=2) + wait,
        heartbeat_timeout=CONTROL_HEARTBEAT,
        retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10)),
    )


def lending(request: PieceRequest) -> ActivityConfig:
    """A piece of what the store holds; a host worker waits for it, and asks again."""
    return ActivityConfig(
        summary=f"{request.sha256[:12]} from {request.start} on",
        schedule_to_close_timeout=LENT_WITHIN,
        heartbeat_timeout=CONTROL_HEARTBEAT,
        retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=5)),
    )


def once_options(
    turn: TurnInput, own_workers: bool, limit: timedelta, takeover: timedelta
) -> ActivityConfig:
    """A hook that runs once, on one host: as a turn is called."""
    summary = f"{turn.once.step if turn.once else ''} on {turn.host.name}"
    return {**_on_a_host(turn, own_workers, limit, takeover), "summary": summary}


def turn_options(turn: TurnInput, own_workers: bool, batch: BatchInput) -> ActivityConfig:
    """A host's turn: attempts without number within its limit; a lost worker's is taken over."""
    options = _on_a_host(turn, own_workers, batch.turn_limit, batch.takeover)
    return {**options, "summary": turn.host.name, "activity_id": turn.activity_id}


def _on_a_host(
    turn: TurnInput, own_workers: bool, limit: timedelta, takeover: timedelta
) -> ActivityConfig:
    return ActivityConfig(
        task_queue=names.hosts_queue(turn.host.location if own_workers else None),
        schedule_to_close_timeout=limit,
        heartbeat_timeout=takeover,
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=15)
        ),
        cancellation_type=ActivityCancellationType.ABANDON,
    )
