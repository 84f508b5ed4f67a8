"""Freezes of calendars, alone and with windows, against a model that walks the minutes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.freezes import NotACalendar, check_calendar, freezes
from apollo.domain.windows import change_text, parse_window, standing
from apollo.files.environment import resolve
from apollo.files.mistakes import InvalidFiles
from apollo.files.project import load_project
from apollo.proof.hours import Hours, is_frozen

MINUTE = timedelta(minutes=1)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
WALK = 3 * 24 * 60


def calendar(*events: str, zone: str = "") -> str:
    """A calendar whose events have these lines, separated by `|`."""
    lines = [f"X-WR-TIMEZONE:{zone}"] if zone else []
    for number, event in enumerate(events):
        lines += ["BEGIN:VEVENT", f"UID:{number}", *event.split("|"), "END:VEVENT"]
    return "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *lines, "END:VCALENDAR", ""])


def times(text: str, days: int = 400) -> list[str]:
    """What a calendar says from NOW on."""
    found = freezes([text], NOW, NOW + timedelta(days=days))
    return [f"{each.name} {each.begin:%m-%dT%H:%M}/{each.end:%m-%dT%H:%M}" for each in found]


@pytest.mark.parametrize(
    ("event", "zone", "found"),
    [
        (
            "SUMMARY:Holidays|DTSTART;VALUE=DATE:20261224|DTEND;VALUE=DATE:20261227",
            "Europe/Amsterdam",
            "Holidays 12-23T23:00/12-26T23:00",
        ),
        ("SUMMARY:One day|DTSTART;VALUE=DATE:20261201", "", "One day 12-01T00:00/12-02T00:00"),
        (
            "SUMMARY:There|DTSTART;TZID=America/New_York:20261128T090000|DURATION:PT2H",
            "Europe/Amsterdam",
            "There 11-28T14:00/11-28T16:00",
        ),
        (
            "SUMMARY:Floating|DTSTART:20261129T090000|DTEND:20261129T100000",
            "Asia/Tokyo",
            "Floating 11-29T00:00/11-29T01:00",
        ),
        (
            "DTSTART:20261127T113000Z|DTEND:20261127T123000Z",
            "",
            "an event without a name 11-27T11:30/11-27T12:30",
        ),
    ],
)
def test_an_event_is_read(event: str, zone: str, found: str) -> None:
    assert times(calendar(event, zone=zone)) == [found]


def test_events_recur_and_some_are_cancelled() -> None:
    yearly = "SUMMARY:Yearly|DTSTART;VALUE=DATE:20201224|RRULE:FREQ=YEARLY"
    cancelled = "SUMMARY:Off|DTSTART;VALUE=DATE:20261201|STATUS:CANCELLED"
    past = "SUMMARY:Past|DTSTART:20261127T100000Z|DTEND:20261127T120000Z"

    assert times(calendar(yearly, cancelled, past), days=300) == ["Yearly 12-24T00:00/12-25T00:00"]
    assert len(times(calendar(yearly), days=800)) == 3


def test_a_freeze_closes_an_open_window_and_says_so() -> None:
    windows = [parse_window("DAILY 08:00-18:00 Europe/Amsterdam")]
    frozen = calendar(
        "SUMMARY:Launch|DTSTART:20261127T110000Z|DTEND:20261128T110000Z",
        "SUMMARY:Short|DTSTART:20261127T110000Z|DTEND:20261127T130000Z",
    )
    found = standing(windows, NOW, [frozen])
    opens = "opens 2026-11-28 12:00 Europe/Amsterdam (frozen: Launch)"

    assert change_text(windows, found) == opens
    assert standing(windows, NOW).open
    assert found.until
    assert standing(windows, found.until, [frozen]).open


def test_without_windows_a_freeze_is_told_in_its_calendars_zone() -> None:
    frozen = calendar("SUMMARY:Day|DTSTART;VALUE=DATE:20261127", zone="Europe/Amsterdam")

    found = standing([], NOW, [frozen])
    assert change_text([], found) == "opens 2026-11-28 00:00 Europe/Amsterdam (frozen: Day)"
    before = standing([], NOW - timedelta(days=1), [frozen])
    assert change_text([], before) == "closes 2026-11-27 00:00 Europe/Amsterdam"
    after = standing([], NOW + timedelta(days=1), [frozen])
    assert change_text([], after) == "never closes"


SPANS = st.lists(st.tuples(st.integers(-600, WALK), st.integers(1, 900)), max_size=4)
WINDOWS = st.sampled_from([(), ("DAILY 09:00-17:00 Europe/Amsterdam",), ("SAT 00:00-24:00 UTC",)])


@given(SPANS, WINDOWS)
def test_windows_and_freezes_change_when_the_minutes_say(
    spans: list[tuple[int, int]], texts: tuple[str, ...]
) -> None:
    form = "%Y%m%dT%H%M%SZ"
    events = [
        f"DTSTART:{NOW + MINUTE * begin:{form}}|DTEND:{NOW + MINUTE * (begin + length):{form}}"
        for begin, length in spans
    ]
    text, windows = calendar(*events), [parse_window(each) for each in texts]

    def is_open(minute: int) -> bool:
        shown = not windows or any(w.contains(NOW + MINUTE * minute) for w in windows)
        return shown and not any(begin <= minute < begin + length for begin, length in spans)

    found = standing(windows, NOW, [text])
    now = is_open(0)
    change = next((minute for minute in range(WALK) if is_open(minute) != now), None)

    assert found.open is now
    if change is not None:
        assert found.until == NOW + MINUTE * change
    else:
        assert found.until is None or found.until >= NOW + MINUTE * WALK
    judged = Hours(texts, (text,))
    for minute in {0, change or 0, WALK // 2}:
        assert judged.allow(NOW + MINUTE * minute) is is_open(minute)


def test_the_judge_reads_days_in_the_calendars_zone() -> None:
    text = calendar("DTSTART;VALUE=DATE:20261127", zone="Asia/Tokyo")

    assert is_frozen(text, datetime(2026, 11, 26, 15, tzinfo=UTC))
    assert not is_frozen(text, datetime(2026, 11, 26, 14, 59, tzinfo=UTC))
    assert not is_frozen(text, datetime(2026, 11, 27, 15, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Found no components"),
        ("junk", "could not be parsed"),
        (calendar("SUMMARY:Sale|DTSTART:soon"), "Sale, whose beginning or end cannot be read"),
        (calendar("SUMMARY:Sale"), "Sale, whose beginning or end cannot be read"),
    ],
)
def test_what_is_no_calendar_is_told(text: str, told: str) -> None:
    with pytest.raises(NotACalendar, match=told):
        check_calendar(text)


PROJECT = """\
application: shop
setup: {root: /srv/shop}
environments:
  dev:
    fleet: {hosts: {web1: 10.0.1.1}}
    freezes: [freezes/sales.ics]
"""


def test_a_project_keeps_the_text_of_its_calendars(tmp_path: Path) -> None:
    (tmp_path / "apollo.yaml").write_text(PROJECT)
    (tmp_path / "freezes").mkdir()
    text = calendar("DTSTART;VALUE=DATE:20261127")
    (tmp_path / "freezes" / "sales.ics").write_text(text)

    environment = resolve(load_project(tmp_path), "dev")
    assert environment.freezes == {"freezes/sales.ics": text}
    assert environment.timed


@pytest.mark.parametrize(
    ("text", "found"), [("junk", "freezes/sales.ics, with "), ("x" * 300_000, "has 300000")]
)
def test_a_mistake_names_the_calendar(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "apollo.yaml").write_text(PROJECT)
    (tmp_path / "freezes").mkdir()
    (tmp_path / "freezes" / "sales.ics").write_text(text)

    with pytest.raises(InvalidFiles) as refused:
        load_project(tmp_path)
    (only,) = refused.value.mistakes
    assert (only.line, only.path) == (6, "environments.dev.freezes[0]")
    assert found in only.found
