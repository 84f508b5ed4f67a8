"""The rules of a deployment over the engine: whatever hosts do, and whatever is said when.

`make rules` tries many more worlds, others each time; docs/rules.md tells what is shown by this.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from apollo.domain import engine
from tests.engine.faults import FAULTS
from tests.engine.play import Play
from tests.engine.umpire import Umpire
from tests.engine.world import RELAY, World, worlds

EXAMPLES = int(os.environ.get("APOLLO_EXAMPLES", "0"))
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
MANY = settings(
    deadline=None,
    max_examples=EXAMPLES or 500,
    derandomize=not EXAMPLES,
    database=None,
    suppress_health_check=SLOW,
)
HUNT = settings(MANY, max_examples=1000, derandomize=True, phases=[Phase.generate])


@pytest.fixture(autouse=True, scope="module")
def small_fleets_tell_as_little_as_large_ones() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "TOLD_AT_MOST", 4)
        patch.setattr(engine, "UNTOLD_PART", 4)
        yield


def judged(world: World) -> dict[int, list[str]]:
    """What the umpire says of a deployment, by rule."""
    umpire = Umpire(world)
    play = Play(world, umpire)
    umpire.now = lambda: play.clock.now
    if not play.run():
        umpire.say(12, f"nothing brings it on: it is {play.controls.state}, {play.controls.says}")
    return umpire.complaints


@MANY
@given(worlds())
def test_every_rule_is_kept(world: World) -> None:
    assert judged(world) == {}


@settings(MANY, max_examples=EXAMPLES or 200)
@given(worlds())
def test_batches_that_begin_while_others_end_keep_them_too(world: World) -> None:
    assert judged(replace(world, **RELAY)) == {}


class Found(Exception):
    """The umpire has complained."""


@pytest.mark.parametrize("what", FAULTS)
def test_control_a_planted_fault_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = FAULTS[what]
    fault.plant(monkeypatch)

    @HUNT
    @given(worlds())
    def hunt(world: World) -> None:
        if fault.rule in judged(replace(world, **fault.provoked)):
            raise Found

    with pytest.raises(Found):
        hunt()


@pytest.mark.parametrize("what", [what for what, fault in FAULTS.items() if fault.provoked])
def test_without_the_fault_its_worlds_keep_every_rule(what: str) -> None:
    @settings(MANY, max_examples=EXAMPLES // 20 or 40)
    @given(worlds())
    def keeps(world: World) -> None:
        assert judged(replace(world, **FAULTS[what].provoked)) == {}

    keeps()


def test_the_umpire_shares_no_code_with_what_it_judges() -> None:
    seen = (
        "import sys, tests.engine.umpire; print([m for m in sys.modules if m.startswith('apollo')])"
    )
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_rule_is_broken_and_the_page_lists_how() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \| ([^|]+) \|$", page, re.MULTILINE)
    assert [(int(rule), what) for rule, what in listed] == sorted(
        ((fault.rule, what) for what, fault in FAULTS.items()), key=lambda pair: pair[0]
    )
    assert {fault.rule for fault in FAULTS.values()} == set(range(1, 16))
