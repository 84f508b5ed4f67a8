"""Freezes: the events of calendars (iCalendar, RFC 5545), in which no host begins a turn."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo


class NotACalendar(ValueError):
    """A text that is no calendar, or has an event without a beginning and an end."""


@dataclass(frozen=True)
class Freeze:
    """One event: from `begin` until before `end`, both UTC."""

    name: str
    begin: datetime
    end: datetime
    zone: str
    """The IANA name of the zone in which its calendar tells times."""


def freezes(calendars: Iterable[str], first: datetime, last: datetime) -> tuple[Freeze, ...]:
    """What the texts of calendars say of the time between two aware moments, earliest first.

    A recurring event comes once for each time. One of whole days begins and ends at midnight in
    the zone of its calendar (`X-WR-TIMEZONE`, else UTC). One that is cancelled does not count.

    Raises:
        NotACalendar: One of them is none.
    """
    found = {each for text in calendars for each in _of(text, first, last)}
    return tuple(sorted(found, key=lambda each: (each.begin, each.end, each.name)))


def check_calendar(text: str) -> None:
    """See that it is a calendar, and that each of its events can be read.

    Raises:
        NotACalendar: It says which event cannot.
    """
    for event in _calendar(text).walk("VEVENT"):
        _read(event, UTC)


def _of(text: str, first: datetime, last: datetime) -> Iterator[Freeze]:
    import recurring_ical_events  # nobody without freezes should wait for it

    calendar = _calendar(text)
    zone = _zone(calendar)
    try:
        events = recurring_ical_events.of(calendar).between(first, last)
    except (ValueError, KeyError, TypeError) as error:
        raise NotACalendar(f"an event that cannot be read: {error}") from error
    for event in events:
        freeze = _read(event, zone)
        if event.get("STATUS") != "CANCELLED" and freeze.end > first:
            yield freeze


@lru_cache(maxsize=32)
def _calendar(text: str) -> Any:
    import icalendar

    try:
        return icalendar.Calendar.from_ical(text)
    except ValueError as error:
        raise NotACalendar(str(error).splitlines()[0]) from error


def _zone(calendar: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(calendar.get("X-WR-TIMEZONE", "UTC")))
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def _read(event: Any, zone: tzinfo) -> Freeze:
    name = " ".join(str(event.get("SUMMARY", "")).split()) or "an event without a name"
    try:
        begin, end = _moment(event.start, zone), _moment(event.end, zone)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotACalendar(f"{name}, whose beginning or end cannot be read: {error}") from error
    return Freeze(name, begin, end, str(zone))


def _moment(value: date, zone: tzinfo) -> datetime:
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
