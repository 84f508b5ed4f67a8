"""Rule 7: what a rollback takes back, in which order."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from apollo.domain.plan import PlannedHost
from apollo.domain.rollback import EndedHost, RollbackTurn, rollback_plan
from apollo.domain.status import Outcome


def host(
    order: int,
    outcome: str,
    *,
    role: str | None = None,
    group: int = 0,
    wave: int = 1,
    last_good: str | None = "old",
    runs: str | None = None,
    was_out: bool = False,
) -> EndedHost:
    planned = PlannedHost(
        order=order,
        wave=wave,
        batch=1,
        host=f"h{order}",
        location="fra1",
        role=role,
        group=group,
        was_out=was_out,
    )
    return EndedHost(
        planned=planned, outcome=Outcome(outcome), wanted="new", runs=runs, last_good=last_good
    )


def words(turns: list[RollbackTurn]) -> list[str]:
    return [f"{turn.host} {turn.action} {turn.manifest or '-'}" for turn in turns]


def test_broken_and_lost_hosts_come_first_then_the_reverse_order() -> None:
    hosts = [
        host(1, "updated"),
        host(2, "broken"),
        host(3, "updated", wave=2),
        host(4, "lost", wave=2),
        host(5, "updated", wave=3),
    ]
    found = rollback_plan(hosts)
    assert [turn.host for turn in found] == ["h4", "h2", "h5", "h3", "h1"]
    assert [turn.order for turn in found] == [1, 2, 3, 4, 5]
    assert [turn.already_out for turn in found] == [True, True, False, False, False]
    assert {turn.group for turn in found} == {0}


def test_each_host_goes_back_to_its_own_last_good_manifest() -> None:
    hosts = [host(1, "updated", last_good="x"), host(2, "updated", last_good="y")]
    assert words(rollback_plan(hosts)) == ["h2 restore y", "h1 restore x"]


def test_roles_are_reversed() -> None:
    """Those that came last go back first, over all waves; the next role waits for them."""
    hosts = [
        host(1, "updated", role="worker", group=0),
        host(2, "updated", role="web", group=1),
        host(3, "updated", role="worker", group=0, wave=2),
        host(4, "updated", role="web", group=1, wave=2),
        host(5, "broken", role="worker", group=0, wave=2),
        host(6, "broken", role="web", group=1, wave=2),
    ]
    found = rollback_plan(hosts)
    assert [turn.host for turn in found] == ["h6", "h5", "h4", "h2", "h3", "h1"]
    assert [turn.group for turn in found] == [0, 0, 0, 0, 1, 1]


def test_reverted_hosts_are_only_checked() -> None:
    """Against what they run since they were put back."""
    hosts = [host(1, "reverted", runs="before"), host(2, "reverted", last_good=None, runs="x")]
    assert words(rollback_plan(hosts)) == ["h2 check x", "h1 check before"]
    assert words(rollback_plan([host(1, "reverted")])) == ["h1 check old"]


def test_untouched_hosts_stay_untouched() -> None:
    untouched = ["not_started", "skipped", "unreachable", "current", "rolled_back"]
    hosts = [host(order, outcome) for order, outcome in enumerate(untouched, 1)]
    assert rollback_plan(hosts) == []


def test_a_host_with_no_such_manifest_is_stopped() -> None:
    hosts = [host(1, "updated", last_good=None, was_out=True), host(2, "broken", last_good=None)]
    assert words(rollback_plan(hosts)) == ["h2 stop -", "h1 stop -"]


def test_a_manifest_that_failed_here_is_not_tried_again() -> None:
    """A restart or `--redeploy` brings the manifest that the host ran before."""
    hosts = [host(1, "broken", last_good="new"), host(2, "lost", last_good="new")]
    assert words(rollback_plan(hosts)) == ["h2 stop -", "h1 stop -"]


def test_a_host_that_runs_its_last_good_manifest_is_only_checked() -> None:
    assert words(rollback_plan([host(1, "updated", last_good="new")])) == ["h1 check new"]


def test_batches() -> None:
    hosts = [host(order, "updated") for order in range(1, 6)]
    assert [turn.batch for turn in rollback_plan(hosts, batch_size=2)] == [1, 1, 2, 2, 3]


def test_a_turn_that_needs_no_room() -> None:
    broken, updated = rollback_plan([host(1, "updated"), host(2, "broken")])
    assert not broken.turn.needs_room
    assert updated.turn.needs_room


@st.composite
def _ended(draw: st.DrawFn) -> list[EndedHost]:
    hosts = []
    for order in range(1, draw(st.integers(0, 25)) + 1):
        group = draw(st.integers(0, 2))
        outcome = draw(st.sampled_from(Outcome)).value
        last_good = draw(st.sampled_from(["old", "new", None]))
        hosts.append(host(order, outcome, group=group, role=f"r{group}", last_good=last_good))
    return hosts


@given(_ended())
def test_every_changed_host_has_exactly_one_turn(hosts: list[EndedHost]) -> None:
    changed = {"updated", "reverted", "broken", "lost"}
    expected = {each.planned.host for each in hosts if each.outcome in changed}
    found = [turn.host for turn in rollback_plan(hosts)]
    assert len(found) == len(expected)
    assert set(found) == expected


@given(_ended(), st.randoms(use_true_random=False))
def test_the_order_depends_on_the_plan_only(hosts: list[EndedHost], random: Random) -> None:
    expected = rollback_plan(hosts)
    random.shuffle(hosts)
    assert rollback_plan(hosts) == expected


@given(_ended())
def test_the_order_of_a_rollback(hosts: list[EndedHost]) -> None:
    """Each turn against the next: broken first, then roles reversed, then the plan reversed."""
    ended = {each.planned.host: each for each in hosts}
    found = rollback_plan(hosts)
    for before, after in pairwise(found):
        one, other = ended[before.host], ended[after.host]
        if one.outcome.out != other.outcome.out:
            assert one.outcome.out
        elif one.planned.group != other.planned.group:
            assert one.planned.group > other.planned.group
        else:
            assert one.planned.order > other.planned.order
        assert before.group <= after.group
