"""`apollo sync`."""

from typing import Annotated

from cyclopts import Parameter

from apollo.cli.exits import INCOMPLETE
from apollo.cli.following import follow
from apollo.cli.misuse import Misused
from apollo.cli.options import Env, JsonLines, Limit, Reason
from apollo.cli.places import Place, environment_of
from apollo.cli.render.drift import drift_json, render_drift
from apollo.cli.render.schedules import render_schedule, schedule_json
from apollo.cli.render.terminal import show, show_json, talk
from apollo.cli.session import connected

Every = Annotated[str, Parameter(help="By itself, at this interval: `5m`; see apollo schedule.")]
Check = Annotated[bool, Parameter(name="--check", help="Only show them; change nothing.")]


async def sync(
    env: Env,
    /,
    *,
    check: Check = False,
    every: Every = "",
    limit: Limit = None,
    reason: Reason = "",
    json: JsonLines = False,
) -> int:
    """Bring the current release to hosts that are new, missed it, or run it no longer."""
    place = environment_of(env)
    if every:
        return await _schedule(place, every, reason, alone=not (check or limit), json=json)
    where = place.application, place.environment
    async with connected() as apollo:
        if not check:
            handle = await apollo.sync(*where, limit=limit, reason=reason)
            return await follow(handle, place, json=json)
        drift = await apollo.look(*where, limit=limit)
    if json:
        show_json(drift_json(drift, place.label))
    else:
        show(render_drift(drift, place.label))
        if drift.bring:
            talk(f"  No host was changed. Bring it: apollo sync {place.word}")
    return 0 if drift.fine else INCOMPLETE


async def _schedule(place: Place, every: str, reason: str, *, alone: bool, json: bool) -> int:
    if not alone:
        raise Misused(
            "--every makes a schedule that syncs the whole fleet",
            hint=f"leave --check and --limit out: apollo sync {place.word} --every {every}",
        )
    async with connected() as apollo:
        made = await apollo.schedules.sync_every(
            place.application, place.environment, every, reason
        )
    if json:
        show_json(schedule_json(made))
    else:
        show(render_schedule(made))
    return 0
