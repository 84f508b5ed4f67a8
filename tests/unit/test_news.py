"""What a deployment is told of its batches: enough to keep its budgets, and no more."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.capacity import Allowance
from apollo.domain.engine import each_counts, grant
from apollo.domain.known import Known
from apollo.domain.rollout import BatchLoad, LocationCounts, News, Opened, Progress
from apollo.domain.steps import Begin

LOAD = BatchLoad(deployment="d", workflow_id="w", phase="forward", wave=1, batch=1, granted_ms=1)
NOTHING = Progress(wave=1, batch=1, phase="forward")


def opened(hosts: int, *, allowed: int, relays: bool = False) -> Opened:
    return Opened(
        deployment="d",
        number=1,
        label="shop/prod#1",
        release="1.0",
        hosts=hosts,
        allowance=Allowance(locations={}, fleet=1),
        failures_allowed=allowed,
        turn_limit=timedelta(hours=1),
        relays=relays,
    )


def news(hosts: int, *, allowed: int, failed: int = 0, beside: int = 0) -> News:
    plan = opened(hosts, allowed=allowed)
    batch = Begin("forward", 1, 1, beside=beside)
    found = grant(plan, Known(failures=failed), batch, LOAD).news
    assert found
    return found


def progress(ended: int, failures: int = 0) -> Progress:
    counts = {"fra1": LocationCounts(ended=ended, failed=failures)}
    return NOTHING.model_copy(update={"locations": counts, "failures": failures})


@pytest.mark.parametrize(("hosts", "least"), [(5, 0), (399, 0), (10_000, 25), (100_000, 250)])
def test_a_deployment_is_told_so_often_whatever_its_size(hosts: int, least: int) -> None:
    told = news(hosts, allowed=1_000_000)
    assert not told.worth(progress(least), NOTHING)
    assert told.worth(progress(least + 1), NOTHING)
    assert told.worth(progress(least + 1), None)


@given(
    allowed=st.integers(0, 5_000),
    failed=st.integers(0, 6_000),
    beside=st.integers(0, 60),
    hosts=st.integers(1, 100_000),
)
def test_at_most_a_sixteenth_of_the_failures_that_are_left_is_untold(
    allowed: int, failed: int, beside: int, hosts: int
) -> None:
    told = news(hosts, allowed=allowed, failed=failed, beside=beside)
    untold = max(n for n in range(500) if not told.worth(progress(0, n), NOTHING))
    assert untold * (beside + 1) <= max(0, allowed - failed) / 16


@given(
    allowed=st.integers(0, 5_000),
    failed=st.integers(0, 6_000),
    lanes=st.integers(2, 60),
    under_way=st.integers(0, 6_000),
    relays=st.booleans(),
)
def test_as_long_as_not_each_is_told_those_that_are_untold_are_not_too_many(
    allowed: int, failed: int, lanes: int, under_way: int, relays: bool
) -> None:
    """Of each lane two batches may be under way where the next one begins in the last turns."""
    plan, known = opened(100_000, allowed=allowed, relays=relays), Known(failures=failed)
    untold = news(100_000, allowed=allowed, beside=lanes - 1).failures * lanes * (1 + relays)
    if not each_counts(plan, known, under_way):
        assert failed + under_way + untold <= allowed


def test_failures_that_are_taken_back_are_told_too() -> None:
    told = news(10_000, allowed=3)
    assert told.worth(progress(10, 1), progress(12, 2))
    assert not told.worth(progress(10, 2), progress(12, 2))
