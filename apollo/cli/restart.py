"""`apollo restart`."""

from apollo.cli.ask import agreed
from apollo.cli.deploy import Detach, IfBusy, follow_or_leave
from apollo.cli.options import Env, JsonLines, Limit, Reason, Yes
from apollo.cli.places import environment_of
from apollo.cli.render.plan import render_plan
from apollo.cli.render.terminal import count, talk
from apollo.cli.session import connected
from apollo.errors import Refused


async def restart(
    env: Env,
    /,
    *,
    limit: Limit = None,
    if_busy: IfBusy = "refuse",
    reason: Reason = "",
    detach: Detach = False,
    yes: Yes = False,
    json: JsonLines = False,
) -> int:
    """Stop and start what each host runs; no release changes."""
    place = environment_of(env)
    where = place.application, place.environment
    async with connected() as apollo:
        prepared = await apollo.plan(*where, None, restart=True, limit=limit)
        talk(*render_plan(prepared), "")
        if not agreed(f"Restart {count(len(prepared.plan.hosts), 'host')}?", yes=yes):
            raise Refused("nothing was restarted")
        handle = await apollo.restart(*where, limit=limit, if_busy=if_busy, reason=reason)
        return await follow_or_leave(handle, place, detach=detach, json=json)
