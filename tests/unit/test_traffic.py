"""Who takes a host over waits until no word of whoever had it can be on its way to the balancer."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from apollo.balancers.base import Balancer, BalancerTarget
from apollo.balancers.file import OnlineFile
from apollo.balancers.haproxy import Haproxy
from apollo.hosts.answer import Answer, HostState
from apollo.hosts.traffic import Traffic

NOTHING: Any = None
NONE = timedelta(0)
HAPROXY = Haproxy(["127.0.0.1:9999"], ["web"], "{host}", NONE)
FILE = OnlineFile("online", NONE, NONE)
TAKEN_OVER = Answer(now=1000.0, balancer="online", state=HostState(since=10.0))
JUST_SETTLED = Answer(now=1000.5, state=HostState(since=1000.0))
AT_REST = Answer(now=1000.0, state=HostState(since=10.0))


async def waits(balancer: Balancer, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> float:
    """For how many seconds."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    target = BalancerTarget(host="web1", location="fra1")
    await Traffic(balancer, target, NOTHING).quiet(answer)
    return sum(slept)


@pytest.mark.parametrize(
    ("answer", "least"), [(TAKEN_OVER, 2.0), (JUST_SETTLED, 2.0), (AT_REST, 0.0)]
)
async def test_a_balancer_that_hears_words(
    answer: Answer, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await waits(HAPROXY, answer, monkeypatch) >= least


@pytest.mark.parametrize("answer", [TAKEN_OVER, JUST_SETTLED, AT_REST])
async def test_what_the_host_does_itself_comes_never_too_late(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await waits(FILE, answer, monkeypatch) == 0
