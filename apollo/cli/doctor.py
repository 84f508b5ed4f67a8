"""`apollo doctor`."""

from typing import Annotated, Literal

from cyclopts import Parameter

from apollo.catalog import Catalog
from apollo.cli.misuse import Misused
from apollo.cli.options import Env, Json
from apollo.cli.places import Place, environment_of
from apollo.cli.render.doctor import findings_json, render_findings
from apollo.cli.render.terminal import show, show_json
from apollo.cli.session import read_settings
from apollo.doctor.environment import check_environment
from apollo.doctor.finding import Finding, bad, good
from apollo.doctor.parts import (
    check_catalog,
    check_programs,
    check_pulse,
    check_store,
    check_temporal,
    check_workers,
)
from apollo.errors import ApolloError
from apollo.settings import Settings

Worker = Annotated[
    Literal["control", "hosts", "all"] | None,
    Parameter(help="Only whether this machine's worker of that role is alive: for health checks."),
]


async def doctor(env: Env = "", /, *, worker: Worker = None, json: Json = False) -> int:
    """Look at what Apollo needs, and at one environment."""
    if worker:
        found = check_pulse(read_settings().home, worker)
    else:
        found = await _all(environment_of(env) if env else None)
    if json:
        show_json(findings_json(found))
    else:
        show(render_findings(found))
    return 1 if any(each.grade == "bad" for each in found) else 0


async def _all(place: Place | None) -> list[Finding]:
    try:
        settings = read_settings()
    except Misused as error:
        return [bad("settings", error.message, "settings that can be read", error.hint)]
    found = [good("settings", f"state in {settings.home}, as {settings.who}")]
    temporal, client = await check_temporal(settings)
    catalog = await check_catalog(settings)
    own, locations = await _environment(settings, place, catalog)
    found += temporal
    if client:
        found += await check_workers(client, locations)
    return [*found, *catalog, *check_store(settings), *check_programs(), *own]


async def _environment(
    settings: Settings, place: Place | None, catalog: list[Finding]
) -> tuple[list[Finding], tuple[str, ...]]:
    """What is found of the environment, and which of its locations have workers of their own."""
    if place is None or any(each.grade == "bad" for each in catalog):
        return [], ()
    try:
        async with Catalog.open(settings.catalog_url) as opened:
            found, environment = await check_environment(
                opened, place.application, place.environment
            )
    except ApolloError as error:
        return [bad(place.label, error.message, "an answer", error.hint)], ()
    return found, environment.own_workers if environment else ()
