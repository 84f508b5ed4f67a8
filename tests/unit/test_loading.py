"""What a batch that begins once more is told of the hosts that could not be reached in it."""

import pytest

from apollo.activities.loading import away_of, disabled, turns_of
from apollo.catalog.records import HostRow
from apollo.domain.plan import HostState
from apollo.domain.rollout import Away, BatchLoad
from apollo.domain.setup import Setup
from apollo.domain.status import Outcome, Serving
from tests.support.catalogs import environment

ENVIRONMENT = environment(3)
NAMES = [host.name for host in ENVIRONMENT.fleet.hosts]


def row(host: str, outcome: Outcome | None = Outcome.UNREACHABLE, **more: int) -> HostRow:
    turns = {"turns": int(outcome is not None), "again": 0, **more}
    return HostRow.model_validate(
        {
            **{"order": 1, "wave": 1, "batch": 1, "host": host, "location": "fra1"},
            **{"deployment": "d", "phase": "forward", "outcome": outcome, "manifest": "m"},
            **turns,
        }
    )


def load(away: Away = "due") -> BatchLoad:
    whose = {"deployment": "d", "workflow_id": "w", "granted_ms": 1}
    return BatchLoad.model_validate(
        {**whose, "phase": "forward", "wave": 1, "batch": 1, "away": away}
    )


@pytest.mark.parametrize(
    ("turns", "again", "away"),
    [
        (1, 0, "due"),
        (2, 0, "over"),  # it was tried again
        (2, 1, "due"),  # somebody asked for its second turn
        (3, 1, "over"),
        (1, 1, None),  # somebody asks for another turn: it is pending
    ],
)
def test_each_is_tried_again_once_for_each_time_that_it_is_asked_for(
    turns: int, again: int, away: Away | None
) -> None:
    found = away_of(load(), [row("web1", turns=turns, again=again)], ())
    assert found == ({"web1": away} if away else {})


def test_who_is_gone_or_accepted_stays_and_others_are_none() -> None:
    rows = [row("web1"), row("web2"), row("web3", None), row("web4", Outcome.BROKEN)]
    assert away_of(load(), rows, {"web1"}) == {"web1": "over", "web2": "due"}
    assert away_of(load("over"), rows, ()) == {"web1": "over", "web2": "over"}
    assert away_of(load(""), rows, ()) == {}


def test_a_disabled_host_is_not_tried_again_and_one_without_a_turn_has_none() -> None:
    first, second, third = NAMES
    rows = [row(first), row(second), row(third, None)]
    off = HostState(serving=Serving.DISABLED)
    states = {first: off, second: HostState(serving=Serving.UNREACHABLE), third: off}
    away = away_of(load(), rows, disabled(states))
    turns = turns_of(ENVIRONMENT, Setup(root="/srv"), rows, states, {}, set(), away)
    assert [(each.host.name, each.turn, each.away) for each in turns] == [
        (first, 1, "over"),
        (second, 1, "due"),
    ]
