"""Schedules, as a terminal and as JSON show them."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from apollo.cli.render.terminal import Cell, columns, count, moment
from apollo.domain.schedule import ScheduleStatus
from apollo.files.mistakes import one_line


def render_schedule(schedule: ScheduleStatus) -> Iterator[Cell]:
    """What it starts and when, the next times, the last results."""
    zone = f" {schedule.timezone}" if schedule.cron else ""
    yield f"{schedule.label}  {schedule.change}, {one_line(schedule.times)}{zone}"
    rows = [("paused", one_line(schedule.note))] if schedule.paused else []
    rows += [
        ("next" if not schedule.paused else "held", f"{at.isoformat()} = {moment(at)}")
        for at in schedule.next
    ]
    rows += [
        ("last", f"{moment(run.started_at)} {run.state}, {run.workflow_id}")
        for run in schedule.runs
    ]
    if schedule.skipped:
        rows.append(("skipped", f"{count(schedule.skipped, 'time')}: the one before still ran"))
    if schedule.missed:
        rows.append(("missed", f"{count(schedule.missed, 'time')}: Temporal was not there"))
    yield from columns(rows, indent="  ")


def schedule_json(schedule: ScheduleStatus) -> dict[str, Any]:
    """A schedule as a JSON object; times in its own zone and in UTC."""
    document = schedule.model_dump(mode="json", by_alias=True, exclude={"next", "every"})
    return {
        **document,
        "every": schedule.every.total_seconds() if schedule.every else None,
        "next": [
            {"local": at.isoformat(), "utc": at.astimezone(UTC).isoformat()} for at in schedule.next
        ],
    }
