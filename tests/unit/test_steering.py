"""Which hosts `skip` and `retry` are about."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from apollo.catalog.records import HostRow
from apollo.domain.fleet import Fleet, Host
from apollo.domain.status import Outcome
from apollo.domain.steering import MOST, Action, SteeringInput, steered

ENDS = {
    "a1": (1, Outcome.UPDATED, ""),
    "a2": (1, Outcome.REVERTED, "start"),
    "a3": (1, Outcome.BROKEN, "stop"),
    "a4": (1, Outcome.UNREACHABLE, ""),
    "a5": (2, Outcome.UNREACHABLE, ""),
    "a6": (2, Outcome.LOST, ""),
    "a7": (2, Outcome.SKIPPED, ""),
    "a8": (2, None, ""),
    "a9": (3, None, ""),
}
ERRORS = {Outcome.REVERTED: "HookFailed", Outcome.BROKEN: "HookFailed"}
ERRORS |= {Outcome.UNREACHABLE: "ConnectFailed", Outcome.LOST: "ContactLost"}


def rows() -> Iterator[HostRow]:
    for order, (name, (batch, outcome, step)) in enumerate(ENDS.items(), 1):
        yield HostRow(
            order=order,
            wave=1,
            batch=batch,
            host=name,
            location="fra1",
            deployment="d",
            phase="forward",
            turns=int(outcome is not None),
            outcome=outcome,
            step=step,
            error=ERRORS.get(outcome, "") if outcome else "",
            message=f"{name}: {step} exit 3, expected 0" if step else "",
        )


FLEET = Fleet(
    hosts=tuple(
        Host(name=name, location="fra1", address="10.0.0.1") for name in (*ENDS, "elsewhere")
    )
)


def meant(action: Action, hosts: str = "", error: str = "", at: int = 0) -> tuple[str, int, int]:
    given = SteeringInput(
        deployment="d", action=action, hosts=hosts, error=error, wave=min(at, 1), batch=at
    )
    found = steered(given, FLEET, list(rows()))
    names = " ".join(each.host for each in found.hosts)
    return names, found.failures, found.unreachable


@pytest.mark.parametrize(
    ("action", "hosts", "error", "at", "found"),
    [
        ("skip", "fra1", "", 0, ("a4 a5 a8 a9", 0, 2)),
        ("skip", "fra1", "", 2, ("a4 a5 a8 a9", 0, 1)),
        ("skip", "@failed", "", 0, ("a4 a5", 0, 2)),
        ("skip", "", "ConnectFailed", 0, ("a4 a5", 0, 2)),
        ("retry", "fra1", "", 0, ("a2 a3 a4 a5 a6 a7", 3, 2)),
        ("retry", "fra1", "", 2, ("a2 a3 a4 a6 a7", 3, 1)),
        ("retry", "@failed & !a2", "", 0, ("a3 a4 a5 a6", 2, 2)),
        ("retry", "@outdated", "", 0, ("a2 a3 a4 a5 a6 a7", 3, 2)),
        ("retry", "", "HookFailed", 0, ("a2 a3", 2, 0)),
        ("retry", "", "HookFailed start exit 3", 0, ("a2", 1, 0)),
        ("retry", "a3 | a4", "HookFailed", 0, ("a3", 1, 0)),
    ],
)
def test_those_that_it_can_be_said_of(
    action: Action, hosts: str, error: str, at: int, found: tuple[str, int, int]
) -> None:
    """What is taken back is what batches that have ended had counted."""
    assert meant(action, hosts, error, at) == found


@pytest.mark.parametrize(
    ("action", "hosts", "error", "text"),
    [
        ("skip", "", " ", "expected hosts or an error"),
        ("skip", "elsewhere", "", "'elsewhere' names no host of this deployment"),
        ("skip", "web1", "", "web1"),
        ("skip", "a1 | a2", "", "a1, a2 (1 updated, 1 reverted) cannot be skipped"),
        ("retry", "a1 | a8", "", "a1, a8 (1 updated, 1 pending) cannot be retried"),
        (
            "retry",
            "",
            "HookFailed star",
            "no host has 'HookFailed star'; errors are: ConnectFailed (2), HookFailed start",
        ),
    ],
)
def test_those_that_it_cannot_be_said_of_are_named_with_the_reason(
    action: Action, hosts: str, error: str, text: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        meant(action, hosts, error)


def test_no_more_than_fit_into_a_history() -> None:
    row = next(rows()).model_copy(update={"outcome": None, "record": None})
    many = [row.model_copy(update={"host": f"h{n}"}) for n in range(MOST + 1)]
    fleet = Fleet(hosts=tuple(Host(name=r.host, location="l", address="10.0.0.1") for r in many))
    given = SteeringInput(deployment="d", action="skip", hosts="l")
    with pytest.raises(ValueError, match="1001 hosts are meant; at most 1000 at a time"):
        steered(given, fleet, many)
    assert len(steered(given, fleet, many[1:]).hosts) == MOST


def test_who_was_unreachable_and_is_retried_counts_no_more_and_was_accepted() -> None:
    given = SteeringInput(deployment="d", action="skip", hosts="@failed")
    retried = [
        row.model_copy(update={"again": row.turns}) if row.host == "a4" else row for row in rows()
    ]
    found = steered(given, FLEET, retried)
    assert (found.unreachable, found.unreachable_again) == (1, 1)
    assert steered(given, FLEET, list(rows())).unreachable_again == 0


def test_a_host_is_due_again_until_it_has_had_its_turn() -> None:
    row = next(rows()).model_copy(update={"turns": 1, "ended_at": datetime.now(UTC)})
    assert not row.pending
    assert row.model_copy(update={"again": 1}).pending
    assert not row.model_copy(update={"again": 1, "turns": 2}).pending
