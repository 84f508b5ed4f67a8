"""`apollo workers`."""

from apollo.cli.options import AnyEnv, Json
from apollo.cli.places import application_here, environment_of
from apollo.cli.render.terminal import show, show_json
from apollo.cli.render.workers import render_workers, workers_json
from apollo.cli.session import connected


async def workers(env: AnyEnv = "", /, *, json: Json = False) -> int:
    """Show who polls which queue: the workers, and the locations that have none."""
    place = environment_of(env) if env else None
    where = (place.application, place.environment) if place else (application_here() or None, None)
    async with connected() as apollo:
        found = await apollo.workers(*where)
    if json:
        show_json({"queues": [workers_json(each) for each in found]})
    else:
        show(render_workers(found))
    return 0
