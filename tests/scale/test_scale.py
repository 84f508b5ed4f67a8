"""The program behind `make scale`, with so few hosts that it runs among the tests."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.scale.histories import Weight
from tests.scale.measure import Measured, Memory, measure
from tests.scale.planning import plan_seconds
from tests.scale.report import heading, rate_target, row, targets

HOSTS = 200
SEED = 20


async def test_a_small_fleet_meets_the_targets(tmp_path: Path) -> None:
    measured = await measure(tmp_path, HOSTS, SEED)

    assert sum(measured.result.outcomes.values()) == HOSTS
    assert measured.result.errors, "with this seed some hosts fail"
    assert [target for target in targets([measured], None) if not target.met] == []
    assert len(row(measured).split("|")) == len(heading().splitlines()[0].split("|"))
    slower = replace(measured.passed, piece=2 * measured.passed.piece)
    assert replace(measured, passed=slower).share == pytest.approx(2 * measured.share)
    missed = _missed(measured)
    assert len(missed) == 10, missed


def _missed(measured: Measured) -> list[str]:
    """The control: what is worse than it may be is told."""
    slow = tuple(float(second) for second in range(10))
    weight = Weight(46_000, largest_history=4_001, largest_payload=300_000, heaviest="", ends=slow)
    near, far = Memory(before=0, peak=10_000_000), Memory(before=0, peak=1_000_000_000)
    small = replace(measured, hosts=1_000, weight=weight, memory={"control": near})
    large = replace(measured, hosts=10_000, weight=weight, memory={"control": far})
    return [target.what for target in targets([small, large], 11.0) if not target.met]


def test_the_median_of_several_runs_is_held_against_the_target() -> None:
    assert rate_target([0.55, 0.71, 0.6], 10_000).met
    assert not rate_target([0.55, 0.71, 0.59], 10_000).met


def test_a_plan_of_two_thousand_hosts() -> None:
    assert plan_seconds(2_000) > 0
