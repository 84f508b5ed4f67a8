"""When was this released, which hosts run it now, and last week? By the page, on a busy catalog."""

import json
import re
import shlex
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from apollo.catalog import Catalog
from apollo.catalog.records import ReleaseReach
from apollo.cli.run import run
from apollo.client import Apollo
from apollo.settings import Settings
from tests.support.past import RELEASES, SIZES, UNKNOWN, Past
from tests.support.statements import listening, questions

PAGE = Path(__file__).parents[2] / "docs" / "history.md"
COMMANDS = re.findall(r"^\$ apollo (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
WEEK = timedelta(days=7)
LARGE = ("deployment_hosts", "host_history", "host_state", "audit")


@dataclass(frozen=True)
class Busy:
    """A catalog with a past, and what the model remembers."""

    home: Path
    past: Past

    @property
    def file(self) -> Path:
        return self.home / "catalog.db"


async def _made(home: Path, deployments: int) -> Busy:
    real = datetime.now(UTC)
    past = Past(seed=13, start=real - timedelta(days=29), quiet=real - WEEK)
    busy = Busy(home, past)
    async with Catalog.open(f"sqlite+aiosqlite:///{busy.file}", clock=past.clock) as catalog:
        await catalog.migrate()
        await past.write(catalog, deployments)
    assert past.now < real, "the past lies behind us"
    return busy


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def busy(tmp_path_factory: pytest.TempPathFactory) -> Busy:
    return await _made(tmp_path_factory.mktemp("busy"), 200)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def calm(tmp_path_factory: pytest.TempPathFactory) -> Busy:
    return await _made(tmp_path_factory.mktemp("calm"), 9)


def _asked(question: str) -> str:
    """The command that the page gives for a question."""
    page = PAGE.read_text(encoding="utf-8")
    _, found, rest = page.partition(f"**{question}**")
    assert found, question
    return rest.partition("$ apollo ")[2].partition("\n")[0]


def _told(busy: Busy, command: str, capfd: pytest.CaptureFixture[str]) -> Any:
    capfd.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APOLLO_HOME", str(busy.home))
        patch.setenv("APOLLO_IDENTITY", "ada")
        code = run([*shlex.split(command), "--json"])
    out, err = capfd.readouterr()
    played = "--prove" in command  # nobody has had the lease: that breaks rules
    assert code == (1 if played else 0), err
    return json.loads(out)


def test_the_three_questions(busy: Busy, capfd: pytest.CaptureFixture[str]) -> None:
    model = busy.past.model
    when = _told(busy, _asked("When was 1.4.2 released to production?"), capfd)
    now = _told(busy, _asked("Which hosts run it now?"), capfd)
    then = _told(busy, _asked("And last week?"), capfd)

    (prod,) = [each for each in when["environments"] if each["environment"] == "prod"]
    assert datetime.fromisoformat(prod["reached_at"]) == model.reached["1.4.2", "prod"]
    assert prod["hosts"] == len(model.running("prod", "1.4.2"))
    assert {host["name"] for host in now["hosts"]} == model.running("prod", "1.4.2")
    week = model.running("prod", "1.4.2", datetime.now(UTC) - WEEK)
    assert {host["name"] for host in then["hosts"]} == week
    assert week, "it ran last week"
    assert week != model.running("prod", "1.4.2")


def test_the_same_of_every_release_and_environment(
    busy: Busy, capfd: pytest.CaptureFixture[str]
) -> None:
    model, seen = busy.past.model, 0
    for environment in SIZES:
        for release in RELEASES:
            for at in (None, datetime.now(UTC) - WEEK):
                words = f"hosts shop/{environment} --release {release}"
                words += " --at 7d" if at else ""
                found = {host["name"] for host in _told(busy, words, capfd)["hosts"]}
                assert found == model.running(environment, release, at)
                seen += len(found)
    assert seen > 60, "there was something to find"


async def test_every_past_moment_and_every_release(busy: Busy) -> None:
    model = busy.past.model
    real = datetime.now(UTC)
    moments = [real - timedelta(hours=hours) for hours in range(1, 29 * 24, 37)]
    known = 0
    async with Apollo.connect(Settings(home=busy.home)) as apollo:
        for environment, size in SIZES.items():
            for at in moments:
                states = await apollo.hosts("shop", environment, at=at)
                names = {f"web{n}" for n in range(1, size + 1)}
                expected = {name: model.runs(environment, name, at) for name in names}
                found = {name: states[name].release for name in states}
                assert found == {n: r for n, r in expected.items() if r != UNKNOWN}
                known += len(found)
        reach = await apollo.reach("shop", RELEASES)
    assert known > 500

    assert {
        (release, each.environment): each.reached_at
        for release, found in reach.items()
        for each in found
        if each.reached_at
    } == model.reached
    for release in RELEASES:
        for environment in SIZES:
            counted = _of(reach.get(release, []), environment)
            assert counted == len(model.running(environment, release))


def _of(reach: list[ReleaseReach], environment: str) -> int:
    return sum(each.hosts for each in reach if each.environment == environment)


def _plans(busy: Busy, heard: list[tuple[str, Any]]) -> list[str]:
    """How SQLite looks for what the statements ask."""
    plans = []
    with sqlite3.connect(busy.file) as connection:
        for statement, given in heard:
            if any(table in statement for table in LARGE):
                rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", tuple(given))
                plans += [row[3] for row in rows]
    return plans


@pytest.mark.parametrize("command", [c for c in COMMANDS if "shop" in c], ids=lambda c: c[:60])
def test_no_command_of_the_page_reads_a_whole_table_or_asks_for_each_row(
    busy: Busy, calm: Busy, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with listening() as sent:
        _told(calm, command, capfd)
    little = questions(sent)
    with listening() as sent:
        _told(busy, command, capfd)
    much = questions(sent)

    assert 0 < len(much) == len(little) < 40, "as many statements for 200 deployments as for 9"
    plans = _plans(busy, much)
    scans = [plan for plan in plans if re.match(rf"SCAN ({'|'.join(LARGE)})\b", plan)]
    assert scans == []


def test_a_scan_would_be_seen(busy: Busy) -> None:
    scan = [("SELECT * FROM host_history WHERE release = ?", ("1.4.2",))]
    assert _plans(busy, scan) == ["SCAN host_history"]


@pytest.mark.parametrize("command", [c for c in COMMANDS if "shop" not in c])
def test_commands_about_everything_work_too(
    busy: Busy, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _told(busy, command, capfd)
