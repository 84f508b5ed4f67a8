"""A batch as decisions: which hosts begin a turn now, and what their ends add up to."""

from collections.abc import Iterable, Mapping

from apollo.domain.budget import Ended
from apollo.domain.capacity import Allowance, Turn, next_turns
from apollo.domain.rollout import BatchControl, BatchInput, BatchResult, HostTurn, LocationCounts
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnRecord, skipped


class Rolling:
    """The state of a batch. It changes only through `begin`, `end` and `control`; it has no clock.

    `out` counts the hosts of the fleet that are out and not among `turns`, by location.
    """

    def __init__(
        self, given: BatchInput, turns: Iterable[HostTurn], out: Mapping[str, int]
    ) -> None:
        self._given = given
        self._turns = {turn.host.name: turn for turn in turns}
        self._pending = dict.fromkeys(self._turns)
        self._running: dict[str, None] = {}
        self._ended: dict[str, TurnRecord] = {}
        self._out_elsewhere = dict(out)
        self._allowance: Allowance = given.allowance
        self._paused = given.paused
        self._stopped = False
        self._tried_again: dict[str, None] = {}
        self._gone: set[str] = set()
        self.unrecorded: list[TurnRecord] = []
        self.moves = 0
        """Rises with every change: what the workflow waits for."""

    def control(self, word: BatchControl) -> None:
        """Pause, resume, stop or change the pace."""
        self._paused = word.paused
        self._stopped = self._stopped or word.stop
        self._allowance = word.allowance or self._allowance
        self.moves += 1

    def begin(self) -> list[HostTurn]:
        """The turns that begin now, in order."""
        if self._paused or self._stopped or self.exceeded:
            return []
        chosen = self._choose()
        if not chosen and not self._running and self._try_unreachable_again():
            chosen = self._choose()
        for name in chosen:
            del self._pending[name]
            self._running[name] = None
        return [self._turns[name] for name in chosen]

    def end(self, record: TurnRecord) -> None:
        """A turn has ended."""
        del self._running[record.host]
        if record.host in self._gone and record.outcome is Outcome.UNREACHABLE:
            record = skipped(record.host, record.turn)
        self._ended[record.host] = record
        self.unrecorded.append(record)
        self.moves += 1

    def gone(self, hosts: Iterable[str]) -> bool:
        """Hosts have left the inventory: they have no turn, and are not missed; whether any has.

        One in its turn ends its turn.
        """
        hosts = list(hosts)
        self._gone.update(hosts)
        left = [self._left(name) for name in hosts if name in self._turns]
        records = [record for record in left if record]
        for record in records:
            self._pending.pop(record.host, None)
            self._ended[record.host] = record
            self.unrecorded.append(record)
        self.moves += bool(records)
        return bool(records)

    def _left(self, name: str) -> TurnRecord | None:
        if name in self._pending:
            return skipped(name, self._turns[name].turn)
        record = self._ended.get(name)
        if record and record.outcome is Outcome.UNREACHABLE:
            return skipped(name, record.turn + 1)
        return None

    @property
    def finished(self) -> bool:
        """Nothing is under way and nothing more begins; asked after `begin`."""
        if self._running:
            return False
        if not self._paused or self._stopped or self.exceeded:
            return True
        return not self._pending and not self._to_try_again()

    @property
    def lanes(self) -> int:
        """How many turns are under way."""
        return len(self._running)

    @property
    def failures(self) -> int:
        """Failures that count: a host that was broken before and is broken again uses none."""
        return sum(
            Ended(record.outcome, self._turns[name].was_broken).failed
            for name, record in self._ended.items()
        )

    @property
    def unreachable(self) -> int:
        """Hosts that could not be reached."""
        return sum(r.outcome is Outcome.UNREACHABLE for r in self._ended.values())

    @property
    def exceeded(self) -> bool:
        """A budget is used up: no host begins a turn."""
        return (
            self.failures > self._given.failures_left
            or self.unreachable > self._given.unreachable_left
        )

    def result(self) -> BatchResult:
        """What the batch has come to so far."""
        stuck = not (self._paused or self._stopped or self.exceeded or self._running)
        return BatchResult(
            wave=self._given.load.wave,
            batch=self._given.load.batch,
            phase=self._given.load.phase,
            locations=self._counts(),
            pending=len(self._pending),
            failures=self.failures,
            unreachable=self.unreachable,
            stuck=self._pending_locations() if stuck else (),
        )

    def _choose(self) -> list[str]:
        chosen = next_turns(
            [self._waiting(name) for name in self._pending],
            [self._waiting(name) for name in self._running],
            self._out(),
            self._allowance,
            one_location=self._given.one_location,
            always_a_lane=self._given.load.phase == "rollback",
        )
        return [turn.host for turn in chosen]

    def _waiting(self, name: str) -> Turn:
        turn = self._turns[name]
        return Turn(name, turn.host.location, not turn.was_out, turn.group)

    def _out(self) -> dict[str, int]:
        """Hosts that are out but for those in a turn, by location."""
        out = dict(self._out_elsewhere)
        waiting = [name for name in self._pending if self._turns[name].was_out]
        ended = [name for name, record in self._ended.items() if record.outcome.out]
        for name in waiting + ended:
            location = self._turns[name].host.location
            out[location] = out.get(location, 0) + 1
        return out

    def _try_unreachable_again(self) -> bool:
        """At the end of its wave, or when nothing can go on: each unreachable host once more."""
        again = self._to_try_again()
        self._tried_again |= dict.fromkeys(again)
        for name in again:
            turn = self._turns[name]
            self._turns[name] = turn.model_copy(update={"turn": turn.turn + 1, "was_out": True})
            self._pending[name] = None
            del self._ended[name]
        return bool(again)

    def _to_try_again(self) -> list[str]:
        away = [n for n, r in self._ended.items() if r.outcome is Outcome.UNREACHABLE]
        return [name for name in away if name not in self._tried_again]

    def _pending_locations(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._turns[name].host.location for name in self._pending))

    def _counts(self) -> dict[str, LocationCounts]:
        counts: dict[str, LocationCounts] = {}
        for name, record in self._ended.items():
            location = self._turns[name].host.location
            so_far = counts.get(location, LocationCounts())
            counts[location] = LocationCounts(
                ended=so_far.ended + 1,
                failed=so_far.failed + record.outcome.failure,
                unreachable=so_far.unreachable + (record.outcome is Outcome.UNREACHABLE),
                out=so_far.out + record.outcome.out,
            )
        return counts
