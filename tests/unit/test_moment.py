"""Moments as people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.moment import parse_moment

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-17T09:00:00Z", datetime(2026, 11, 17, 9, tzinfo=UTC)),
        ("2026-11-17T09:00:00+02:00", datetime(2026, 11, 17, 7, tzinfo=UTC)),
        ("2026-11-17 09:00+00:00", datetime(2026, 11, 17, 9, tzinfo=UTC)),
        ("2026-11-17", datetime(2026, 11, 17, tzinfo=UTC)),
        ("now", NOW),
        ("yesterday", NOW - timedelta(days=1)),
        ("last  Week", NOW - timedelta(days=7)),
        ("7d ago", NOW - timedelta(days=7)),
        ("7d", NOW - timedelta(days=7)),
        ("2w ago", NOW - timedelta(days=14)),
        ("90m ago", NOW - timedelta(minutes=90)),
    ],
)
def test_what_is_understood(text: str, expected: datetime) -> None:
    assert parse_moment(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-11-17T09:00:00", "lacks its zone; write 2026-11-17T09:00:00Z"),
        ("2026-11-25", "has not come yet"),
        ("9999-12-31T23:59:59-14:00", "beyond the calendar"),
        ("last month", "is no moment; write 2026-11-17T09:00:00Z"),
        ("", "is no moment"),
        ("ago", "is no moment"),
        ("-1d", "is no moment"),
    ],
)
def test_what_is_not(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_moment(text, NOW)


@given(
    moment=st.datetimes(max_value=datetime(2026, 11, 20)),
    zone=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
)
def test_every_moment_with_a_zone_is_understood(moment: datetime, zone: timezone) -> None:
    there = moment.replace(tzinfo=zone)
    try:
        expected = there.astimezone(UTC)
    except OverflowError:
        return

    assert parse_moment(there.isoformat(), NOW) == expected
