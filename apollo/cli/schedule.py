"""`apollo schedule create|list|pause|resume|trigger|delete`."""

from typing import Annotated

from cyclopts import Parameter

from apollo.cli.ask import agreed
from apollo.cli.links import temporal_link
from apollo.cli.options import Json, Reason, Yes
from apollo.cli.places import application, application_here
from apollo.cli.render.schedules import render_schedule, schedule_json
from apollo.cli.render.terminal import show, show_json, talk
from apollo.cli.session import connected
from apollo.domain.cron import parse_cron
from apollo.errors import Refused

Schedule = Annotated[str, Parameter(help="`weekly` beside an apollo.yaml, `shop/weekly` anywhere.")]
Application = Annotated[str, Parameter(help="By default that of the apollo.yaml here.")]
From = Annotated[str, Parameter(name="--from", help="The stage where the release succeeded.")]
To = Annotated[str, Parameter(help="The last stage that it goes to.")]
Cron = Annotated[str, Parameter(help='Five fields, such as "0 10 * * TUE".')]
Zone = Annotated[str, Parameter(help="Such as Europe/Amsterdam.", show_default=True)]
Paused = Annotated[bool, Parameter(help="Start nothing before it is resumed.")]
Replace = Annotated[bool, Parameter(help="Take the place of the one that has this name.")]


async def create(
    name: Schedule,
    /,
    *,
    from_: From,
    to: To,
    cron: Cron,
    timezone: Zone = "UTC",
    application: Application = "",
    reason: Reason = "",
    paused: Paused = False,
    replace: Replace = False,
    json: Json = False,
) -> int:
    """Promote along the pipeline at the times of a cron line."""
    owner, name = _owner(name, application)
    async with connected() as apollo:
        made = await apollo.schedules.create_promotion(
            owner,
            name,
            from_=from_,
            to=to,
            cron=cron,
            timezone=timezone,
            reason=reason,
            paused=paused,
            replace=replace,
        )
    if json:
        show_json(schedule_json(made))
        return 0
    show(render_schedule(made))
    if parse_cron(cron).both_days:
        talk("The day of the month and the day of the week must both match.")
    return 0


async def listing(*, application: Application = "", json: Json = False) -> int:
    """List schedules: when they start what, and how that went."""
    owner = application or application_here() or None
    async with connected() as apollo:
        found = await apollo.schedules.list(owner)
    if json:
        show_json({"schedules": [schedule_json(each) for each in found]})
    elif found:
        show(line for each in found for line in render_schedule(each))
    else:
        talk(f"{owner or 'Apollo'} has no schedule yet: apollo schedule create NAME")
    return 0


async def pause(
    name: Schedule, /, *, application: Application = "", reason: Reason = "", json: Json = False
) -> int:
    """Start nothing until it is resumed."""
    owner, name = _owner(name, application)
    async with connected() as apollo:
        found = await apollo.schedules.pause(owner, name, reason)
    if json:
        show_json(schedule_json(found))
    else:
        talk(f"{found.label}  {found.note}", f"  Go on: apollo schedule resume {found.label}")
    return 0


async def resume(
    name: Schedule, /, *, application: Application = "", reason: Reason = "", json: Json = False
) -> int:
    """Go on; times that passed meanwhile are not made up for."""
    owner, name = _owner(name, application)
    async with connected() as apollo:
        found = await apollo.schedules.resume(owner, name, reason)
    show_json(schedule_json(found)) if json else show(render_schedule(found))
    return 0


async def trigger(
    name: Schedule, /, *, application: Application = "", reason: Reason = "", json: Json = False
) -> int:
    """Start now what it starts, also while it is paused."""
    owner, name = _owner(name, application)
    async with connected() as apollo:
        run = await apollo.schedules.trigger(owner, name, reason)
        link = temporal_link(apollo.settings, run.workflow_id)
    if json:
        show_json({**run.model_dump(mode="json"), "temporal": link})
        return 0
    show([run.workflow_id])
    if link:
        talk(f"  Temporal: {link}")
    return 0


async def delete(
    name: Schedule,
    /,
    *,
    application: Application = "",
    reason: Reason = "",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Take it away; what it started goes on."""
    owner, name = _owner(name, application)
    async with connected() as apollo:
        found = await apollo.schedules.get(owner, name)
        if not agreed(f"Delete {found.label} ({found.change}, {found.times})?", yes=yes):
            raise Refused("nothing was deleted")
        found = await apollo.schedules.delete(owner, name, reason)
    if json:
        show_json(schedule_json(found))
    else:
        talk(f"{found.label}  deleted; what it started goes on")
    return 0


def _owner(name: str, given: str) -> tuple[str, str]:
    """The application and the name within it."""
    owner, _, name = name.rpartition("/")
    return given or owner or application(), name
