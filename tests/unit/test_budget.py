"""Rules 5 and 10: what counts against the budgets, and how a deployment ends."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo.domain import budget
from apollo.domain.budget import Ended, Tally, end_state, tally
from apollo.domain.rollout import Ending
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.strategy import Strategy

HOSTS = st.lists(
    st.builds(Ended, st.sampled_from(Outcome), st.booleans(), st.booleans()), max_size=30
)


def ended(*outcomes: str) -> list[Ended]:
    """`broken!` for a host that was broken before, `broken?` for one that is due once more."""
    return [Ended(Outcome(n.rstrip("!?")), n.endswith("!"), n.endswith("?")) for n in outcomes]


@pytest.mark.parametrize(
    ("outcome", "failures", "unreachable"),
    [
        ("updated", 0, 0),
        ("current", 0, 0),
        ("reverted", 1, 0),
        ("broken", 1, 0),
        ("lost", 1, 0),
        ("unreachable", 0, 1),
        ("skipped", 0, 0),
        ("not_started", 0, 0),
        ("rolled_back", 0, 0),
        ("broken!", 0, 0),
        ("lost!", 0, 0),
        ("reverted!", 1, 0),
        ("unreachable!", 0, 1),
        ("reverted?", 0, 0),
        ("broken?", 0, 0),
        ("unreachable?", 0, 0),
    ],
)
def test_what_a_host_uses_of_the_budgets(outcome: str, failures: int, unreachable: int) -> None:
    """One that was broken before and ends broken uses none, nor one that is due once more."""
    expected = Tally(failures=failures, unreachable=unreachable)
    assert tally(ended(outcome)) == expected
    assert Tally().plus(*ended(outcome)) == expected


@given(HOSTS)
def test_counting_one_by_one_is_counting_all(hosts: list[Ended]) -> None:
    one_by_one = Tally()
    for host in hosts:
        one_by_one = one_by_one.plus(host)
    assert one_by_one == tally(hosts)


def test_a_budget_must_be_exceeded() -> None:
    """As many as allowed are within it."""
    used = tally(ended("broken", "reverted", "unreachable"))
    assert not used.too_many_failures(2)
    assert used.too_many_failures(1)
    assert not used.too_many_unreachable(1)
    assert used.too_many_unreachable(0)


def test_unreachable_hosts_never_use_the_budget_of_failures() -> None:
    assert not tally(ended(*["unreachable"] * 50)).too_many_failures(0)


@pytest.mark.parametrize(
    ("hosts", "strategy", "failures", "unreachable"),
    [
        (49, {}, 0, 4),
        (50, {}, 1, 5),
        (149, {}, 2, 14),
        (1000, {"max_failures": "2%", "max_unreachable": "5%"}, 20, 50),
        (30, {"max_failures": "10%"}, 3, 3),
        (9, {"max_failures": "10%"}, 0, 0),
        (9, {"max_failures": 2, "max_unreachable": 0}, 2, 0),
    ],
)
def test_shares_are_of_the_hosts_planned_and_rounded_down(
    hosts: int, strategy: dict[str, object], failures: int, unreachable: int
) -> None:
    """And none may fail by default below 50 hosts."""
    read = Strategy.model_validate(strategy)
    assert (read.failures_allowed(hosts), read.unreachable_allowed(hosts)) == (
        failures,
        unreachable,
    )


@pytest.mark.parametrize(
    ("ending", "outcomes", "state"),
    [
        ("done", ["updated", "current"], "succeeded"),
        ("done", ["updated", "unreachable"], "partial"),
        ("done", ["updated", "skipped"], "partial"),
        ("done", ["updated", "not_started"], "partial"),
        ("done", ["updated", "reverted"], "partial"),
        ("done", ["updated", "broken!", "broken!"], "partial"),
        ("done", ["reverted", "broken"], "halted"),
        ("done", ["reverted", "broken?"], "partial"),
        ("halted", ["updated"], "halted"),
        ("rolled_back", ["rolled_back", "broken", "not_started"], "rolled_back"),
        ("rollback_failed", ["rolled_back"], "rollback_failed"),
        ("aborted", ["updated", "not_started"], "aborted"),
        ("superseded", ["updated"], "superseded"),
        ("refused", ["not_started"], "refused"),
        ("failed", ["not_started", "unreachable"], "failed"),
        ("failed", ["updated", "not_started"], "halted"),
    ],
)
def test_how_a_deployment_ends(ending: Ending, outcomes: list[str], state: str) -> None:
    """One host may fail here."""
    assert end_state(ending, ended(*outcomes), failures_allowed=1) == DeploymentState(state)


def test_exceeding_the_budget_again_is_a_failed_rollback() -> None:
    hosts = ended("rolled_back", "broken", "broken")
    for failures, state in ((0, "rolled_back"), (1, "rolled_back"), (2, "rollback_failed")):
        found = end_state("rolled_back", hosts, failures_allowed=1, rollback_failures=failures)
        assert found == DeploymentState(state)


@given(HOSTS, st.integers(0, 5))
def test_succeeded_means_that_every_planned_host_runs_it(hosts: list[Ended], allowed: int) -> None:
    good = [host for host in hosts if host.outcome in (Outcome.UPDATED, Outcome.CURRENT)]
    succeeded = end_state("done", hosts, failures_allowed=allowed) is DeploymentState.SUCCEEDED
    assert succeeded == (len(good) == len(hosts))


@given(HOSTS)
def test_failed_means_that_nothing_was_changed(hosts: list[Ended]) -> None:
    untouched = {"not_started", "skipped", "unreachable", "current"}
    failed = end_state("failed", hosts) is DeploymentState.FAILED
    assert failed == all(host.outcome in untouched for host in hosts)


def test_the_examples_in_the_docstrings() -> None:
    results = doctest.testmod(budget)
    assert results.attempted
    assert not results.failed
