"""How activities are called: timeouts, retries and queues, in one place."""

from datetime import timedelta

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig

from apollo import names
from apollo.domain.rollout import BatchInput
from apollo.domain.sync import Page
from apollo.domain.turn import TurnInput

LEASE_HEARTBEAT = timedelta(seconds=10)
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
        task_queue=f"{names.HOSTS_QUEUE}-{page.location}" if page.location else names.HOSTS_QUEUE,
        schedule_to_close_timeout=timedelta(minutes=5),
        heartbeat_timeout=CONTROL_HEARTBEAT,
        retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10)),
    )


def once_options(
    turn: TurnInput, own_workers: bool, limit: timedelta, takeover: timedelta
) -> ActivityConfig:
    """A hook that runs once, on one host: as a turn is called."""
    location = turn.host.location
    return ActivityConfig(
        summary=f"{turn.once.step if turn.once else ''} on {turn.host.name}",
        task_queue=f"{names.HOSTS_QUEUE}-{location}" if own_workers else names.HOSTS_QUEUE,
        schedule_to_close_timeout=limit,
        heartbeat_timeout=takeover,
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=15)
        ),
        cancellation_type=ActivityCancellationType.ABANDON,
    )


def turn_options(turn: TurnInput, own_workers: bool, batch: BatchInput) -> ActivityConfig:
    """A host's turn: attempts without number within its limit; a lost worker's is taken over."""
    location = turn.host.location
    return ActivityConfig(
        summary=turn.host.name,
        activity_id=turn.activity_id,
        task_queue=f"{names.HOSTS_QUEUE}-{location}" if own_workers else names.HOSTS_QUEUE,
        schedule_to_close_timeout=batch.turn_limit,
        heartbeat_timeout=batch.takeover,
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=15)
        ),
        cancellation_type=ActivityCancellationType.ABANDON,
    )
