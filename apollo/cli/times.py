"""Moments on the command line."""

from datetime import UTC, datetime

from apollo.cli.misuse import Misused
from apollo.domain.moment import parse_moment


def moment_of(text: str, flag: str) -> datetime | None:
    """Read the value of a flag; nothing is no moment.

    Raises:
        Misused: It is no moment of the past.
    """
    try:
        return parse_moment(text, datetime.now(UTC)) if text else None
    except ValueError as error:
        raise Misused(f"{flag}: {error}") from error
