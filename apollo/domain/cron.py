"""Cron lines of five fields: read as sets of values, refused with what was expected."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

EXAMPLE = 'write minute hour day-of-month month day-of-week, such as "0 10 * * TUE"'
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_PART = re.compile(
    r"(?P<all>\*)(?:/(?P<all_step>\d{1,4}))?|(?P<first>\w+)(?:-(?P<last>\w+)(?:/(?P<step>\d{1,4}))?)?"
)


class _Field(NamedTuple):
    name: str
    least: int
    most: int
    words: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        numbers = f"{self.least} to {self.most}"
        return f"{numbers}, or {self.words[0]} to {self.words[-1]}" if self.words else numbers


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, tuple(_MONTHS)),
    _Field("day of the week", 0, 7, tuple(_DAYS)),
)


@dataclass(frozen=True)
class Cron:
    """When a cron line matches: a time of which every field is in its set. Sunday is 0."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    @property
    def both_days(self) -> bool:
        """Whether days of the month and of the week are both narrowed: both must then match."""
        return len(self.days) < 31 and len(self.weekdays) < 7


def parse_cron(text: str) -> Cron:
    """Read five fields, with names, lists, ranges and steps; or `@hourly` and the like.

    Raises:
        ValueError: It is none, or matches no day; says what was expected and found.
    """
    words = _SHORT.get(text.strip().lower(), text).split()
    if len(words) != len(_FIELDS):
        short = ", ".join(_SHORT)
        raise ValueError(f"expected five fields or one of {short}; found {len(words)}: {text!r}")
    minutes, hours, days, months, weekdays = (
        tuple(sorted({value for part in word.split(",") for value in _values(part, field)}))
        for word, field in zip(words, _FIELDS, strict=True)
    )
    if all(days[0] > _LONGEST[month - 1] for month in months):
        raise ValueError(f"expected a day that exists; found day {words[2]} of month {words[3]}")
    weekdays = tuple(sorted({day % 7 for day in weekdays}))
    return Cron(" ".join(words), minutes, hours, days, months, weekdays)


def runs(values: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Sorted values as first and last of each run: 1, 2, 3, 5 are (1, 3) and (5, 5)."""
    first = last = values[0]
    for value in values[1:]:
        if value != last + 1:
            yield first, last
            first = value
        last = value
    yield first, last


def _values(part: str, field: _Field) -> range:
    match = _PART.fullmatch(part)
    if not match:
        raise ValueError(f"{field.name}: expected {field.expected}; found {part!r}")
    if match["all"]:
        return range(field.least, field.most + 1, _step(match["all_step"], field))
    first = _value(match["first"], field)
    last = _value(match["last"], field) if match["last"] else first
    if last == 0 < first and field.words and field.least == 0:
        last = 7  # FRI-SUN
    if last < first:
        raise ValueError(f"{field.name}: expected a range that goes up; found {part!r}")
    return range(first, last + 1, _step(match["step"], field))


def _value(text: str, field: _Field) -> int:
    if text.upper() in field.words:
        return field.words.index(text.upper()) + field.least
    value = int(text) if text.isascii() and text.isdecimal() else -1
    if not field.least <= value <= field.most:
        raise ValueError(f"{field.name}: expected {field.expected}; found {text!r}")
    return value


def _step(text: str | None, field: _Field) -> int:
    step = int(text or 1)
    if step < 1:
        raise ValueError(f"{field.name}: expected a step of at least 1; found /{text}")
    return step
