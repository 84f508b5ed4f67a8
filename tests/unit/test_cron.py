"""Cron lines: read as an independent model reads them, refused with what was expected."""

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apollo.domain.cron import parse_cron, runs

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True)
class Piece:
    """A part of a field, and the values that it means, made together."""

    text: str
    values: frozenset[int]


def pieces(least: int, most: int, words: tuple[str, ...] = ()) -> st.SearchStrategy[Piece]:
    def name(value: int) -> str:
        return words[(value - least) % len(words)].upper() if words else f"{value}"

    value = st.integers(least, most)
    step = st.integers(1, 70)
    return st.one_of(
        st.just(Piece("*", frozenset(range(least, most + 1)))),
        value.map(lambda v: Piece(f"{v:02}", frozenset({v}))),
        value.map(lambda v: Piece(name(v), frozenset({v}))),
        step.map(lambda s: Piece(f"*/{s}", frozenset(range(least, most + 1)[::s]))),
        st.tuples(value, value, step).map(
            lambda t: Piece(
                f"{min(t[:2])}-{max(t[:2])}/{t[2]}",
                frozenset(
                    v for v in range(min(t[:2]), max(t[:2]) + 1) if (v - min(t[:2])) % t[2] == 0
                ),
            )
        ),
    )


def fields(least: int, most: int, words: tuple[str, ...] = ()) -> st.SearchStrategy[Piece]:
    return st.lists(pieces(least, most, words), min_size=1, max_size=3).map(
        lambda parts: Piece(
            ",".join(part.text for part in parts), frozenset().union(*(p.values for p in parts))
        )
    )


LINES = st.tuples(
    fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12, MONTHS), fields(0, 6, DAYS)
)


@given(LINES)
def test_a_line_means_what_its_pieces_mean(made: tuple[Piece, ...]) -> None:
    assume(min(made[2].values) <= 28)
    cron = parse_cron("  ".join(piece.text for piece in made))

    found = (cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays)
    assert [set(values) for values in found] == [piece.values for piece in made]
    assert all(list(values) == sorted(values) for values in found)


@given(st.sets(st.integers(0, 59), min_size=1))
def test_runs_are_the_values_again_and_none_touches_the_next(values: set[int]) -> None:
    found = list(runs(sorted(values)))

    assert [v for first, last in found for v in range(first, last + 1)] == sorted(values)
    assert all(b[0] > a[1] + 1 for a, b in itertools.pairwise(found))


def test_sunday_is_0_and_7_and_may_end_a_range() -> None:
    assert parse_cron("0 0 * * 7").weekdays == (0,)
    assert parse_cron("0 0 * * FRI-SUN").weekdays == (0, 5, 6)
    assert parse_cron("0 0 * * 5-7").weekdays == (0, 5, 6)
    assert parse_cron("0 0 * * sun-tue").weekdays == (0, 1, 2)


def test_words_for_whole_lines() -> None:
    assert parse_cron("@daily").text == "0 0 * * *"
    assert parse_cron("@Weekly").weekdays == (0,)


def test_two_kinds_of_days_are_told_apart() -> None:
    assert parse_cron("0 10 1-7 * TUE").both_days
    assert not parse_cron("0 10 * * TUE").both_days
    assert not parse_cron("0 10 1 * *").both_days


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "expected five fields or one of @hourly, @daily, @weekly, @monthly, @yearly; found 0"),
        (
            "0 0 10 * * TUE",
            "expected five fields or one of @hourly, @daily, @weekly, @monthly, @ye",
        ),
        ("@every 5m", "found 2: '@every 5m'"),
        ("60 * * * *", "minute: expected 0 to 59; found '60'"),
        ("0 25 * * *", "hour: expected 0 to 23; found '25'"),
        ("0 0 0 * *", "day of the month: expected 1 to 31; found '0'"),
        ("0 0 L * *", "day of the month: expected 1 to 31; found 'L'"),
        ("0 0 ? * *", "day of the month: expected 1 to 31; found '?'"),
        ("0 0 * TUE *", "month: expected 1 to 12, or JAN to DEC; found 'TUE'"),
        ("0 0 * * TUESDAY", "day of the week: expected 0 to 7, or SUN to SAT; found 'TUESDAY'"),
        ("0 0 * * TUE#1", "day of the week: expected 0 to 7, or SUN to SAT; found 'TUE#1'"),
        ("0 17-9 * * *", "hour: expected a range that goes up; found '17-9'"),
        ("*/0 * * * *", "minute: expected a step of at least 1; found /0"),
        ("5/10 * * * *", "minute: expected 0 to 59; found '5/10'"),
        ("1,,2 * * * *", "minute: expected 0 to 59; found ''"),
        ("٣ * * * *", "minute: expected 0 to 59; found '٣'"),
        ("0 0 30 2 *", "expected a day that exists; found day 30 of month 2"),
        ("0 0 31 4,6 *", "expected a day that exists; found day 31 of month 4,6"),
    ],
)
def test_what_is_no_line_is_refused(line: str, told: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_cron(line)

    assert told in str(caught.value)
