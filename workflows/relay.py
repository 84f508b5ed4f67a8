"""Batches one after the other: the next begins while the last turns of the one before end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from apollo.domain.known import Place
    from apollo.domain.steps import Begin


class Relay:
    """Runs batches in order, two at once at the most."""

    def __init__(self, batches: Sequence[Begin], run: Callable[[Begin], Awaitable[object]]) -> None:
        self._batches = batches
        self._run = run
        self._handed_over: set[Place] = set()
        self.stopping = False
        """No batch begins, and those that run are to begin no more turns."""

    def hand_over(self, place: Place) -> None:
        """So little of the batch is under way that the next one may begin."""
        self._handed_over.add(place)

    async def run(self) -> None:
        """Return, or raise what the first of them raised, when none runs any more."""
        under_way: list[asyncio.Task[None]] = []
        for batch in self._batches:
            if self.stopping:
                break
            last = asyncio.create_task(self._run_one(batch))
            under_way.append(last)
            before = under_way[:-1]
            place = batch.wave, batch.batch
            await workflow.wait_condition(
                lambda before=before, last=last, place=place: (  # type: ignore[misc]
                    all(each.done() for each in before)
                    and (last.done() or place in self._handed_over)
                )
            )
        for ended in await asyncio.gather(*under_way, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    async def _run_one(self, batch: Begin) -> None:
        try:
            await self._run(batch)
        except BaseException:
            self.stopping = True
            raise
