"""`apollo hosts`."""

from datetime import datetime
from typing import Annotated

from cyclopts import App, Parameter

from apollo.catalog.records import AppliedEnvironment
from apollo.cli.app import add_commands
from apollo.cli.misuse import Misused
from apollo.cli.options import Env, Json, Limit, Yes
from apollo.cli.out import Why
from apollo.cli.out import adopt as adopt_roots
from apollo.cli.places import Place, environment_of
from apollo.cli.render.hosts import host_json, host_lines, render_hosts
from apollo.cli.render.terminal import moment, show, show_json, talk
from apollo.cli.session import connected
from apollo.cli.times import moment_of
from apollo.client import Apollo

Release = Annotated[str, Parameter(help="Only hosts that run this release.")]
At = Annotated[
    str,
    Parameter(help="As it was then: 2026-11-17T09:00:00Z, 2026-11-17, 7d ago, yesterday."),
]
Adopt = Annotated[
    bool,
    Parameter(help="Let each host's next turn take its root over, though somebody else owns it."),
]

app = App(name="hosts")
add_commands(app, "hosts")


@app.default
async def hosts(
    env: Env,
    /,
    *,
    at: At = "",
    release: Release = "",
    adopt: Adopt = False,
    limit: Limit = None,
    reason: Why = "",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Show what is known of each host, now or at a past moment."""
    place, then = environment_of(env), moment_of(at, "--at")
    if adopt:
        return await adopt_roots(place, [limit or "*"], reason=reason, yes=yes, json=json)
    if limit or reason or yes:
        raise Misused("--limit, --reason and --yes go with --adopt", hint="see apollo hosts --help")
    async with connected() as apollo:
        applied = await _applied(apollo, place, then)
        states = await apollo.hosts(place.application, place.environment, at=then)
    found = host_lines(applied.environment.fleet, states, release)
    if json:
        shown = {"environment": place.label, "at": then and moment(then)}
        show_json({**shown, "hosts": [host_json(each) for each in found]})
        return 0
    if then:
        talk(f"{place.label} as it was at {moment(then)}")
    show(render_hosts(found))
    return 0


async def _applied(apollo: Apollo, place: Place, then: datetime | None) -> AppliedEnvironment:
    environments = apollo.catalog.environments
    if then is None:
        return await environments.get(place.application, place.environment)
    return await environments.at(place.application, place.environment, then)
