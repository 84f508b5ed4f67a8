"""Judges what a deployment did: capacity as the balancer saw it, and the hooks that ran."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol


class BalancerView(Protocol):
    """What a balancer itself says about the hosts behind it."""

    async def read(self) -> list[frozenset[str]]:
        """The sets of hosts that were out since the last call, in order; the last is now."""


@dataclass
class Capacity:
    """How many hosts were out, at most, at once."""

    in_fleet: int = 0
    by_location: Counter[str] = field(default_factory=Counter)
    ever_out: set[str] = field(default_factory=set)
    out_now: frozenset[str] = frozenset()
    samples: int = 0


class CapacitySampler:
    """Asks the balancer again and again which hosts are out, while the context is open."""

    def __init__(
        self, view: BalancerView, locations: Mapping[str, str], *, pause: float = 0.1
    ) -> None:
        self.capacity = Capacity()
        self._view = view
        self._locations = locations
        self._pause = pause

    async def __aenter__(self) -> "CapacitySampler":
        # What was out before does not count.
        self.capacity.out_now = (await self._view.read())[-1]
        self._sampling = asyncio.create_task(self._sample())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sampling.cancel()
        await asyncio.gather(self._sampling, return_exceptions=True)
        await self._once()

    async def _sample(self) -> None:
        while True:
            await self._once()
            await asyncio.sleep(self._pause)

    async def _once(self) -> None:
        for out in await self._view.read():
            self._count(out)
        self.capacity.samples += 1

    def _count(self, out: frozenset[str]) -> None:
        capacity = self.capacity
        capacity.out_now = out
        capacity.ever_out |= out
        capacity.in_fleet = max(capacity.in_fleet, len(out))
        for location, count in Counter(self._locations[host] for host in out).items():
            capacity.by_location[location] = max(capacity.by_location[location], count)


class HookRun(NamedTuple):
    """One line that a hook of the small application wrote when it began."""

    time: float
    host: str
    release: str
    turn: str
    step: str
    deployment: str


def read_hook_log(file: Path | str) -> list[HookRun]:
    """The hooks that ran, in order; none when the file is missing."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    rows = (line.split(" ") for line in text.splitlines())
    return [HookRun(float(time), *rest) for time, *rest in rows]


def repeated_hooks(runs: Iterable[HookRun]) -> dict[tuple[str, str, str, str, str], int]:
    """The hooks that ran more than once: deployment, host, turn, step, release → how often."""
    counts = Counter((run.deployment, run.host, run.turn, run.step, run.release) for run in runs)
    return {key: count for key, count in counts.items() if count > 1}
