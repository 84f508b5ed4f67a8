"""How a batch leaves its lanes to the next one while its last turns are under way."""

from collections.abc import Iterable, Sequence

from apollo.domain.capacity import Turn
from apollo.domain.rollout import Held

PARTS = (2, 4)
"""A batch tells what it still takes when that is no more than a half, and than a quarter, of the
turns that it had under way at once: each word costs both workflows a task."""

RELAYS = 100
"""Batches of a deployment, for each that runs at once, that may begin while others end.

What they tell makes a deployment's history longer; what several tell at once takes less.
"""


def relays(batches: int, width: int) -> bool:
    """Whether batches, so many of them side by side, begin while the last turns of others end."""
    return batches <= RELAYS * min(width, 4)


class Baton:
    """What a batch has told of its lanes; it has no clock."""

    def __init__(self) -> None:
        self._most = 0
        self._told = 0
        self._out: list[Turn] = []
        """Hosts that have ended since it told first, and are out: nobody else knows of them."""

    def runs(self, turns: int) -> None:
        """So many turns are under way."""
        self._most = max(self._most, turns)

    def stays_out(self, turn: Turn) -> None:
        """A host has ended its turn, and is out."""
        if self._told:
            self._out.append(turn)

    def may_pass(self, turns: int) -> bool:
        """Whether so few turns are worth telling."""
        return self._told < len(PARTS) and 0 < turns <= self._most // PARTS[self._told]

    def hand_over(self, turns: Sequence[Turn]) -> tuple[Held, ...] | None:
        """What these turns take, and the hosts that are out; none: that is not worth telling."""
        if not self.may_pass(len(turns)):
            return None
        while self.may_pass(len(turns)):
            self._told += 1
        return _held(turns, self._out)


def turns_of(held: Iterable[Held]) -> list[Turn]:
    """Turns that have the place of those another batch has under way; each counts as out."""
    return [Turn("", each.location, group=each.group) for each in held for _ in range(each.turns)]


def _held(turns: Iterable[Turn], out: Iterable[Turn]) -> tuple[Held, ...]:
    counts: dict[tuple[str, int], list[int]] = {}
    for which, group in enumerate((turns, out)):
        for turn in group:
            counts.setdefault((turn.location, turn.group), [0, 0])[which] += 1
    return tuple(
        Held(location=location, group=group, turns=flying, out=away)
        for (location, group), (flying, away) in counts.items()
    )
