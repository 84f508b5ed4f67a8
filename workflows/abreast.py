"""Batches side by side: where more hosts may be out than one batch has."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any


class Abreast:
    """Runs batches by their numbers, so many at once; the next begins where one has ended.

    `run` is told a number and how many others run beside it, and says whether the batch has come
    to its end; else it is among those that are `left`.
    """

    def __init__(
        self, numbers: Iterable[int], width: int, run: Callable[[int, int], Awaitable[bool]]
    ) -> None:
        self._queue = list(numbers)
        self._width = width
        self._run = run
        self._unfinished: list[int] = []
        self.stopping = False
        """No batch begins, and those that run are to begin no more turns."""

    @property
    def left(self) -> list[int]:
        """What has not come to its end, in order."""
        return sorted(self._unfinished + self._queue)

    async def run(self) -> None:
        """Return, or raise what the first of them raised, when none runs any more."""
        lanes = [asyncio.create_task(self._lane()) for _ in range(self._width)]
        ended: list[Any] = await asyncio.gather(*lanes, return_exceptions=True)
        for each in ended:
            if isinstance(each, BaseException):
                raise each

    async def _lane(self) -> None:
        while self._queue and not self.stopping:
            number = self._queue.pop(0)
            try:
                if not await self._run(number, self._width - 1):
                    self._unfinished.append(number)
            except BaseException:
                self.stopping = True
                raise
