"""Who polls which queue, as a terminal and as JSON show it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from apollo.cli.render.terminal import Cell, clock, columns, moment
from apollo.client.polling import QueueWorkers, Waiting
from apollo.files.mistakes import one_line


def render_workers(found: Sequence[QueueWorkers]) -> Iterator[Cell]:
    """A line for each worker of each queue."""
    now = datetime.now(UTC)
    rows: list[Sequence[Cell]] = [("QUEUE", "WORKER", "BUILD", "SEEN")]
    for each in found:
        note = "" if each.needed else f" ({each.location} has no own_workers)"
        for poller in each.here:
            seen = f"{clock(now - poller.seen)} ago"
            rows.append((each.queue, f"{one_line(poller.identity)}{note}", poller.code, seen))
        if not each.here:
            last = each.known[0] if each.known else None
            seen = f"{one_line(last.identity)} until {moment(last.seen)}" if last else ""
            rows.append((each.queue, f"nobody: {each.command}", "", seen))
    yield from columns(rows)


def workers_json(each: QueueWorkers) -> dict[str, Any]:
    """A queue as a JSON object."""
    here = set(each.here)
    return {
        "queue": each.queue,
        "role": "control" if each.command.endswith("control") else "hosts",
        "location": each.location or None,
        "needed": each.needed,
        "polled": bool(here),
        "workers": [
            {
                "identity": poller.identity,
                "build": poller.code or None,
                "seen_at": moment(poller.seen),
                "present": poller in here,
            }
            for poller in each.known
        ],
    }


def waiting_json(each: Waiting) -> dict[str, Any]:
    """What waits for workers, as a JSON object."""
    return {
        "queue": each.queue,
        "location": each.location or None,
        "turns": each.turns,
        "since": moment(each.since),
        "workers": len(each.workers.here),
        "text": each.text,
    }
