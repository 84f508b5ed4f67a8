"""What `check`, `plan` and `status` say of windows, and what `deploy --override` needs."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apollo.domain.windows import DAYS, parse_window, standing
from tests.cli.conftest import Shop

PAST = (
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20201224\nEND:VEVENT\nEND:VCALENDAR\n"
)
PAGE = Path(__file__).parents[2] / "docs" / "windows.md"
OPENS = re.compile(r"closed; opens \d{4}-\d\d-\d\d 09:00 Europe/Amsterdam$", re.MULTILINE)


@pytest.fixture
def closed(shop: Shop) -> Shop:
    """shop/prod with a window that opens in two days."""
    day = DAYS[(datetime.now(UTC).weekday() + 2) % 7]
    window = f'windows: ["{day} 09:00-16:00 Europe/Amsterdam"]'
    shop.edit("fleet: {inventory: fleet.yaml}", f"fleet: {{inventory: fleet.yaml}}\n    {window}")
    shop.good("apply")
    shop.good("release", "create", "1.0")
    return shop


def test_closed_windows_are_told_with_the_time_at_which_they_open(closed: Shop) -> None:
    for tokens in (("check",), ("plan", "prod", "1.0"), ("status", "prod"), ("status",)):
        assert len(OPENS.findall(closed.good(*tokens).out)) == 1, tokens

    plan = json.loads(closed.good("plan", "prod", "1.0", "--json").out)["windows"]
    (prod,) = json.loads(closed.good("status", "prod", "--json").out)["environments"]
    assert plan == prod["windows"]
    assert (plan["open"], len(plan["windows"])) == (False, 1)
    assert datetime.fromisoformat(plan["until"]) > datetime.now(UTC)


def test_an_open_window_is_told_where_one_environment_is_looked_at(closed: Shop) -> None:
    closed.edit("fleet: {hosts", "windows: [DAILY 00:00-24:00 UTC]\n    fleet: {hosts")
    closed.good("apply")

    assert "windows open; never closes" in closed.good("check").out
    assert re.search(r"windows +open; never closes", closed.good("status", "dev").out)
    dev = next(line for line in closed.good("status").out.splitlines() if "shop/dev" in line)
    assert "windows" not in dev


def test_without_windows_nothing_is_said_of_them(applied: Shop) -> None:
    for tokens in (("check",), ("plan", "prod", "1.0"), ("status", "prod"), ("status",)):
        assert "window" not in applied.good(*tokens).out
    assert json.loads(applied.good("plan", "prod", "1.0", "--json").out)["windows"] == {
        "windows": [],
        "freezes": [],
        "open": True,
        "until": None,
    }


def test_a_change_of_windows_is_shown_before_it_is_applied(closed: Shop) -> None:
    closed.edit("09:00-16:00", "09:00-17:00")

    said = closed("deploy", "prod", "1.0", "--override", "now")

    assert said.code == 5
    assert "windows[1]" in said.err


def test_an_override_needs_a_reason(closed: Shop) -> None:
    said = closed("deploy", "prod", "1.0", "--override", " ")

    assert said.code == 2
    assert "--override needs a reason" in said.err
    told = closed("deploy", "prod", "1.0", "--override", "the site is down", "--yes")
    assert "It keeps to no window and waits for no approval: the site is down" in told.err


def test_the_page_about_windows_is_true(shop: Shop) -> None:
    """Its windows are applied, its commands carried out; only a server is missing for the last."""
    page = PAGE.read_text(encoding="utf-8")
    windows, freezes = re.findall(r"^```yaml\n(.*?)```$", page, re.MULTILINE | re.DOTALL)
    shop.edit("    fleet: {inventory", f"{windows}{freezes}    fleet: {{inventory")
    (shop.folder / "freezes").mkdir()
    (shop.folder / "freezes" / "holidays.ics").write_text(PAST)
    shop.good("release", "create", "1.0")
    commands = re.findall(r"^\$ apollo (.*)$", page, re.MULTILINE)
    *quiet, last = map(shlex.split, commands)
    assert [command[0] for command in quiet] == ["check", "apply", "plan", "status"]

    said = {command[0]: shop.good(*command).out for command in quiet}
    for word in ("check", "plan", "status"):
        change = r"(open; closes|closed; opens) 20\d\d-\d\d-\d\d \d\d:00 Europe/Amsterdam"
        assert re.search(change, said[word])
    refused = shop(*last)
    assert "It keeps to no window and waits for no approval: the site is down" in refused.err
    assert "no Temporal server answers" in refused.err


def test_the_page_says_what_daylight_saving_does() -> None:
    text = PAGE.read_text(encoding="utf-8")
    spring, autumn = (f"2026-{day}T{{}}:00+00:00" for day in ("03-29", "10-25"))
    for window, changes in {
        "02:30-05:00": [(spring, "01:00")],
        "01:00-02:30": [(spring, "00:00"), (spring, "01:00"), (autumn, "00:30"), (autumn, "01:00")],
    }.items():
        assert f"`{window}`" in text
        parsed = [parse_window(f"DAILY {window} Europe/Amsterdam")]
        for day, at in changes:
            change = datetime.fromisoformat(day.format(at))
            before = standing(parsed, change - timedelta(minutes=1))
            assert before.until == change
