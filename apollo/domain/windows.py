"""Windows: the hours of the week, on the clocks of some place, in which hosts may begin turns."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from heapq import merge
from itertools import groupby
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from apollo.domain.freezes import Freeze, freezes

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
FORM = "DAYS HH:MM-HH:MM ZONE"
EXAMPLE = '"MON-THU 09:00-16:00 Europe/Amsterdam"'
AHEAD = timedelta(days=400)
"""How far a change is looked for: a whole year of daylight-saving changes, and some weeks."""

_LONGEST = 40
"""Characters of a zone's name that are compared with known ones."""
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_MIDNIGHT = 24 * 60
_TIMES = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")
_ZONE = re.compile(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
"""Lower-case names, such as `localtime`, mean something else on each machine."""


class NotAWindow(ValueError):
    """A text that is no window: what was expected, what was found, what to write."""

    def __init__(self, expected: str, found: str, hint: str) -> None:
        super().__init__(f"expected {expected}; found {found[:200]}; {hint}")
        self.expected = expected
        self.found = found
        self.hint = hint


class Window(BaseModel):
    """Some hours of some days of the week, by the clocks of a time zone.

    The rule is that of the clock on the wall there: the window is open while that clock shows a
    time from `start` until before `end`, on one of its days. A window that passes midnight
    belongs to the day on which it starts. Only UTC is turned into local time, never the other
    way round, and that always has one answer (PEP 495). So in both changes of daylight saving:

    - Local times that do not exist (the clock is put forward) are never shown: what lies between
      them is left out, a window that starts among them opens at the change, and one that lies
      among them as a whole does not open on that day.
    - Local times that exist twice (the clock is put back; `fold` 0 and 1) count both times:
      a window that ends among them closes, opens again at the change, and closes a second time.
    """

    model_config = ConfigDict(frozen=True)

    days: tuple[int, ...]
    """0 is Monday."""
    start: int
    """Minutes after midnight."""
    end: int
    """Minutes after midnight, at the most 24:00; below `start` on the next day."""
    zone: str
    """An IANA name."""

    def contains(self, moment: datetime) -> bool:
        """Whether the window is open at the aware moment."""
        local = moment.astimezone(ZoneInfo(self.zone))
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        if minute >= self.start:
            return today in self.days
        return minute < self.end and (today - 1) % 7 in self.days

    def __str__(self) -> str:
        end = "24:00" if self.end == _MIDNIGHT else _clock(self.end)
        return f"{_days_text(self.days)} {_clock(self.start)}-{end} {self.zone}"


@dataclass(frozen=True)
class Standing:
    """Whether windows are open, and the UTC moment at which that changes next."""

    open: bool
    until: datetime | None = None
    """None: it never changes, as far as can be foreseen (AHEAD)."""
    freeze: str = ""
    """The freeze that closes what would be open otherwise."""
    zone: str = "UTC"
    """That of a freeze which begins or ends at the change."""


def standing(
    windows: Sequence[Window], moment: datetime, calendars: Iterable[str] = ()
) -> Standing:
    """How windows stand at the aware moment.

    They are open when any of them is, or when there are none, unless a freeze of the calendars
    (their texts) goes on.

    Raises:
        ValueError: The moment has no time zone, or a calendar is none.
    """
    if moment.tzinfo is None:
        raise ValueError("expected a moment with a time zone")
    moment = moment.astimezone(UTC).replace(microsecond=0)
    frozen = freezes(calendars, moment, moment + AHEAD)
    now = _open(windows, frozen, moment)
    name = _freeze(frozen, moment).name if _any_open(windows, moment) and not now else ""
    for candidate in _candidates(windows, frozen, moment):
        if _open(windows, frozen, candidate) != now:
            edges = (each.zone for each in frozen if candidate in (each.begin, each.end))
            return Standing(now, candidate, name, next(edges, "UTC"))
    return Standing(now, freeze=name)


def change_text(windows: Sequence[Window], found: Standing) -> str:
    """`opens 2026-11-24 09:00 Europe/Amsterdam`: the next change, by the clock of its window."""
    verb = "closes" if found.open else "opens"
    because = f" (frozen: {found.freeze})" if found.freeze else ""
    if found.until is None:
        return f"never {verb}{because}"
    side = found.until - _SECOND if found.open else found.until
    zone = next((window.zone for window in windows if window.contains(side)), found.zone)
    local = found.until.astimezone(ZoneInfo(zone))
    return f"{verb} {local:%Y-%m-%d %H:%M} {zone}{because}"


def parse_window(text: str) -> Window:
    """Read `MON-THU 09:00-16:00 Europe/Amsterdam`.

    Days: `MON`, `MON-THU`, `SAT-MON`, `MON,WED-FRI` or `DAILY`. An end may be `24:00`; one
    before the start passes midnight. The zone is an IANA name.

    Raises:
        NotAWindow: It is none; a ValueError.
    """
    words = text.split()
    if len(words) == 2 and _TIMES.fullmatch(words[1]):
        hint = f"add the name of a time zone: {text.strip()} Europe/Amsterdam, or UTC"
        raise NotAWindow(f"a time zone after {words[1]}", f"{text!r}", hint)
    if len(words) != 3:
        raise NotAWindow(FORM, f"{text!r}", f"write it such as {EXAMPLE}")
    start, end = _times(words[1])
    return Window(days=_days(words[0]), start=start, end=end, zone=_zone(words[2]))


def _read(value: Any) -> Any:
    if isinstance(value, str):
        return parse_window(value)
    if isinstance(value, Window):
        return value
    raise NotAWindow(FORM, f"a {type(value).__name__}", f"write it such as {EXAMPLE}")


WindowText = Annotated[
    Window,
    BeforeValidator(_read),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string"}),
]
"""A window that is written, and stored, as its text."""


def _open(windows: Sequence[Window], frozen: Sequence[Freeze], moment: datetime) -> bool:
    return _any_open(windows, moment) and not any(_covers(each, moment) for each in frozen)


def _any_open(windows: Sequence[Window], moment: datetime) -> bool:
    return not windows or any(window.contains(moment) for window in windows)


def _covers(freeze: Freeze, moment: datetime) -> bool:
    return freeze.begin <= moment < freeze.end


def _freeze(frozen: Sequence[Freeze], moment: datetime) -> Freeze:
    """The one that goes on longest of those that go on."""
    return max((each for each in frozen if _covers(each, moment)), key=lambda each: each.end)


def _candidates(
    windows: Sequence[Window], frozen: Sequence[Freeze], moment: datetime
) -> Iterator[datetime]:
    """The moments after this one at which a window or a freeze may begin or end, in order."""
    edges = sorted(edge for each in frozen for edge in (each.begin, each.end) if edge > moment)
    return merge(_changes(windows, moment) if windows else (), edges)


def _changes(windows: Sequence[Window], moment: datetime) -> Iterator[datetime]:
    first = moment
    while first < moment + AHEAD:
        last = first + _DAY
        found = {each for window in windows for each in _starts_and_ends(window, first)}
        found |= {_offset_change(zone, first, last) for zone in {w.zone for w in windows}}
        yield from sorted(each for each in found if first < each <= last)
        first = last


def _starts_and_ends(window: Window, first: datetime) -> Iterator[datetime]:
    """More than those of the day that begins at `first`; both where a local time exists twice."""
    zone = ZoneInfo(window.zone)
    today = first.astimezone(zone).date()
    for days in range(-1, 3):
        for minute in (window.start, window.end):
            local = _wall(today + days * _DAY, minute)
            for fold in (0, 1):
                yield local.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _wall(day: date, minute: int) -> datetime:
    return datetime.combine(day, time()) + timedelta(minutes=minute)


def _offset_change(name: str, first: datetime, last: datetime) -> datetime:
    """The second at which the zone's clock is put forward or back in between; else `last`."""
    zone = ZoneInfo(name)
    before = first.astimezone(zone).utcoffset()
    if last.astimezone(zone).utcoffset() == before:
        return last
    while last - first > _SECOND:
        middle = first + (last - first) // 2 // _SECOND * _SECOND
        if middle.astimezone(zone).utcoffset() == before:
            first = middle
        else:
            last = middle
    return last


def _days(text: str) -> tuple[int, ...]:
    if text.upper() == "DAILY":
        return tuple(range(7))
    found: set[int] = set()
    for part in text.upper().split(","):
        first, dash, last = part.partition("-")
        ends = [first, last] if dash else [first, first]
        if not set(ends) <= set(DAYS):
            hint = "write MON, MON-THU, SAT-MON, MON,WED-FRI or DAILY"
            raise NotAWindow(f"days among {', '.join(DAYS)}", f"{text!r}", hint)
        begin, end = (DAYS.index(day) for day in ends)
        found |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return tuple(sorted(found))


def _times(text: str) -> tuple[int, int]:
    match = _TIMES.fullmatch(text)
    if not match:
        hint = "write 24-hour times such as 09:00-16:00; 24:00 may be an end"
        raise NotAWindow("times as HH:MM-HH:MM", f"{text!r}", hint)
    start = int(match[1]) * 60 + int(match[2])
    end = int(match[3]) * 60 + int(match[4]) if match[3] else _MIDNIGHT
    if start == end:
        hint = "write 00:00-24:00 for the whole day"
        raise NotAWindow("an end that is not the start", f"{text!r}", hint)
    return start, end


def _zone(name: str) -> str:
    try:
        if not _ZONE.fullmatch(name):
            raise ValueError(name)
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        near = _like(name[:_LONGEST])
        meant = f"did you mean {near[0]}? if not, " if near else ""
        hint = f"{meant}write an IANA name such as Europe/Amsterdam, America/New_York or UTC"
        raise NotAWindow("the IANA name of a time zone", f"{name!r}", hint) from None
    return name


def _like(name: str) -> list[str]:
    """Zones with this city, or with nearly this name; `CEST` must not become `EST`."""
    known = sorted(zone for zone in available_timezones() if "/" in zone)
    same = [zone for zone in known if zone.lower().endswith(f"/{name.lower()}")]
    return same or difflib.get_close_matches(name, known, n=1, cutoff=0.8)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _days_text(days: tuple[int, ...]) -> str:
    """Days in the fewest words: `MON,WED-FRI`, and `SAT-MON` rather than `MON,SAT-SUN`."""
    if len(days) == 7:
        return "DAILY"
    turned = next(day for day in range(7) if day in days and (day - 1) % 7 not in days)
    if {0, 6} <= set(days):
        turned = max(day for day in range(7) if day in days and (day - 1) % 7 not in days)
    steps = sorted((day - turned) % 7 for day in days)
    runs = []
    for _, run in groupby(enumerate(steps), lambda each: each[1] - each[0]):
        names = [DAYS[(step + turned) % 7] for _, step in run]
        runs.append(f"{names[0]}-{names[-1]}" if names[1:] else names[0])
    return ",".join(runs)
