"""`apollo logs`."""

from typing import Annotated

from cyclopts import Parameter

from apollo.catalog.records import StoredOutput
from apollo.cli.options import Env, JsonLines
from apollo.cli.places import Place, place_of
from apollo.cli.render.logs import part_json, render_output, render_part, stored_json
from apollo.cli.render.terminal import show, show_line, talk
from apollo.cli.session import connected
from apollo.client import Apollo

OneHost = Annotated[str, Parameter(help="The host.")]
Follow = Annotated[bool, Parameter(name=["--follow", "-f"], help="Until its turn has ended.")]
OneStep = Annotated[str, Parameter(name="--step", help="Only this step, such as `start`.")]


async def logs(
    env: Env,
    host: OneHost,
    /,
    *,
    follow: Follow = False,
    step: OneStep = "",
    json: JsonLines = False,
) -> int:
    """Show what a host's hooks printed: in its last turn, or while its turn runs."""
    place = place_of(env)
    async with connected() as apollo:
        if place.number is None and await _live(apollo, place, host, step, follow, json):
            return 0
        outputs = await apollo.logs(place.application, place.environment, host, number=place.number)
        _stored([each for each in outputs if step in ("", each.step)], json)
    return 0


async def _live(
    apollo: Apollo, place: Place, host: str, step: str, follow: bool, json: bool
) -> bool:
    """Show what is printed now; whether there was anything."""
    if not await apollo.catalog.deployments.running(place.application, place.environment):
        return False
    last, any_ = "", False
    where = place.application, place.environment, host
    async for label, part in apollo.follow_logs(*where, wait=follow):
        any_ = True
        if step not in ("", part.step):
            continue
        if json:
            show_line(part_json(label, host, part))
            continue
        show(render_part(label, part, new=last != part.step))
        last = part.step
    if follow and any_ and not json:
        talk(f"The turn of {host} has ended: apollo show {place.word} --host {host}")
    return any_


def _stored(outputs: list[StoredOutput], json: bool) -> None:
    if json:
        for each in outputs:
            show_line(stored_json(each))
        return
    if not outputs:
        talk("Its hooks printed nothing.")
    for each in outputs:
        show(render_output(each))
