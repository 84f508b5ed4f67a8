"""`apollo show`."""

from apollo.cli.following import conclude
from apollo.cli.options import Env, Json
from apollo.cli.places import place_of
from apollo.cli.render.changes import row_json, status_json
from apollo.cli.render.history import deployment_json
from apollo.cli.render.terminal import show_json, talk
from apollo.cli.session import connected
from apollo.errors import NotFound


async def show(env: Env, /, *, json: Json = False) -> int:
    """Show a deployment: ENV#7, or the last of ENV."""
    place = place_of(env)
    async with connected() as apollo:
        handle = await apollo.deployment(place.application, place.environment, place.number)
        status = await handle.status()
    if status is None:
        raise NotFound(f"{place.label} has no such deployment")
    if json:
        rows = [row_json(row) for row in status.rows]
        show_json({**deployment_json(status.deployment), **status_json(status), "hosts": rows})
        return 0
    conclude(handle, status, place)
    deployment = status.deployment
    reason = f": {deployment.reason}" if deployment.reason else ""
    talk(f"  by {deployment.by or 'unknown'}{reason}")
    return 0
