"""Who still waits for a turn, by batch, role and location, in the order of the plan."""

from collections import defaultdict
from collections.abc import Iterator

from apollo.proof.facts import Facts
from apollo.proof.turns import Turn

_Row = list[Turn]


class Waiting:
    """First turns of a phase that have not begun yet; what was tried again has lost its place."""

    def __init__(self, facts: Facts, turns: list[Turn]) -> None:
        self._facts = facts
        self._begun: set[str] = set()
        self._idle: dict[int, int] = {}
        """The first role of each wave of which a host has had no turn at all."""
        self._waves: dict[int, dict[int, dict[tuple[int, str], _Row]]] = {}
        for turn in sorted(turns, key=lambda each: -each.order):
            if turn.had and turn.first and turn.began:
                batches = self._waves.setdefault(turn.wave, {})
                rows = batches.setdefault(turn.batch, defaultdict(list))
                rows[self._group(turn), turn.location].append(turn)
            if not turn.had:
                group = self._group(turn)
                self._idle[turn.wave] = min(group, self._idle.get(turn.wave, group))

    def begin(self, turn: Turn) -> None:
        """It waits no longer."""
        self._begun.add(turn.host)

    def places(self, turn: Turn) -> set[str]:
        """The locations in which hosts of its batch wait."""
        return {each.location for _, each in self._heads(turn.wave, turn.batch)}

    def ahead(self, turn: Turn) -> list[Turn]:
        """Of each location the first that waits in its batch and role and comes before it."""
        mine = self._group(turn)
        heads = self._heads(turn.wave, turn.batch)
        return [each for group, each in heads if group == mine and each.order < turn.order]

    def earlier_roles(self, turn: Turn) -> list[Turn]:
        """The first of each location that waits in its wave with a role that comes earlier."""
        mine, batches = self._group(turn), self._waves.get(turn.wave, {})
        heads = [head for batch in batches for head in self._heads(turn.wave, batch)]
        return [each for group, each in heads if group < mine]

    def roles_before(self, turn: Turn) -> bool:
        """Whether earlier roles of its wave still wait, or may have."""
        idle = self._idle.get(turn.wave)
        return bool(self.earlier_roles(turn)) or (idle is not None and idle < self._group(turn))

    def _heads(self, wave: int, batch: int) -> Iterator[tuple[int, Turn]]:
        for (group, _), row in self._waves.get(wave, {}).get(batch, {}).items():
            while row and row[-1].host in self._begun:
                row.pop()
            if row:
                yield group, row[-1]

    def _group(self, turn: Turn) -> int:
        """A rollback's rows have their roles reversed already."""
        return 0 if turn.back else self._facts.group(turn)
