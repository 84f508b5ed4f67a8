"""Windows against a model that walks the minutes, through both changes of daylight saving."""

from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from apollo.domain.windows import (
    DAYS,
    NotAWindow,
    Standing,
    Window,
    WindowText,
    change_text,
    parse_window,
    standing,
)

MINUTE = timedelta(minutes=1)
WEEK = 7 * 24 * 60
CHANGES = {
    "Europe/Amsterdam": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),
    "Africa/Casablanca": ("2026-02-15T02:00", "2026-03-22T02:00"),
}
ZONES = [*CHANGES, "UTC"]
WALK = 17 * 24 * 60
"""Minutes: a weekly window may miss a week, when the time at which it opens does not exist."""


class Written(NamedTuple):
    """A window as the model knows it: the minutes of the week in which it is open."""

    text: str
    zone: str
    minutes: frozenset[int]


@cache
def walls(begin: str, zone: str) -> list[int]:
    """What the clock there shows, as minutes of the week, at each minute from `begin` on."""
    first, place = datetime.fromisoformat(f"{begin}+00:00"), ZoneInfo(zone)
    shown = ((first + step * MINUTE).astimezone(place) for step in range(WALK))
    return [each.weekday() * 1440 + each.hour * 60 + each.minute for each in shown]


@st.composite
def windows(draw: st.DrawFn) -> Written:
    """Any window, often with an end close to the hour at which clocks are changed."""
    spans = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=2))
    days = {(first + step) % 7 for first, last in spans for step in range((last - first) % 7 + 1)}
    words = [DAYS[a] if a == b else f"{DAYS[a]}-{DAYS[b]}" for a, b in spans]
    minute = st.one_of(st.integers(0, 1439), st.integers(0, 19).map(lambda n: n * 15))
    start, end = draw(minute), draw(st.one_of(minute, st.just(1440)))
    if start == end:
        end += 1
    zone = draw(st.sampled_from(ZONES))
    length = (end - start) % 1440 or 1440
    minutes = {(day * 1440 + start + n) % WEEK for day in days for n in range(length)}
    clock = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    return Written(f"{','.join(words)} {clock} {zone}", zone, frozenset(minutes))


def walk(given: list[Written], begin: str) -> list[bool]:
    """Whether any window is open, minute by minute."""
    shown = [(walls(begin, each.zone), each.minutes) for each in given]
    return [any(wall[step] in minutes for wall, minutes in shown) for step in range(WALK)]


@given(
    st.lists(windows(), min_size=1, max_size=3),
    st.sampled_from([moment for both in CHANGES.values() for moment in both]),
    st.integers(0, 4 * 24 * 60),
    st.integers(0, 59_999_999),
)
def test_windows_stand_as_the_clock_on_the_wall_says(
    given: list[Written], change: str, minutes: int, microseconds: int
) -> None:
    begin = (datetime.fromisoformat(change) - timedelta(days=2)).isoformat()
    truth = walk(given, begin)[minutes:]
    at = datetime.fromisoformat(f"{begin}+00:00") + minutes * MINUTE
    found = standing(
        [parse_window(each.text) for each in given], at + timedelta(microseconds=microseconds)
    )
    assert found.open == truth[0]
    if truth.count(truth[0]) < len(truth):
        assert found.until == at + truth.index(not truth[0]) * MINUTE
    else:
        assert found.until is None or found.until >= at + len(truth) * MINUTE


def test_the_model_meets_both_changes() -> None:
    """The control: every zone's clock jumps at the moments above, and UTC's never."""
    for zone, changes in CHANGES.items():
        for change in changes:
            begin = datetime.fromisoformat(change) - timedelta(days=2)
            wall = walls(begin.isoformat(), zone)
            jumps = {step for step in range(1, WALK) if (wall[step] - wall[step - 1]) % WEEK != 1}
            assert 2 * 24 * 60 in jumps, (zone, change)


@given(windows())
def test_a_window_is_stored_as_its_text(given: Written) -> None:
    adapter: TypeAdapter[Window] = TypeAdapter(WindowText)
    window = adapter.validate_python(given.text)
    stored = adapter.dump_python(window, mode="json")
    assert isinstance(stored, str)
    assert adapter.validate_python(stored) == window == parse_window(stored)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def times_of(text: str, first: str, count: int) -> list[str]:
    """The next moments, in UTC, at which a window changes."""
    moment, found = utc(first), []
    for _ in range(count):
        until = standing([parse_window(text)], moment).until
        assert until is not None
        moment = until
        found.append(f"{until:%m-%dT%H:%M}")
    return found


@pytest.mark.parametrize(
    ("text", "first", "changes"),
    [
        # The clock is put forward at 02:00 (01:00 UTC): 02:00-03:00 does not exist.
        ("SUN 01:30-05:00 Europe/Amsterdam", "2026-03-29T00:00", ["03-29T00:30", "03-29T03:00"]),
        ("SUN 02:30-05:00 Europe/Amsterdam", "2026-03-29T00:00", ["03-29T01:00", "03-29T03:00"]),
        ("SUN 01:00-02:30 Europe/Amsterdam", "2026-03-28T00:00", ["03-29T00:00", "03-29T01:00"]),
        ("SUN 02:10-02:50 Europe/Amsterdam", "2026-03-28T00:00", ["04-05T00:10", "04-05T00:50"]),
        # It is put back at 03:00 (01:00 UTC): 02:00-03:00 exists twice.
        ("SUN 01:30-05:00 Europe/Amsterdam", "2026-10-24T22:00", ["10-24T23:30", "10-25T04:00"]),
        (
            "SUN 01:00-02:30 Europe/Amsterdam",
            "2026-10-24T22:00",
            ["10-24T23:00", "10-25T00:30", "10-25T01:00", "10-25T01:30"],
        ),
        (
            "SUN 02:30-05:00 Europe/Amsterdam",
            "2026-10-24T22:00",
            ["10-25T00:30", "10-25T01:00", "10-25T01:30", "10-25T04:00"],
        ),
        # By half an hour, from 02:00 to 01:30.
        (
            "SUN 01:00-01:45 Australia/Lord_Howe",
            "2026-04-04T12:00",
            ["04-04T14:00", "04-04T14:45", "04-04T15:00", "04-04T15:15"],
        ),
    ],
)
def test_what_does_not_exist_is_left_out_and_what_exists_twice_counts_twice(
    text: str, first: str, changes: list[str]
) -> None:
    assert times_of(text, first, len(changes)) == changes


def test_a_window_that_passes_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    window = [parse_window("FRI 22:00-02:00 Europe/Amsterdam")]
    assert standing(window, utc("2026-11-27T00:30")) == Standing(False, utc("2026-11-27T21:00"))
    assert standing(window, utc("2026-11-28T00:30")) == Standing(True, utc("2026-11-28T01:00"))


def test_overlapping_and_adjacent_windows_are_one() -> None:
    texts = ["MON 09:00-12:00 UTC", "MON 11:00-14:00 UTC", "MON 15:00-18:00 Europe/Amsterdam"]
    found = standing([parse_window(text) for text in texts], utc("2026-11-23T09:30"))
    assert found == Standing(True, utc("2026-11-23T17:00"))


def test_what_never_changes() -> None:
    noon = utc("2026-11-23T12:00")
    assert standing([], noon) == Standing(True, None)
    whole = [parse_window("MON-FRI 00:00-24:00 UTC"), parse_window("SAT-SUN 00:00-24:00 UTC")]
    assert standing(whole, noon) == Standing(True, None)
    assert change_text(whole, standing(whole, noon)) == "never closes"


def test_windows_of_two_places_part_for_the_weeks_between_their_changes() -> None:
    """New York is six hours behind Amsterdam, but for some weeks in spring and autumn five."""
    texts = ["DAILY 00:00-12:00 Europe/Amsterdam", "DAILY 06:00-18:00 America/New_York"]
    found = standing([parse_window(text) for text in texts], utc("2026-11-23T12:00"))
    assert found == Standing(True, utc("2027-03-14T22:00"))


def test_a_change_is_told_by_the_clock_of_its_window() -> None:
    texts = ["MON 09:00-16:00 Europe/Amsterdam", "MON 16:00-18:00 Asia/Tokyo"]
    both = [parse_window(text) for text in texts]
    before, open_ = utc("2026-11-23T06:30"), utc("2026-11-23T08:30")
    assert change_text(both, standing(both, before)) == "opens 2026-11-23 16:00 Asia/Tokyo"
    assert change_text(both, standing(both, open_)) == "closes 2026-11-23 16:00 Europe/Amsterdam"


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        standing([parse_window("MON 09:00-16:00 UTC")], datetime(2026, 11, 23))


@pytest.mark.parametrize(
    ("text", "expected", "hint"),
    [
        ("", "DAYS HH:MM-HH:MM ZONE", "MON-THU 09:00-16:00 Europe/Amsterdam"),
        ("MON 09:00-16:00", "a time zone after 09:00-16:00", "MON 09:00-16:00 Europe/Amsterdam"),
        ("MON-FUN 09:00-16:00 UTC", "days among MON, TUE", "SAT-MON"),
        ("MON, 09:00-16:00 UTC", "days among MON, TUE", "MON,WED-FRI"),
        ("MON 9-16 UTC", "times as HH:MM-HH:MM", "09:00-16:00"),
        ("MON 24:00-10:00 UTC", "times as HH:MM-HH:MM", "24:00 may be an end"),
        ("MON 09:00-24:01 UTC", "times as HH:MM-HH:MM", "24:00 may be an end"),
        ("MON 09:00-09:00 UTC", "an end that is not the start", "00:00-24:00"),
        ("MON 09:00-10:00 Europe/Amstredam", "the IANA name", "did you mean Europe/Amsterdam?"),
        ("MON 09:00-10:00 CEST", "the IANA name", "write an IANA name"),
        ("MON 09:00-10:00 tokyo", "the IANA name", "did you mean Asia/Tokyo?"),
        ("MON 09:00-10:00 Europe", "the IANA name", "Europe/Amsterdam"),
        ("MON 09:00-10:00 ../etc/passwd", "the IANA name", "Europe/Amsterdam"),
        ("MON 09:00-10:00 localtime", "the IANA name", "write an IANA name"),
    ],
)
def test_a_mistake_says_what_was_expected_what_was_found_and_what_to_write(
    text: str, expected: str, hint: str
) -> None:
    with pytest.raises(NotAWindow) as caught:
        parse_window(text)
    assert caught.value.expected.startswith(expected)
    assert caught.value.found.strip("'") in (text, *text.split())
    assert hint in caught.value.hint
    assert caught.value.found in str(caught.value)


def test_days_are_written_in_few_words() -> None:
    for days, stored in {
        "mon": "MON",
        "SAT,SUN,MON": "SAT-MON",
        "MON,TUE,WED,FRI": "MON-WED,FRI",
        "MON-SUN": "DAILY",
        "SUN,WED": "WED,SUN",
    }.items():
        assert str(parse_window(f"{days} 22:00-24:00 UTC")) == f"{stored} 22:00-24:00 UTC"
