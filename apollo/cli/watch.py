"""`apollo watch`."""

from datetime import timedelta
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.following import follow
from apollo.cli.following_promotion import follow_promotion, over
from apollo.cli.misuse import Misused
from apollo.cli.options import EnvOrApplication, JsonLines
from apollo.cli.places import application_named, place_of
from apollo.cli.session import connected
from apollo.domain.base import parse_duration
from apollo.errors import NotFound

Timeout = Annotated[str, Parameter(help="Leave after this long, such as 10m, with exit code 124.")]


async def watch(
    target: EnvOrApplication, /, *, timeout: Timeout = "", json: JsonLines = False
) -> int:
    """Watch the deployment that runs, or show the last."""
    longest = duration(timeout)
    if owner := application_named(target):
        return await _promotion(owner, longest, json)
    place = place_of(target)
    async with connected() as apollo:
        handle = await apollo.deployment(place.application, place.environment, place.number)
        return await follow(handle, place, longest, json=json)


async def _promotion(owner: str, longest: timedelta | None, json: bool) -> int:
    """Watch the newest promotion of an application, or show how it ended."""
    async with connected() as apollo:
        newest = await apollo.catalog.promotions.list(owner, limit=1)
        if not newest:
            hint = f"start one: apollo promote {owner}/VERSION"
            raise NotFound(f"{owner} has had no promotion", hint=hint)
        if newest[0].state.ended:
            return over(newest[0], json=json)
        return await follow_promotion(await apollo.promotion(newest[0]), owner, longest, json=json)


def duration(text: str) -> timedelta | None:
    """Read `10m`; nothing is no limit.

    Raises:
        Misused: It is no duration.
    """
    try:
        found: timedelta | None = parse_duration(text) if text else None
    except ValueError as error:
        raise Misused(f"--timeout {text}: {error}") from error
    return found
