"""`apollo rollback`: a word to the deployment that runs, or one that takes the last one back."""

from typing import Annotated

from cyclopts import Parameter

from apollo.cli.ask import agreed
from apollo.cli.controls import say_to_deployment
from apollo.cli.deploy import Detach, IfBusy, follow_or_leave
from apollo.cli.options import Env, JsonLines, Limit, Reason, Yes
from apollo.cli.places import Place, place_of
from apollo.cli.render.plan import render_plan
from apollo.cli.render.terminal import count, talk
from apollo.cli.session import connected
from apollo.client import Apollo
from apollo.errors import Refused

To = Annotated[
    str | None, Parameter(help="Bring this release instead, to all hosts, as a rollback does.")
]


async def rollback(
    env: Env,
    /,
    *,
    to: To = None,
    limit: Limit = None,
    if_busy: IfBusy = "refuse",
    reason: Reason = "",
    detach: Detach = False,
    yes: Yes = False,
    json: JsonLines = False,
) -> int:
    """Take every changed host back."""
    place = place_of(env)
    where = place.application, place.environment
    async with connected() as apollo:
        if to is None and await _runs(apollo, place):
            return await say_to_deployment(
                apollo, place, "rollback", lambda handle: handle.rollback(reason)
            )
        if place.number is not None:
            raise Refused(
                f"{place.label}#{place.number} does not run, and only the last one is taken back",
                hint=f"apollo rollback {place.application}/{place.environment} --to VERSION",
            )
        prepared = await apollo.plan(*where, to, rollback=True, limit=limit)
        talk(*render_plan(prepared), "")
        hosts = count(len(prepared.plan.hosts), "host")
        if not agreed(f"Take {hosts} back to {prepared.release.version}?", yes=yes):
            raise Refused("nothing was taken back")
        handle = await apollo.go_back(*where, to, limit=limit, if_busy=if_busy, reason=reason)
        return await follow_or_leave(handle, place, detach=detach, json=json)


async def _runs(apollo: Apollo, place: Place) -> bool:
    """Whether the deployment that is meant runs, and may be told to go back."""
    where = place.application, place.environment
    if place.number is None:
        return bool(await apollo.catalog.deployments.running(*where))
    return not (await apollo.catalog.deployments.get(*where, place.number)).state.ended
