"""`apollo plan`."""

import shlex

from apollo.cli.differences import difference
from apollo.cli.options import Env, Json, Limit, Redeploy
from apollo.cli.places import Place, environment_of, project_of
from apollo.cli.render.plan import plan_json, render_plan
from apollo.cli.render.terminal import show, show_json, talk
from apollo.cli.session import connected
from apollo.client import Apollo


async def plan(
    env: Env,
    release: str,
    /,
    *,
    limit: Limit = None,
    redeploy: Redeploy = False,
    json: Json = False,
) -> int:
    """Show what a deployment would do; change nothing."""
    place = environment_of(env)
    async with connected() as apollo:
        prepared = await apollo.plan(
            place.application, place.environment, release, limit=limit, redeploy=redeploy
        )
        await _warn_of_difference(apollo, place)
    if json:
        show_json(plan_json(prepared))
        return 0
    show(render_plan(prepared))
    words = ["apollo", "deploy", place.word, release]
    words += ["--limit", limit] if limit else []
    words += ["--redeploy"] if redeploy else []
    talk("", f"No host was changed. Start it: {shlex.join(words)}")
    return 0


async def _warn_of_difference(apollo: Apollo, place: Place) -> None:
    project = project_of(place)
    if project and place.environment in project.environments:
        found = await difference(apollo, project, place.environment)
        if not found.same:
            talk(
                f"note: the files here differ from what is applied; the plan is of the latter. "
                f"See and apply: apollo apply {place.word}"
            )
