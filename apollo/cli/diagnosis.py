"""All checks of `apollo doctor`, in their order."""

from apollo.catalog import Catalog
from apollo.cli.misuse import Misused
from apollo.cli.places import Place
from apollo.cli.settings import read_settings
from apollo.doctor.environment import check_environment
from apollo.doctor.finding import Finding, bad, good
from apollo.doctor.parts import (
    check_catalog,
    check_encryption,
    check_programs,
    check_store,
    check_temporal,
    check_workers,
)
from apollo.errors import ApolloError
from apollo.settings import Settings


async def diagnose(place: Place | None) -> list[Finding]:
    """What is found of all that Apollo needs, and of an environment."""
    try:
        settings = read_settings()
    except Misused as error:
        return [bad("settings", error.message, "settings that can be read", error.hint)]
    found = [good("settings", f"state in {settings.home}, as {settings.who}")]
    temporal, client = await check_temporal(settings)
    catalog = await check_catalog(settings)
    own, locations = await _environment(settings, place, catalog)
    found += [*check_encryption(settings), *temporal]
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
