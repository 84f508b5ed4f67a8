"""`apollo watch`."""

from datetime import timedelta
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.following import follow
from apollo.cli.misuse import Misused
from apollo.cli.options import Env, JsonLines
from apollo.cli.places import place_of
from apollo.cli.session import connected
from apollo.domain.base import parse_duration

Timeout = Annotated[str, Parameter(help="Leave after this long, such as 10m, with exit code 124.")]


async def watch(env: Env, /, *, timeout: Timeout = "", json: JsonLines = False) -> int:
    """Watch the deployment that runs, or show the last."""
    place, longest = place_of(env), duration(timeout)
    async with connected() as apollo:
        handle = await apollo.deployment(place.application, place.environment, place.number)
        return await follow(handle, place, longest, json=json)


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
