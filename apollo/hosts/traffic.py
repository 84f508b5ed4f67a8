"""What a turn tells the balancer about its host: only while the turn has the host.

A worker may stall between the host's word that its attempt has the host and the balancer's hearing
of it, and its successor may have ended the turn meanwhile. Hence three rules, argued in
docs/decisions/0004-late-words-to-balancers.md: nothing is said on a word of the host that is older
than `FRESH`; who finds that a word took longer to say asks the host again, and mends what he may
have spoilt; who takes a host over waits until no word of his predecessor can be on its way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from apollo.balancers.base import Balancer, BalancerTarget, until_drained
from apollo.errors import Fenced
from apollo.hosts.answer import Answer, Status
from apollo.hosts.root import HostRoot

FRESH = 2.0
"""Seconds for which the host's word counts that an attempt has it."""
LOOKS = 10
Word = Callable[[BalancerTarget], Awaitable[None]]


@dataclass
class Traffic:
    """Speaks to the balancer for one attempt at one turn."""

    balancer: Balancer
    target: BalancerTarget
    root: HostRoot
    found: str = ""
    """The balancer's state before the turn, as the host's journal has it."""

    @property
    def offline_file(self) -> str | None:
        """The file that the host's own script takes away, where that is the drain."""
        return self.balancer.offline_file

    async def find(self) -> str:
        """The state before the drain."""
        return await self.balancer.find(self.target)

    async def quiet(self, answer: Answer) -> None:
        """Wait until no word of whoever had the host before can be on its way.

        What the host's own script does is refused there when it comes late: nobody waits for it.
        """
        if self.offline_file is not None:
            return
        taken_over = answer.balancer is not None or answer.balancer_before is not None
        heard = FRESH + self.balancer.late.total_seconds()
        settled = answer.now - answer.state.since
        if taken_over:
            await asyncio.sleep(heard)
        elif 0 <= settled < heard:  # where `date` knows no fractions, one second may be none
            await asyncio.sleep(min(heard, heard + 1 - settled))

    async def drain(self, *, confirmed: bool) -> None:
        """Out of service; `confirmed`: wait until the host has finished what it served."""
        await self._say(self.balancer.drain)
        if confirmed:
            await until_drained(self.balancer, self.target)

    async def hold(self) -> None:
        """Assert the drained state again: a balancer that reloads forgets it."""
        if self.offline_file is None:
            await self._say(self.balancer.hold)

    async def restore(self) -> None:
        """Give the host back as it was found."""
        await self._say(self._restore)

    async def _restore(self, target: BalancerTarget) -> None:
        await self.balancer.restore(target, self.found)

    async def _say(self, word: Word) -> None:
        if not self._fresh:
            await self.root.fence()
        await word(self.target)
        if not self._fresh and self.offline_file is None:
            try:
                await self.root.fence()
            except Fenced:
                await self._mend()
                raise

    @property
    def _fresh(self) -> bool:
        return time.monotonic() - self.root.confirmed < FRESH

    async def _mend(self) -> None:
        """Have the balancer say what the host's journal says, until that changes no more."""
        before = None
        for _ in range(LOOKS):
            answer = await self.root.look()
            now = (answer.state, answer.balancer)
            if now == before:
                return
            before = now
            if answer.state.status is Status.SERVING:
                await self.balancer.restore(self.target, answer.balancer or self.found)
            else:
                await self.balancer.drain(self.target)
