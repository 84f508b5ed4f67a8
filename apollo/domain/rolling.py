"""A batch as decisions: which hosts begin a turn now, and what their ends add up to."""

from collections import Counter
from collections.abc import Iterable, Mapping

from apollo.domain.budget import Ended
from apollo.domain.capacity import Allowance, Turn, grant, next_turns
from apollo.domain.relay import Baton, turns_of
from apollo.domain.rollout import (
    BatchControl,
    BatchInput,
    BatchResult,
    Held,
    HostTurn,
    LocationCounts,
    Progress,
)
from apollo.domain.status import Outcome
from apollo.domain.turn import GONE, LEFT_OUT, TurnRecord, skipped


class Rolling:
    """The state of a batch. It changes only through `begin`, `end` and `control`; it has no clock.

    `out` counts the hosts of the fleet that are out and not among `turns`, by location; `disabled`
    are hosts of the batch that have no turn → its number.
    """

    def __init__(
        self,
        given: BatchInput,
        turns: Iterable[HostTurn],
        out: Mapping[str, int],
        disabled: Mapping[str, int] | None = None,
    ) -> None:
        self._given = given
        self._turns = {turn.host.name: turn for turn in turns}
        self._pending = dict.fromkeys(n for n, turn in self._turns.items() if not turn.away)
        self._running: dict[str, str] = {}
        """Hosts in their turns, and their locations."""
        self._ended = {name: _away(turn) for name, turn in self._turns.items() if turn.away}
        self._out_elsewhere = dict(out)
        self._absent = dict(disabled or {})
        self._allowance: Allowance = given.allowance
        self._paused = given.paused
        self._held = given.held
        self._narrows = self.narrowed = given.narrows
        """How often the pace was lowered, and to which of these the batch has come down."""
        self._others_narrow = given.others_narrow
        self._told_idle = False
        self.fits_idle = True
        """Whether one without turns under way has come down; in old histories it had not."""
        self.each_failure = False
        """Whether the deployment must know of each."""
        self._baton = Baton()
        self._stopped = False
        self._tried_again = dict.fromkeys(n for n, t in self._turns.items() if t.away == "over")
        self._gone: set[str] = set()
        self._disabled: frozenset[str] = frozenset()
        self._left_out: set[str] = set()
        """Hosts that somebody has left out, and that do not serve."""
        self.left_are_out = True
        """Whether these count as out; in old histories they did not."""
        self.unrecorded: list[TurnRecord] = []
        self.failures = 0
        """Failures that count: a host that was broken before and is broken again uses none."""
        self.unreachable = 0
        """Hosts that could not be reached."""
        self.left_out = 0
        """Hosts that were unreachable when the batch ran before, and are left out now."""
        self.moves = 0
        """Rises with every change: what the workflow waits for."""

    def control(self, word: BatchControl) -> None:
        """Pause, resume, stop, change the pace or leave hosts out."""
        self._paused = word.paused
        self._stopped = self._stopped or word.stop
        self._allowance = word.allowance or self._allowance
        self._held = word.held
        self._narrows, self._others_narrow = word.narrows, word.others_narrow
        self._told_idle = self._told_idle and not self.idle  # each word asks anew
        self.each_failure = word.each_failure
        self._leave_out(word.skip, LEFT_OUT)
        self.moves += 1

    def begin(self) -> list[HostTurn]:
        """The turns that begin now, in order."""
        if self._paused or self._others_narrow or self._stopped or self.exceeded:
            return []
        chosen = self._choose()
        alone = not self._running and not self._held
        if not chosen and alone and self._try_unreachable_again():
            chosen = self._choose()
        for name in chosen:
            del self._pending[name]
            self._running[name] = self._turns[name].host.location
        self._baton.runs(len(self._running))
        return [self._turns[name] for name in chosen]

    def end(self, record: TurnRecord) -> None:
        """A turn has ended."""
        del self._running[record.host]
        if record.host in self._gone and record.outcome is Outcome.UNREACHABLE:
            record = skipped(record.host, record.turn)
        self._has_ended(record)
        self.unrecorded.append(record)
        self.moves += 1

    def gone(self, hosts: Iterable[str]) -> bool:
        """Hosts have left the inventory: they have no turn, and are not missed; whether any has.

        One in its turn ends its turn.
        """
        hosts = list(hosts)
        self._gone.update(hosts)
        return self._leave_out(hosts, GONE)

    def look(self, disabled: Iterable[str], out: Mapping[str, int]) -> None:
        """Hosts that are disabled have no turn while they are, and count as out.

        One in its turn ends it. `out` is counted anew.
        """
        self._disabled = frozenset(disabled) & self._turns.keys()
        self._out_elsewhere = dict(out)
        self.moves += 1

    def _leave_out(self, hosts: Iterable[str], why: str) -> bool:
        absent = [(name, self._absent.pop(name)) for name in hosts if name in self._absent]
        self.unrecorded += [skipped(name, turn, why) for name, turn in absent]
        left = [self._left(name, why) for name in hosts if name in self._turns]
        records = [record for record in left if record]
        for record in records:
            if why == LEFT_OUT and self.left_are_out and self._is_out(record.host):
                self._left_out.add(record.host)
            self._pending.pop(record.host, None)
            self.left_out += bool(self._turns[record.host].away)
            self._forget(record.host)
            self._has_ended(record)
            self.unrecorded.append(record)
        self.moves += bool(records or absent)
        return bool(records or absent)

    def _left(self, name: str, why: str) -> TurnRecord | None:
        if name in self._pending:
            return skipped(name, self._turns[name].turn, why)
        record = self._ended.get(name)
        if record and record.outcome is Outcome.UNREACHABLE:
            return skipped(name, record.turn + 1, why)
        return None

    def _is_out(self, name: str) -> bool:
        """Whether a host without a turn does not serve: it was out before, or is unreachable."""
        return self._turns[name].was_out or name in self._ended

    @property
    def finished(self) -> bool:
        """Nothing is under way and nothing more begins; asked after `begin`."""
        if self._running:
            return False
        waits = self._paused or self._held or self._others_narrow
        if not waits or self._stopped or self.exceeded:
            return True
        return not self._waiting and not self._to_try_again()

    @property
    def may_hand_over(self) -> bool:
        """Whether so little is under way that the next batch may begin, if all else is recorded."""
        return self._ends and self._baton.may_pass(len(self._running) + len(self._to_try_again()))

    def hand_over(self) -> tuple[Held, ...] | None:
        """What it still takes, when that has become little; asked when ends have been recorded."""
        if not self._ends:
            return None
        unrecorded = [record.host for record in self.unrecorded]
        names = dict.fromkeys([*self._running, *unrecorded, *self._to_try_again()])
        return self._baton.hand_over([self._waits(name) for name in names])

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts of the batch that had not ended when it was loaded."""
        return tuple(self._turns)

    @property
    def lanes(self) -> int:
        """How many turns are under way."""
        return len(self._running)

    @property
    def paused(self) -> bool:
        """Whether no turn may begin until somebody says so."""
        return self._paused

    @property
    def idle(self) -> bool:
        """Whether it has no turn under way, and waits for those that come down to a lower pace."""
        return self._others_narrow and not (self._running or self._held)

    @property
    def waited_for(self) -> bool:
        """Whether it has come down to a lower pace, or is idle or no more, and has not said so."""
        return self._fits or self.idle != self._told_idle

    def tell(self) -> bool:
        """Whether there is something to say, and all ends are on record: others look at these."""
        if self.unrecorded:
            return False
        telling = self.waited_for
        self.narrowed = self._narrows if self._fits else self.narrowed
        self._told_idle = self.idle
        return telling

    def owes(self, told: Progress | None) -> bool:
        """Whether each failure must be known, and it has told of others than there are."""
        return self.each_failure and self.failures != (told.failures if told else 0)

    @property
    def _fits(self) -> bool:
        if self._narrows == self.narrowed:
            return False
        if self.fits_idle and not self._running:  # the batch before tells of its own turns
            return True
        granted = self._granted
        turns = Counter(
            [*self._running.values(), *(each.location for each in turns_of(self._held))]
        )
        fits = all(count <= granted.locations[place] for place, count in turns.items())
        return fits and turns.total() <= granted.fleet

    @property
    def busy(self) -> set[str]:
        """The locations with turns under way, also those of the batch before."""
        held = {each.location for each in self._held if each.turns}
        return held.union(self._running.values())

    @property
    def exceeded(self) -> bool:
        """A budget is used up: no host begins a turn."""
        excused = min(self.left_out, self._given.accepted)
        return (
            self.failures > self._given.failures_left
            or self.unreachable > self._given.unreachable_left - excused
        )

    def result(self) -> BatchResult:
        """What the batch has come to so far."""
        waits = self._paused or self._held or self._others_narrow or self._running
        stuck = not (waits or self._stopped or self.exceeded)
        again = self._to_try_again() if self._given.load.away else []
        return BatchResult(
            wave=self._given.load.wave,
            batch=self._given.load.batch,
            phase=self._given.load.phase,
            locations=self._counts(),
            pending=len(self._waiting) + len(again),
            failures=self.failures,
            unreachable=self.unreachable,
            left_out=self.left_out,
            narrowed=self.narrowed,
            stuck=self._pending_locations() if stuck else (),
        )

    @property
    def _ends(self) -> bool:
        """Whether all of its hosts have begun their turns, and what is left is to see them end."""
        return not (self._pending or self._stopped or self.exceeded)

    def _has_ended(self, record: TurnRecord) -> None:
        self._ended[record.host] = record
        self._count(record, 1)
        if record.outcome.out:
            self._baton.stays_out(self._waits(record.host))

    def _forget(self, name: str) -> None:
        """What it came to counts no more."""
        if record := self._ended.pop(name, None):
            self._count(record, -1)

    def _count(self, record: TurnRecord, sign: int) -> None:
        was_broken = self._turns[record.host].was_broken
        self.failures += sign * Ended(record.outcome, was_broken).failed
        self.unreachable += sign * (record.outcome is Outcome.UNREACHABLE)

    def _choose(self) -> list[str]:
        if not self._pending:
            return []
        chosen = next_turns(
            [self._waits(name) for name in self._waiting],
            [*(self._waits(name) for name in self._running), *turns_of(self._held)],
            self._out(),
            self._granted,
            one_location=self._given.one_location,
            always_a_lane=self._given.always_a_lane or self._given.load.phase == "rollback",
        )
        return [turn.host for turn in chosen]

    @property
    def _granted(self) -> Allowance:
        if not self._given.beside:
            return self._allowance
        return grant(self._allowance, self._out_elsewhere, self._given.beside)

    @property
    def _waiting(self) -> list[str]:
        """The hosts that may have their turn yet, in order."""
        return [name for name in self._pending if name not in self._disabled]

    def _waits(self, name: str) -> Turn:
        turn = self._turns[name]
        return Turn(name, turn.host.location, not turn.was_out, turn.group)

    def _out(self) -> dict[str, int]:
        """Hosts that are out but for those in a turn, by location."""
        out = dict(self._out_elsewhere)
        waiting = [name for name in self._pending if self._turns[name].was_out]
        ended = [name for name, record in self._ended.items() if record.outcome.out]
        disabled = self._disabled - self._running.keys()
        for name in {*waiting, *ended, *disabled, *self._left_out}:
            location = self._turns[name].host.location
            out[location] = out.get(location, 0) + 1
        for held in self._held:
            out[held.location] = out.get(held.location, 0) + held.out
        return out

    def _try_unreachable_again(self) -> bool:
        """At the end of its wave, or when nothing can go on: each unreachable host once more."""
        again = self._to_try_again()
        self._tried_again |= dict.fromkeys(again)
        for name in again:
            turn = self._turns[name]
            next_turn = {"turn": turn.turn + 1, "was_out": True, "away": ""}
            self._turns[name] = turn.model_copy(update=next_turn)
            self._pending[name] = None
            self._forget(name)
        return bool(again)

    def _to_try_again(self) -> list[str]:
        away = [n for n, r in self._ended.items() if r.outcome is Outcome.UNREACHABLE]
        done = self._tried_again.keys() | self._disabled
        return [name for name in away if name not in done]

    def _pending_locations(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._turns[name].host.location for name in self._waiting))

    def _counts(self) -> dict[str, LocationCounts]:
        ends: dict[str, list[Outcome]] = {}
        for name, record in self._ended.items():
            ends.setdefault(self._turns[name].host.location, []).append(record.outcome)
        return {
            location: LocationCounts(
                ended=len(outcomes),
                failed=sum(outcome.failure for outcome in outcomes),
                unreachable=outcomes.count(Outcome.UNREACHABLE),
                out=sum(outcome.out for outcome in outcomes),
            )
            for location, outcomes in ends.items()
        }


def _away(turn: HostTurn) -> TurnRecord:
    """It could not be reached in that turn, which is on record."""
    return TurnRecord(host=turn.host.name, turn=turn.turn, outcome=Outcome.UNREACHABLE)
