"""Moments of the past, as people write them."""

import re
from datetime import UTC, date, datetime, time, timedelta

from apollo.domain.base import parse_duration

FORMS = "2026-11-17T09:00:00Z, 2026-11-17 (its first moment, UTC), 7d ago, yesterday or last week"
_WORDS = {"now": timedelta(0), "yesterday": timedelta(days=1), "last week": timedelta(days=7)}
_WEEKS = re.compile(r"^(\d{1,2})w$")


def parse_moment(text: str, now: datetime) -> datetime:
    """Read a moment that has passed; the answer is in UTC.

    `yesterday` and `last week` are 24 hours and seven days before now, to the second.

    >>> parse_moment("2h ago", datetime(2026, 11, 24, 12, tzinfo=UTC)).isoformat()
    '2026-11-24T10:00:00+00:00'

    Raises:
        ValueError: It is none of the forms, lacks its zone, or has not come yet.
    """
    words = " ".join(text.split())
    try:
        found = _relative(words.lower(), now) or _absolute(words)
    except OverflowError as error:
        raise ValueError(f"{text!r} is beyond the calendar") from error
    if found > now:
        raise ValueError(f"{text!r} has not come yet")
    return found


def _relative(words: str, now: datetime) -> datetime | None:
    if words in _WORDS:
        return (now - _WORDS[words]).astimezone(UTC)
    span = words.removesuffix("ago").rstrip()
    if weeks := _WEEKS.fullmatch(span):
        return (now - timedelta(weeks=int(weeks[1]))).astimezone(UTC)
    try:
        ago: timedelta = parse_duration(span)
    except ValueError:
        return None
    return (now - ago).astimezone(UTC)


def _absolute(words: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(words), time(), UTC)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(words)
    except ValueError as error:
        raise ValueError(f"{words!r} is no moment; write {FORMS}") from error
    if found.tzinfo is None:
        raise ValueError(f"{words!r} lacks its zone; write {words}Z for UTC, or {words}+01:00")
    return found.astimezone(UTC)
