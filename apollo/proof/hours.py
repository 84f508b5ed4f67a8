"""Windows, read a second time: whether the clock on a wall somewhere shows an hour of them."""

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


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
