"""Every fault in every step, on real OpenSSH hosts; docs/faults.md tells what each comes to."""

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from apollo.domain.status import Outcome
from tests.faults.stories import FAULTS, HOOKS, STEPS, Story, Teller
from tests.support.openssh import openssh_fleet

CASES = [(fault, step) for fault in FAULTS for step in STEPS]
CONTROL = ("killed", "start")
AT_ONCE = 12


@pytest.fixture(scope="module")
async def stories(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> AsyncIterator[dict[tuple[str, str], Story]]:
    """All of them, some at a time; the last one is the control."""
    folder = tmp_path_factory.mktemp("faults")
    names = [f"h{number:02d}" for number in range(len(CASES) + 1)]
    with openssh_fleet(folder / "hosts", names, program, srv_size="12m") as fleet:
        teller, gate = Teller(fleet, folder), asyncio.Semaphore(AT_ONCE)

        async def tell(name: str, case: tuple[str, str], forget: bool) -> Story:
            async with gate:
                return await teller.tell(fleet.hosts[name], *case, forget=forget)

        told = [tell(name, case, False) for name, case in zip(names, CASES, strict=False)]
        *ends, control = await asyncio.gather(*told, tell(names[-1], CONTROL, True))
        yield {**dict(zip(CASES, ends, strict=True)), ("control", "start"): control}


PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def test_every_test_that_the_page_names_is_there() -> None:
    """Its parameters are looked for as well."""
    named = re.findall(r"`(tests/[^`]+)`", PAGE.read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q"]
    files = sorted({name.partition("::")[0] for name in named})
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=True)
    there = done.stdout.splitlines()

    assert len(named) > 20
    missing = [
        name for name in named if not any(f"{each}[".startswith(f"{name}[") for each in there)
    ]
    assert [name for name in missing if name not in there] == []


@pytest.mark.parametrize(
    "fault",
    [
        *("cut", "killed", "rebooted", "disk full", "hangs", "digest wrong", "lock held"),
        *("forwarding", "`MaxSessions 1`", "50 kB/s", "`MaxStartups`"),
    ],
)
def test_the_page_has_a_row_for_every_fault(fault: str) -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]

    assert any(fault in row.split("|")[1] for row in rows)


def expected(fault: str, step: str) -> Counter[str]:
    """How often each hook runs: once, and again only in a host that went down."""
    forward = [name for name in HOOKS if name != "stop"]
    counts = Counter({f"2 1 {name}": 1 for name in forward} | {"1 1 stop": 1})
    if step == "put back":
        counts.update({"2 1 stop": 1, "1 1 start": 1, "1 1 validate": 1})
    if fault == "rebooted":
        again = {
            "install": ["2 1 install"],
            "stop": ["1 1 stop"],
            "start": ["2 1 start"],
            "validate": ["2 1 start", "2 1 validate"],
            "verify": ["2 1 start"],
            "put back": ["1 1 start"],
        }
        counts.update(again.get(step, []))
    return counts


@pytest.mark.parametrize(("fault", "step"), CASES)
def test_the_turn_ends_and_its_hooks_ran_once(
    stories: dict[tuple[str, str], Story], fault: str, step: str
) -> None:
    story = stories[fault, step]
    back = step == "put back"

    assert story.record, story.errors
    assert story.record.outcome is (Outcome.REVERTED if back else Outcome.UPDATED), story
    assert story.current == ("1" if back else "2")
    assert story.unfinished == []
    assert story.online
    assert story.ran == expected(fault, step)
    if fault in ("cut", "rebooted") and step not in ("drain", "restore"):
        assert story.errors[0] == "ContactLost", "the first attempt was in the middle of it"


def test_the_control_without_its_journal_a_hook_runs_twice(
    stories: dict[tuple[str, str], Story],
) -> None:
    story = stories["control", "start"]

    assert story.ran["2 1 start"] == 2
    assert stories[CONTROL].ran["2 1 start"] == 1
