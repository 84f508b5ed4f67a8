"""Every fault in every step, on real OpenSSH hosts; docs/faults.md tells what each comes to."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from apollo.domain.status import Outcome
from tests.faults.stories import FAULTS, HOOKS, STEPS, Story, Teller
from tests.support.openssh import openssh_fleet

CASES = [(fault, step) for fault in FAULTS for step in STEPS]
CONTROL = ("killed", "start")
AT_ONCE = 6


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


def test_the_control_without_its_journal_a_hook_runs_twice(
    stories: dict[tuple[str, str], Story],
) -> None:
    story = stories["control", "start"]

    assert story.ran["2 1 start"] == 2
    assert stories[CONTROL].ran["2 1 start"] == 1
