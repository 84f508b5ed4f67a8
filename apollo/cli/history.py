"""`apollo history`."""

from typing import Annotated

from cyclopts import Parameter

from apollo.cli.misuse import Misused
from apollo.cli.options import AnyEnv, Json
from apollo.cli.places import Place, application_here, environment_of
from apollo.cli.render.history import audit_json, deployment_json, render_audit, render_history
from apollo.cli.render.terminal import show, show_json, talk
from apollo.cli.session import connected
from apollo.cli.times import moment_of

Audit = Annotated[bool, Parameter(help="Who did what, when and why.")]
Newest = Annotated[int, Parameter(help="How many, the newest first.", show_default=True)]
Release = Annotated[str, Parameter(help="Only deployments of this release.")]
Since = Annotated[str, Parameter(help="Only what came later: 2026-11-17T09:00:00Z, 7d ago.")]


async def history(
    env: AnyEnv = "",
    /,
    *,
    audit: Audit = False,
    release: Release = "",
    since: Since = "",
    limit: Newest = 20,
    json: Json = False,
) -> int:
    """List the deployments of an environment, or of all."""
    place = environment_of(env) if env else None
    application = place.application if place else application_here() or None
    where = application, place.environment if place else None
    moment = moment_of(since, "--since")
    if audit and release:
        raise Misused("--release chooses deployments", hint="leave it out, or --audit")
    async with connected() as apollo:
        if audit:
            entries = await apollo.audit(*where, since=moment, limit=limit)
            if json:
                show_json({"audit": [audit_json(entry) for entry in entries]})
            else:
                show(render_audit(entries))
            return 0
        deployments = await apollo.history(
            *where, release=release or None, since=moment, limit=limit
        )
    if json:
        show_json({"deployments": [deployment_json(each) for each in deployments]})
    elif deployments:
        show(render_history(deployments))
    else:
        talk(_nothing(place, filtered=bool(release or since)))
    return 0


def _nothing(place: Place | None, *, filtered: bool) -> str:
    if filtered:
        return "No deployment is like that."
    if place is None:
        return "Nothing was deployed yet: apollo deploy ENV"
    return f"{place.label} has had no deployment yet: apollo deploy {place.word}"
