"""Windows and freezes, read a second time: whether hosts might begin turns at a moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Hours:
    """What an environment says of times, as it was applied."""

    windows: tuple[str, ...]
    calendars: tuple[str, ...]

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Hours":
        """Those of an environment."""
        return cls(tuple(spec.get("windows", ())), tuple(spec.get("freezes", {}).values()))

    def __bool__(self) -> bool:
        return bool(self.windows or self.calendars)

    def allow(self, moment: datetime) -> bool:
        """Whether hosts might begin turns at an aware moment."""
        inside = not self.windows or is_open(self.windows, moment)
        return inside and not any(is_frozen(text, moment) for text in self.calendars)


def is_frozen(calendar: str, moment: datetime) -> bool:
    """Whether an event of a calendar goes on at an aware moment; days are those of its zone."""
    events, zone = _read(calendar)

    def aware(value: date) -> datetime:
        full = value if isinstance(value, datetime) else datetime.combine(value, time())
        return full if full.tzinfo else full.replace(tzinfo=zone)

    moment = moment.astimezone(UTC)
    return any(
        aware(event.start) <= moment < aware(event.end)
        for event in events.between(moment - _DAY, moment + _DAY)
        if event.get("STATUS") != "CANCELLED"
    )


@lru_cache(maxsize=32)
def _read(calendar: str) -> tuple[Any, ZoneInfo]:
    """Its events and its zone, read once: a fleet's turns are held to it one by one."""
    import icalendar  # for those alone who have freezes
    import recurring_ical_events

    read = icalendar.Calendar.from_ical(calendar)
    return recurring_ical_events.of(read), ZoneInfo(str(read.get("X-WR-TIMEZONE", "UTC")))


def is_open(windows: Iterable[str], moment: datetime) -> bool:
    """Whether any of them (`MON-THU 09:00-16:00 Europe/Amsterdam`) is open at an aware moment.

    >>> from datetime import UTC
    >>> is_open(["MON-FRI 22:00-02:00 UTC"], datetime(2026, 11, 28, 1, tzinfo=UTC))
    True
    """
    return any(_shows(window, moment) for window in windows)


def _shows(window: str, moment: datetime) -> bool:
    days, hours, zone = window.split()
    local = moment.astimezone(ZoneInfo(zone))
    shown, day = f"{local:%H:%M}", local.weekday()
    begin, end = hours.split("-")
    if begin < end:
        return _is_day(days, day) and begin <= shown < end
    late = shown >= begin and _is_day(days, day)
    return late or (shown < end and _is_day(days, (day - 1) % 7))


def _is_day(days: str, day: int) -> bool:
    if days.upper() == "DAILY":
        return True
    for part in days.upper().split(","):
        first, _, last = part.partition("-")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        if (day - begin) % 7 <= (end - begin) % 7:
            return True
    return False
