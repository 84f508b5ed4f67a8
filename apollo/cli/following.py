"""Follows a deployment until it ends, somebody leaves, or the time is up."""

import asyncio
import json
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import timedelta

from rich.live import Live as Screen

from apollo.cli.exits import DETACHED, TIMED_OUT, exit_code
from apollo.cli.links import temporal_link
from apollo.cli.places import Place
from apollo.cli.render.changes import change_json, render_changes
from apollo.cli.render.live import Live
from apollo.cli.render.summary import next_steps, render_summary
from apollo.cli.render.terminal import console, show, show_json, talk
from apollo.client import DeploymentHandle, Status

_PATIENCE = 5.0
NO_WORKER = (
    "No worker has taken it up yet. Start one: apollo up on this machine, or apollo worker "
    "beside your Temporal cluster."
)
Show = Callable[[Status | None, Status], None]


async def follow(
    handle: DeploymentHandle, place: Place, timeout: timedelta | None = None, *, json: bool = False
) -> int:
    """Show every change until the deployment ends; the exit code."""
    label = place.label if place.number is None else f"{place.label}#{place.number}"
    seen = _Seen(label)
    try:
        async with asyncio.timeout(timeout.total_seconds() if timeout else None):
            await _watch(handle, seen, json)
    except TimeoutError:
        talk(f"Timed out. {seen.label} goes on. Back: apollo watch {place.word}")
        return TIMED_OUT
    except asyncio.CancelledError:
        ways = f"Back: apollo watch {place.word}   Stop: apollo abort {place.word}"
        talk(f"Detached. {seen.label} goes on. {ways}")
        return DETACHED
    if seen.status is None:
        return await _nothing_to_do(handle, json=json)
    if not json:
        conclude(handle, seen.status, place)
    return exit_code(seen.status.deployment.state)


async def _nothing_to_do(handle: DeploymentHandle, *, json: bool) -> int:
    """What a sync says that has found nothing to do: it has no number."""
    result = await handle.result()
    if json:
        show_json({**result.model_dump(mode="json"), "exit_code": exit_code(result.state)})
    else:
        show([result.detail])
    return exit_code(result.state)


def conclude(handle: DeploymentHandle, status: Status, place: Place) -> None:
    """The summary, and what to do next."""
    show(render_summary(status))
    talk(*(f"  {step}" for step in next_steps(status, place.word)))
    if link := temporal_link(handle.apollo.settings, handle.workflow_id):
        talk(f"  Temporal: {link}")


async def opened(handle: DeploymentHandle) -> Status | None:
    """The deployment when it has its number; none when no worker takes it up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            async for status in handle.watch():
                return status
    talk(NO_WORKER)
    return None


class _Seen:
    """The last look at the deployment."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.status: Status | None = None

    def look(self, status: Status, show: Show) -> None:
        before, self.status = self.status, status
        self.label = status.deployment.label
        show(before, status)


async def _watch(handle: DeploymentHandle, seen: _Seen, json: bool) -> None:
    out = console()
    live = Live()

    def draw(before: Status | None, now: Status) -> None:
        live.status = now

    if json:
        show_change: Show = _print_json
    else:
        show_change = draw if out.is_terminal else _print_lines
    drawn = show_change is draw
    screen = Screen(live, console=out, transient=True) if drawn else nullcontext()
    with screen:
        hint = asyncio.get_running_loop().call_later(_PATIENCE, _hint, seen)
        try:
            async for status in handle.watch():
                seen.look(status, show_change)
        finally:
            hint.cancel()


def _hint(seen: _Seen) -> None:
    if seen.status is None:
        talk(NO_WORKER)


def _print_lines(before: Status | None, now: Status) -> None:
    if before or not now.deployment.state.ended:  # of what is over, the summary says enough
        show(render_changes(before, now))


def _print_json(before: Status | None, now: Status) -> None:
    print(json.dumps(change_json(before, now), ensure_ascii=False), flush=True)
