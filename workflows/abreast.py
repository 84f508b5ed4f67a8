"""Batches side by side: where more hosts may be out than one batch has."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class Abreast(Generic[_T]):
    """Runs batches in order, so many at once; the next begins where one has returned."""

    def __init__(
        self, batches: Iterable[_T], width: int, run: Callable[[_T], Awaitable[object]]
    ) -> None:
        self._queue = list(batches)
        self._width = width
        self._run = run
        self.stopping = False
        """No batch begins, and those that run are to begin no more turns."""

    async def run(self) -> None:
        """Return, or raise what the first of them raised, when none runs any more."""
        lanes = [asyncio.create_task(self._lane()) for _ in range(self._width)]
        ended: list[Any] = await asyncio.gather(*lanes, return_exceptions=True)
        for each in ended:
            if isinstance(each, BaseException):
                raise each

    async def _lane(self) -> None:
        while self._queue and not self.stopping:
            try:
                await self._run(self._queue.pop(0))
            except BaseException:
                self.stopping = True
                raise
