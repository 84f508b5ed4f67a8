"""What an attempt at a turn hands on to the next, when it dies."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from apollo.activities.hosts import HostActivities
from apollo.domain.fleet import Host
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnInput, TurnRecord
from apollo.errors import ConnectFailed
from apollo.ports import Footing

GIVEN = TurnInput(
    deployment="u",
    label="shop/prod#1",
    owner="o",
    application="shop",
    environment="prod",
    release="1",
    granted_ms=1,
    host=Host(name="h1", location="fra1", address="10.0.0.1"),
)


async def away(given: TurnInput, attempt_ms: int, footing: Footing) -> TurnRecord:
    raise ConnectFailed("nobody answers", host=given.host.name, step="connect")


async def attempt(number: int, *details: Any) -> ApplicationError:
    """How an attempt ends that finds nobody."""
    there = ActivityEnvironment()
    there.info = replace(there.info, attempt=number, heartbeat_details=details)
    with pytest.raises(ApplicationError) as ended:
        await there.run(HostActivities(away).turn, GIVEN)
    return ended.value


def outcome(error: ApplicationError) -> Outcome:
    record = error.details[0]
    assert isinstance(record, TurnRecord)
    return record.outcome


async def test_a_first_attempt_that_finds_nobody_is_final() -> None:
    error = await attempt(1)
    assert (outcome(error), error.non_retryable) == (Outcome.UNREACHABLE, True)


@pytest.mark.parametrize("details", [(), (Footing(step="stage").details(),)])
async def test_one_whose_predecessor_died_takes_the_host_for_drained(
    details: tuple[Any, ...],
) -> None:
    """Whatever that one had told last: the host may have been drained right after."""
    error = await attempt(2, *details)
    assert (outcome(error), error.non_retryable) == (Outcome.LOST, False)


async def test_a_short_turn_tells_the_server_nothing_but_its_end() -> None:
    """The control is a second attempt, which tells at once what it has taken over."""
    told: dict[int, list[Any]] = {}
    for number in (1, 2):
        there = ActivityEnvironment()
        there.info = replace(there.info, attempt=number, heartbeat_timeout=timedelta(seconds=15))
        told[number] = []
        there.on_heartbeat = lambda *details, to=told[number]: to.extend(details)

        async def briefly(given: TurnInput, attempt_ms: int, footing: Footing) -> TurnRecord:
            await asyncio.sleep(0.05)
            return TurnRecord(host=given.host.name, turn=1, outcome=Outcome.UPDATED)

        await there.run(HostActivities(briefly).turn, GIVEN)

    assert told[1] == []
    assert told[2]
