"""`apollo history`."""

from typing import Annotated

from cyclopts import Parameter

from apollo.cli.options import Env, Json
from apollo.cli.places import environment_of
from apollo.cli.render.history import deployment_json, render_audit, render_history
from apollo.cli.render.terminal import show, show_json, talk
from apollo.cli.session import connected

Audit = Annotated[bool, Parameter(help="Who did what, when and why.")]
Newest = Annotated[int, Parameter(help="How many, the newest first.", show_default=True)]


async def history(
    env: Env, /, *, audit: Audit = False, limit: Newest = 20, json: Json = False
) -> int:
    """List the deployments of an environment."""
    place = environment_of(env)
    where = place.application, place.environment
    async with connected() as apollo:
        await apollo.catalog.environments.get(*where)
        deployments = await apollo.catalog.deployments.list(*where, limit=limit)
        entries = await apollo.catalog.audit.list(*where, limit=limit) if audit else []
    if json and audit:
        show_json({"audit": [entry.model_dump(mode="json") for entry in entries]})
    elif json:
        show_json({"deployments": [deployment_json(each) for each in deployments]})
    elif audit:
        show(render_audit(entries, {each.uuid: each.label for each in deployments}))
    elif deployments:
        show(render_history(deployments))
    else:
        talk(f"{place.label} has had no deployment yet: apollo deploy {place.word}")
    return 0
