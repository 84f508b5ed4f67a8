"""A batch under random outcomes, words and grants: what must hold whatever happens."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo.domain.capacity import Allowance
from apollo.domain.fleet import Host
from apollo.domain.rolling import Rolling
from apollo.domain.rollout import BatchControl, BatchInput, BatchLoad, HostTurn, Phase
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnRecord

PLACES = ("fra1", "ams1", "lhr1")
ENDS = [Outcome.UPDATED] * 6 + [
    Outcome.CURRENT,
    Outcome.REVERTED,
    Outcome.BROKEN,
    Outcome.LOST,
    Outcome.UNREACHABLE,
    Outcome.UNREACHABLE,
]
LIGHT = settings(deadline=None, max_examples=300)


def allowed(each: int) -> Allowance:
    return Allowance(locations=dict.fromkeys(PLACES, each), fleet=each * len(PLACES))


def batch(
    each: int = 2,
    *,
    failures: int = 1000,
    unreachable: int = 1000,
    phase: Phase = "forward",
    paused: bool = False,
) -> BatchInput:
    return BatchInput(
        load=BatchLoad(deployment="d", workflow_id="w", phase=phase, wave=1, batch=1, granted_ms=1),
        label="shop/prod#1",
        allowance=allowed(each),
        failures_left=failures,
        unreachable_left=unreachable,
        turn_limit=timedelta(minutes=1),
        paused=paused,
    )


def turn(n: int, **more: object) -> HostTurn:
    host = Host(name=f"h{n}", location=PLACES[n % len(PLACES)], address="10.0.0.1")
    return HostTurn.model_validate({"host": host, "manifest": "m", **more})


def end(rolling: Rolling, turn: HostTurn, outcome: Outcome) -> TurnRecord:
    record = TurnRecord(host=turn.host.name, turn=turn.turn, outcome=outcome)
    rolling.end(record)
    return record


@dataclass
class Run:
    """A batch that is driven at random, and what the rules say of it, counted a second time."""

    given: BatchInput
    turns: list[HostTurn]
    random: Random
    words: bool = True
    begun: list[HostTurn] = field(default_factory=list)
    ends: list[TurnRecord] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    flying: dict[str, HostTurn] = field(default_factory=dict)
    stopped: bool = False

    def __post_init__(self) -> None:
        self.paused = self.given.paused

    def go(self, make: Callable[..., Rolling] = Rolling) -> Rolling:
        """Until it is finished; one that is paused is resumed when nothing else happens."""
        out = {place: self.random.choice([0, 0, 0, 1]) for place in PLACES}
        rolling = make(self.given, self.turns, out)
        for step in range(2000):
            self._begin(rolling)
            if rolling.finished:
                self._finish(rolling)
                return rolling
            seen = rolling.moves
            self._move(rolling, step)
            if rolling.moves == seen:
                self.complaints.append("a change goes unnoticed")
        self.complaints.append("it never finishes")
        return rolling

    def _move(self, rolling: Rolling, step: int) -> None:
        if self.words and step < 40 and self.random.random() < 0.3:
            self._say(rolling)
        elif self.flying:
            each = self.flying.pop(self.random.choice(sorted(self.flying)))
            self.ends.append(end(rolling, each, self.random.choice(ENDS)))
        else:
            if not self.paused:
                self.complaints.append("nothing is under way, and yet it is not finished")
            self._word(rolling, paused=False)

    def _begin(self, rolling: Rolling) -> None:
        for each in rolling.begin():
            name = each.host.name
            if self.paused or self.stopped or self.exceeded:
                self.complaints.append(f"{name} begins while none may")
            if name in self.flying:
                self.complaints.append(f"{name} is under way already")
            self._judge_turn(each)
            self.flying[name] = each
            self.begun.append(each)
        if rolling.lanes != len(self.flying):
            self.complaints.append("it miscounts what is under way")

    def _judge_turn(self, each: HostTurn) -> None:
        name = each.host.name
        before = [record for record in self.ends if record.host == name]
        first = next(turn for turn in self.turns if turn.host.name == name)
        if each.turn != first.turn + len(before):
            self.complaints.append(f"{name} has turn {each.turn} after {len(before)}")
        if len(before) > 1 or any(end.outcome is not Outcome.UNREACHABLE for end in before):
            self.complaints.append(f"{name} begins again after {before}")

    def _finish(self, rolling: Rolling) -> None:
        if self.flying:
            self.complaints.append("it finishes with turns under way")
        if rolling.begin():
            self.complaints.append("turns begin after the end")

    def _say(self, rolling: Rolling) -> None:
        kind = self.random.choice(["pause", "resume", "pace", "nothing", "stop", "nothing"])
        if kind == "pace":
            wider = allowed(self.random.randint(1, 4))
            self._word(rolling, paused=self.paused, allowance=wider)
        elif kind == "nothing":
            self._word(rolling, paused=self.paused)
        else:
            self._word(rolling, paused=kind == "pause", stop=kind == "stop")

    def _word(
        self,
        rolling: Rolling,
        *,
        paused: bool,
        stop: bool = False,
        allowance: Allowance | None = None,
    ) -> None:
        rolling.control(BatchControl(paused=paused, stop=stop, allowance=allowance))
        self.paused, self.stopped = paused, self.stopped or stop

    @property
    def final(self) -> dict[str, TurnRecord]:
        """How hosts ended that are not under way once more."""
        return {end.host: end for end in self.ends if end.host not in self.flying}

    @property
    def exceeded(self) -> bool:
        broken = {each.host.name for each in self.turns if each.was_broken}
        outcomes = [(name, record.outcome) for name, record in self.final.items()]
        still = [n for n, o in outcomes if n in broken and o in (Outcome.BROKEN, Outcome.LOST)]
        failed = sum(outcome.failure for _, outcome in outcomes) - len(still)
        away = sum(outcome is Outcome.UNREACHABLE for _, outcome in outcomes)
        return failed > self.given.failures_left or away > self.given.unreachable_left


@st.composite
def runs(draw: st.DrawFn) -> Run:
    random = Random(draw(st.integers(0, 2**32)))
    sick = draw(st.sampled_from([0.0, 0.3]))
    turns = []
    for n in range(draw(st.integers(0, 15))):
        broken = random.random() < sick
        group = random.choice([0, 0, 0, 1])
        turns.append(turn(n, was_out=broken, was_broken=broken, group=group, turn=1 + n % 2))
    budget = st.sampled_from([0, 1, 2, 1000])
    phases: list[Phase] = ["forward", "rollback"]
    given = batch(
        draw(st.integers(1, 4)),
        failures=draw(budget),
        unreachable=draw(budget),
        phase=draw(st.sampled_from(phases)),
        paused=draw(st.booleans()),
    )
    return Run(given, sorted(turns, key=lambda each: each.group), random, draw(st.booleans()))


@LIGHT
@given(runs())
def test_nothing_begins_that_may_not_and_every_batch_ends(run: Run) -> None:
    run.go()
    assert run.complaints == []


@LIGHT
@given(runs())
def test_every_host_has_one_final_record_and_the_sums_are_right(run: Run) -> None:
    rolling = run.go()
    result = rolling.result()
    final = run.final
    ended = sum(each.ended for each in result.locations.values())
    assert rolling.unrecorded == run.ends, "each end is to be recorded, once"
    assert ended + result.pending == len(run.turns)
    assert ended == len(final) or result.pending, "what is tried again waits once more"
    assert sum(each.failed for each in result.locations.values()) >= result.failures
    away = sum(each.unreachable for each in result.locations.values())
    assert away == result.unreachable
    assert rolling.exceeded == run.exceeded
    if result.pending and not run.stopped and not run.exceeded:
        assert result.stuck, "hosts are left, and nothing says why"
    if not result.pending:
        assert result.stuck == ()


@LIGHT
@given(runs())
def test_unreachable_hosts_are_tried_again_unless_something_ends_the_batch(run: Run) -> None:
    result = run.go().result()
    if run.stopped or run.exceeded or result.pending:
        return
    turns = Counter(each.host.name for each in run.begun)
    away = [name for name, end in run.final.items() if end.outcome is Outcome.UNREACHABLE]
    assert [turns[name] for name in away] == [2] * len(away)


class Deaf(Rolling):
    """The control: it begins turns whatever was said."""

    def begin(self) -> list[HostTurn]:
        self._paused = self._stopped = False
        return super().begin()


class Spendthrift(Rolling):
    """The control: no budget is ever used up."""

    @property
    def exceeded(self) -> bool:
        return False


class Stubborn(Rolling):
    """The control: it tries unreachable hosts again and again."""

    def begin(self) -> list[HostTurn]:
        self._tried_again = {}
        return super().begin()


class Hasty(Rolling):
    """The control: it ends with turns under way."""

    @property
    def finished(self) -> bool:
        return not self._pending


@pytest.mark.parametrize("bad", [Deaf, Spendthrift, Stubborn, Hasty])
def test_a_batch_that_breaks_a_rule_is_found_out(bad: type[Rolling]) -> None:
    complaints = []
    for seed in range(60):
        turns = [turn(n) for n in range(12)]
        run = Run(batch(failures=1, unreachable=3, paused=seed % 2 == 0), turns, Random(seed))
        run.go(bad)
        complaints += run.complaints
    assert complaints


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("was_broken", [False, True])
def test_what_counts_as_a_failure(outcome: Outcome, was_broken: bool) -> None:
    rolling = Rolling(batch(), [turn(0, was_broken=was_broken)], {})
    (begun,) = rolling.begin()
    end(rolling, begun, outcome)
    still = was_broken and outcome in (Outcome.BROKEN, Outcome.LOST)
    assert rolling.failures == (outcome.failure and not still)


def test_a_host_that_is_unreachable_while_paused_is_tried_again_after_the_pause() -> None:
    rolling = Rolling(batch(), [turn(0)], {})
    (begun,) = rolling.begin()
    rolling.control(BatchControl(paused=True))
    end(rolling, begun, Outcome.UNREACHABLE)
    assert rolling.begin() == []
    assert not rolling.finished
    rolling.control(BatchControl(paused=False))
    assert [each.turn for each in rolling.begin()] == [2]


def test_who_becomes_unreachable_after_the_others_were_tried_again_is_tried_again_too() -> None:
    rolling = Rolling(batch(1), [turn(0), turn(3)], {})
    begun: list[tuple[str, int]] = []
    for outcome in (Outcome.UNREACHABLE, Outcome.UPDATED, Outcome.UNREACHABLE, Outcome.UPDATED):
        (each,) = rolling.begin()
        begun.append((each.host.name, each.turn))
        end(rolling, each, outcome)
    assert begun == [("h0", 1), ("h0", 2), ("h3", 1), ("h3", 2)]
    assert rolling.begin() == []
    assert rolling.result().unreachable == 0


def once_more(each: int = 2, *, unreachable: int = 0, accepted: int = 0) -> BatchInput:
    """A batch that has run before, and is told of those that could not be reached."""
    given = batch(each, unreachable=unreachable)
    load = given.load.model_copy(update={"away": "due"})
    return given.model_copy(update={"load": load, "accepted": accepted})


@pytest.mark.parametrize("outcome", [Outcome.UPDATED, Outcome.UNREACHABLE])
def test_who_was_unreachable_before_is_tried_again_at_the_end(outcome: Outcome) -> None:
    rolling = Rolling(once_more(), [turn(0, away="due"), turn(3)], {})
    (first,) = rolling.begin()
    end(rolling, first, Outcome.UPDATED)
    (again,) = rolling.begin()
    assert (first.host.name, again.host.name, again.turn) == ("h3", "h0", 2)
    end(rolling, again, outcome)
    assert rolling.begin() == []
    assert rolling.finished
    assert not rolling.exceeded, "the deployment has counted it already"
    assert rolling.result().unreachable == (-1 if outcome.good else 0)


def test_who_is_unreachable_for_good_takes_room_has_no_turn_and_can_be_left_out() -> None:
    rolling = Rolling(once_more(1), [turn(0, away="over"), turn(3), turn(1)], {})
    (begun,) = rolling.begin()
    assert begun.host.name == "h1", "h0 has the room of its location"
    rolling.control(BatchControl(skip=("h0",)))
    (record,) = rolling.unrecorded
    assert (record.host, record.outcome, record.turn) == ("h0", Outcome.SKIPPED, 2)
    end(rolling, begun, Outcome.UPDATED)
    assert rolling.begin() == []
    result = rolling.result()
    assert (result.unreachable, result.left_out, result.stuck) == (-1, 1, ("fra1",))


@pytest.mark.parametrize("accepted", [0, 1])
def test_nobody_is_accepted_for_one_that_is_left_out(accepted: int) -> None:
    rolling = Rolling(once_more(accepted=accepted), [turn(0, away="over"), turn(1), turn(4)], {})
    rolling.control(BatchControl(skip=("h0",)))
    begun = rolling.begin()
    end(rolling, begun[0], Outcome.UNREACHABLE)
    assert rolling.exceeded is bool(accepted)


def test_one_that_is_stopped_before_it_tries_them_again_says_that_they_are_left() -> None:
    rolling = Rolling(once_more(), [turn(0, away="due")], {})
    rolling.control(BatchControl(stop=True))
    assert rolling.begin() == []
    assert rolling.finished
    assert rolling.result().pending == 1


def test_a_grant_without_failures_left_is_used_up_by_the_first() -> None:
    rolling = Rolling(batch(1, failures=0), [turn(n) for n in range(6)], {})
    first = rolling.begin()
    end(rolling, first[0], Outcome.REVERTED)
    assert rolling.begin() == []
    assert rolling.exceeded
    assert not rolling.finished
    for each in first[1:]:
        end(rolling, each, Outcome.UPDATED)
    assert rolling.finished
    result = rolling.result()
    assert (result.pending, result.failures, result.stuck) == (3, 1, ())


def test_hosts_that_are_out_elsewhere_take_room_and_their_location_is_named() -> None:
    rolling = Rolling(batch(1), [turn(n) for n in range(3)], {"fra1": 1})
    begun = rolling.begin()
    assert [each.host.location for each in begun] == ["ams1", "lhr1"]
    for each in begun:
        end(rolling, each, Outcome.UPDATED)
    assert rolling.begin() == []
    assert rolling.finished
    assert rolling.result().stuck == ("fra1",)
    rolling.control(BatchControl(allowance=allowed(2)))
    assert [each.host.location for each in rolling.begin()] == ["fra1"]
    assert not rolling.finished


def test_a_rollback_always_has_a_lane() -> None:
    rolling = Rolling(batch(1, phase="rollback"), [turn(0)], dict.fromkeys(PLACES, 5))
    assert len(rolling.begin()) == 1


def test_an_empty_batch_is_finished_even_when_paused() -> None:
    rolling = Rolling(batch(paused=True), [], {})
    assert rolling.begin() == []
    assert rolling.finished
    assert rolling.result().pending == 0
