"""Between Temporal's schedules and Apollo's words: specs written, descriptions read, checks."""

import difflib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionResult,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleInfo,
    ScheduleIntervalSpec,
    ScheduleRange,
    ScheduleSpec,
    WorkflowExecutionStatus,
)
from temporalio.service import RPCError, RPCStatusCode

from apollo.domain.base import format_duration, parse_duration
from apollo.domain.cron import Cron, runs
from apollo.domain.schedule import SHORTEST, SYNC, ScheduleRun, ScheduleStatus
from apollo.errors import InvalidSchedule

CATCH_UP = timedelta(minutes=10)
"""A promotion that is later than this does not run: nobody expects it at that time."""
NEXT = 3
RUNS = 3


def cron_spec(cron: Cron, timezone: str) -> ScheduleSpec:
    """The times of a cron line in a time zone; its text is kept as the comment."""
    calendar = ScheduleCalendarSpec(
        minute=_ranges(cron.minutes),
        hour=_ranges(cron.hours),
        day_of_month=_ranges(cron.days),
        month=_ranges(cron.months),
        day_of_week=_ranges(cron.weekdays),
        comment=cron.text,
    )
    return ScheduleSpec(calendars=[calendar], time_zone_name=timezone)


def every_spec(interval: timedelta) -> ScheduleSpec:
    """An interval, counted from 1970 in UTC."""
    return ScheduleSpec(intervals=[ScheduleIntervalSpec(every=interval)])


def read_interval(text: timedelta | str) -> timedelta:
    """A duration of at least 10 seconds.

    Raises:
        InvalidSchedule: It is none.
    """
    try:
        interval = parse_duration(text)
    except ValueError as error:
        hint = "write such as --every 5m"
        raise InvalidSchedule(f"interval: {error}; found {text!r}", hint=hint) from error
    if interval < SHORTEST:
        found = format_duration(interval)
        raise InvalidSchedule(f"interval: expected 10s or more; found {found}", hint="write 5m")
    found_interval: timedelta = interval
    return found_interval


def check_zone(name: str) -> None:
    """Refuse a time zone that nobody knows.

    Raises:
        InvalidSchedule: With the names that are near.
    """
    known = available_timezones()
    if name in known:
        return
    words = {each.rpartition("/")[2].lower(): each for each in sorted(known)}
    near = difflib.get_close_matches(name, known, n=2)
    word = name.rpartition("/")[2].lower().replace(" ", "_")
    near += [words[each] for each in difflib.get_close_matches(word, words, n=2)]
    hint = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
    if not known:
        hint = "this machine has no time zones: install tzdata"
    raise InvalidSchedule(
        f"expected a time zone of the IANA database; found {name!r}",
        hint=hint or "write such as Europe/Amsterdam or UTC",
    )


def check_stages(pipeline: Sequence[str], from_: str, to: str) -> None:
    """Refuse a promotion that is no way along the pipeline.

    Raises:
        InvalidSchedule: A stage is not in it, or `to` does not come after `from_`.
    """
    way = " -> ".join(pipeline) or "empty"
    hint = f"the pipeline is {way}; it is changed in apollo.yaml, with apollo apply"
    for option, stage in (("--from", from_), ("--to", to)):
        if stage not in pipeline:
            raise InvalidSchedule(f"{option}: expected a stage; found {stage!r}", hint=hint)
    if pipeline.index(from_) >= pipeline.index(to):
        raise InvalidSchedule(
            f"--to: expected a stage that comes after {from_}; found {to!r}", hint=hint
        )


async def read_status(
    client: Client, found: ScheduleDescription, *, runs: bool = True
) -> ScheduleStatus:
    """What a schedule is, as Apollo names it; without `runs` what it started is not looked up."""
    _, application, name = found.id.split("/", 2)
    schedule, info = found.schedule, found.info
    given = await _given(client, schedule.action)
    sync = name.startswith(SYNC)
    calendars, intervals = schedule.spec.calendars, schedule.spec.intervals
    zone = schedule.spec.time_zone_name or "UTC"
    return ScheduleStatus(
        id=found.id,
        application=application,
        name=name,
        kind="sync" if sync else "promotion",
        from_=given.get("from", ""),
        to=given.get("environment" if sync else "to", ""),
        cron=(calendars[0].comment or "") if calendars else "",
        every=intervals[0].every if intervals else None,
        timezone=zone,
        paused=schedule.state.paused,
        note=schedule.state.note or "",
        by=given.get("by", ""),
        reason=given.get("reason", ""),
        next=tuple(at.astimezone(_zone(zone)) for at in info.next_action_times[:NEXT]),
        runs=await read_runs(client, info) if runs else (),
        skipped=info.num_actions_skipped_overlap,
        missed=info.num_actions_missed_catchup_window,
    )


async def read_runs(client: Client, info: ScheduleInfo) -> tuple[ScheduleRun, ...]:
    """What was started last, the newest first, and how it went."""
    return tuple([await _run(client, each) for each in reversed(info.recent_actions[-RUNS:])])


async def _run(client: Client, result: ScheduleActionResult) -> ScheduleRun:
    started = result.action
    assert isinstance(started, ScheduleActionExecutionStartWorkflow)
    return ScheduleRun(
        workflow_id=started.workflow_id,
        scheduled_at=result.scheduled_at,
        started_at=result.started_at,
        state=await _state(client, started),
    )


async def _state(client: Client, started: ScheduleActionExecutionStartWorkflow) -> str:
    handle = client.get_workflow_handle(started.workflow_id, run_id=started.first_execution_run_id)
    try:
        found = await handle.describe()
        if found.status is not WorkflowExecutionStatus.COMPLETED:
            return found.status.name.lower() if found.status else "unknown"
        result = await handle.result()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return "no longer kept"
        raise
    state = result.get("state") if isinstance(result, dict) else None
    return state if isinstance(state, str) else "completed"


async def _given(client: Client, action: Any) -> dict[str, Any]:
    """What it starts its workflow with; nothing if somebody else has changed that."""
    if isinstance(action, ScheduleActionStartWorkflow) and action.args:
        (given,) = (await client.data_converter.decode(list(action.args)))[:1]
        if isinstance(given, dict):
            return given
    return {}


def _ranges(values: Sequence[int]) -> list[ScheduleRange]:
    return [ScheduleRange(first, last) for first, last in runs(values)]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError):  # set by somebody else, or no time zones here
        return ZoneInfo("UTC")
