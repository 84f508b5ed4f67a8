"""What histories weigh: events and payloads, read from the server when all has ended."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

COUNTED = ("turn", "nothing")
"""The activity of a host, and the one that is empty."""


@dataclass(frozen=True)
class Weight:
    """The histories of a deployment and of all that it started."""

    events: int
    largest_history: int
    largest_payload: int
    heaviest: str
    """Which event brought the largest payload."""
    ends: tuple[float, ...] = ()
    """When turns ended, by the server's clock, in order."""

    @property
    def dense(self) -> float:
        """Turns that ended per second, but for the first and the last fifth of them.

        Then no wave begins or ends, if the last one is large.
        """
        middle = self.ends[len(self.ends) // 5 : len(self.ends) - len(self.ends) // 5]
        return len(middle) / (middle[-1] - middle[0])


async def weigh(client: Client, deployment: str) -> Weight:
    """Read every event of every workflow whose id begins with the deployment's."""
    total = longest = 0
    ends: list[float] = []
    heaviest = (0, "")
    async for found in client.list_workflows(f"WorkflowId STARTS_WITH '{deployment}'"):
        handle = client.get_workflow_handle(found.id, run_id=found.run_id)
        events = [event async for event in handle.fetch_history_events()]
        total, longest = total + len(events), max(longest, len(events))
        ends += _ends(events)
        for event in events:
            size = max(payloads(event), default=0)
            if size > heaviest[0]:
                heaviest = size, f"{found.workflow_type} {_kind(event, events)}"
    return Weight(total, longest, *heaviest, ends=tuple(sorted(ends)))


def _ends(events: list[HistoryEvent]) -> Iterator[float]:
    for event in events:
        done = event.activity_task_completed_event_attributes.scheduled_event_id
        failed = event.activity_task_failed_event_attributes.scheduled_event_id
        if not (done or failed):
            continue
        scheduled = events[(done or failed) - 1].activity_task_scheduled_event_attributes
        if scheduled.activity_type.name in COUNTED:
            yield event.event_time.ToNanoseconds() / 1e9


def _kind(event: HistoryEvent, events: list[HistoryEvent]) -> str:
    """What the event is about."""
    kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
    completed = event.activity_task_completed_event_attributes.scheduled_event_id
    scheduled = events[completed - 1] if completed else event
    name = scheduled.activity_task_scheduled_event_attributes.activity_type.name
    return f"{kind} {name}".strip()


def payloads(message: Message) -> Iterator[int]:
    """The size of every payload, or set of payloads, in a message."""
    if isinstance(message, Payload | Payloads):
        yield message.ByteSize()
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = [value[key] for key in value]
            yield from (
                size for each in values if isinstance(each, Message) for size in payloads(each)
            )
        elif field.is_repeated:
            yield from (size for each in value for size in payloads(each))
        else:
            yield from payloads(value)
