"""`apollo hosts`."""

from typing import Annotated

from cyclopts import App, Parameter

from apollo.cli.app import add_commands
from apollo.cli.options import Env, Json
from apollo.cli.places import environment_of
from apollo.cli.render.environments import host_json, render_hosts
from apollo.cli.render.terminal import show, show_json
from apollo.cli.session import connected

Release = Annotated[str, Parameter(help="Only hosts that run this release.")]

app = App(name="hosts")
add_commands(app, "hosts")


@app.default
async def hosts(env: Env, /, *, release: Release = "", json: Json = False) -> int:
    """Show what is known of each host."""
    place = environment_of(env)
    where = place.application, place.environment
    async with connected() as apollo:
        applied = await apollo.catalog.environments.get(*where)
        states = await apollo.hosts(*where)
    found = [
        host
        for host in applied.environment.fleet.hosts
        if not release or (host.name in states and states[host.name].release == release)
    ]
    if json:
        documents = [host_json(host, states.get(host.name)) for host in found]
        show_json({"environment": place.label, "hosts": documents})
    else:
        show(render_hosts(found, states))
    return 0
