"""What becomes of a simulated host's turn: drawn from the seed, its name and the turn's number."""

import random
from dataclasses import dataclass, replace
from functools import lru_cache

FAILS = 0.01
"""Hosts whose start hook fails; each of them prints much."""
LEAVES = 0.01
"""Hosts with which contact is lost in the middle of a hook, for some seconds."""
UNREACHABLE = 0.005
"""Hosts that cannot be reached at the first try; at the second half of them can."""
PRINTED = 65536
"""Bytes that a hook which fails has printed."""


@dataclass(frozen=True, slots=True)
class Fate:
    """Durations in seconds."""

    stage: float
    work: float
    fails: bool = False
    unreachable: bool = False
    away: float = 0.0
    """For how long the host is away; it leaves in the middle of its work."""

    @property
    def back(self) -> "Fate":
        """The same, after it has come back."""
        return replace(self, away=0.0)


def draw(seed: int, host: str, turn: int) -> Fate:
    """The same every time for the same arguments."""
    chance = random.Random(f"{seed}/{host}/{turn}")
    stage, work = chance.uniform(0.01, 0.05), min(2.0, chance.lognormvariate(-1.6, 0.6))
    kind = chance.random()
    if kind < FAILS:
        return Fate(stage, work, fails=turn == 1)
    if kind < FAILS + LEAVES:
        return Fate(stage, work, away=chance.uniform(0.5, 5.0))
    if kind < FAILS + LEAVES + UNREACHABLE * (1 if turn == 1 else 100):
        return Fate(stage, work, unreachable=True)
    return Fate(stage, work)


@lru_cache(maxsize=64)
def printed(host: str) -> bytes:
    """What a failing hook of that host has printed: no two lines are the same."""
    chance = random.Random(host)
    lines: list[str] = []
    size = 0
    while size < PRINTED:
        word = f"{chance.getrandbits(64):016x}"
        lines.append(f"2026-03-01T12:00:{len(lines) % 60:02d} WARN retry {word}: port not open\n")
        size += len(lines[-1])
    return "".join(lines).encode()[-PRINTED:]
