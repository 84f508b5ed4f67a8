"""Batches side by side, where more hosts may be out than one has; and one after the other."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from apollo.domain.known import NOWHERE, Place
    from apollo.domain.steps import Begin

Run = Callable[[Begin, Place], Awaitable[object]]


class Abreast:
    """Runs batches in order, so many at once; the next begins where one has returned.

    One that hands over leaves its place to the next already while its last turns are under way.
    """

    def __init__(self, batches: Iterable[Begin], width: int, run: Run) -> None:
        """`run` is told which batch leaves its lanes to the one that it runs."""
        self._queue = list(batches)
        self._width = width
        self._run = run
        self._handed_over: set[Place] = set()
        self.stopping = False
        """No batch begins, and those that run are to begin no more turns."""
        self.each_failure = False
        """Those that run are to tell of each failure."""

    def hand_over(self, place: Place) -> None:
        """So little of the batch is under way that another one may begin."""
        self._handed_over.add(place)

    async def run(self) -> None:
        """Return, or raise what the first of them raised, when none runs any more."""
        await _all([asyncio.create_task(self._lane()) for _ in range(self._width)])

    async def _lane(self) -> None:
        under_way: list[asyncio.Task[None]] = []
        before = NOWHERE
        while self._queue and not self.stopping:
            batch = self._queue.pop(0)
            if not (batch.hands_over or under_way):  # as old histories have it: without a task
                await self._run_one(batch, NOWHERE)
                continue
            under_way.append(asyncio.create_task(self._run_one(batch, before)))
            before = batch.place
            await self._until_left(under_way, batch.place)
        await _all(under_way)

    async def _until_left(self, under_way: list[asyncio.Task[None]], place: Place) -> None:
        """Return when the last batch has returned or leaves its lanes, and all before it ended."""
        *before, last = under_way
        await workflow.wait_condition(
            lambda: (
                all(each.done() for each in before) and (last.done() or place in self._handed_over)
            )
        )

    async def _run_one(self, batch: Begin, before: Place) -> None:
        try:
            await self._run(batch, before)
        except BaseException:
            self.stopping = True
            raise


async def _all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Return, or raise what the first of them in order raised, when all have ended."""
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended
