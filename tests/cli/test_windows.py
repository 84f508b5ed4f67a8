"""What `check`, `plan` and `status` say of windows, and what `deploy --override` needs."""

import json
import re
from datetime import UTC, datetime

import pytest

from apollo.domain.windows import DAYS
from tests.cli.conftest import Shop

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
