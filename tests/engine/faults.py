"""Faults to be planted in the engine, some for each rule: the umpire must find each of them."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from apollo.domain import budget, capacity, engine, plan, rolling, waves
from apollo.domain import rollback as going_back
from apollo.domain.budget import Ended
from apollo.domain.capacity import Allowance, next_turns
from apollo.domain.controls import Controls
from apollo.domain.known import Known
from apollo.domain.progress import Pulse
from apollo.domain.relay import Baton
from apollo.domain.rolling import Rolling
from apollo.domain.rollout import BatchResult, Opened
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.steps import Approve, Bake, Close, Step, TakeLease, TurnBack
from tests.engine.world import BARELY, PACED, RELAY, ROUGH, STORM, Said

SKIPS = tuple(Said(at, "skip", "@failed") for at in (4.5, 6.5, 9.5))
Plant = Callable[[pytest.MonkeyPatch], None]


class Fault(NamedTuple):
    """Something that is broken."""

    rule: int
    """Which rule it breaks."""
    plant: Plant
    provoked: dict[str, Any]
    """What worlds are like in which it easily shows."""


FAULTS: dict[str, Fault] = {}
"""By what is broken."""


def fault(rule: int, what: str, **provoked: Any) -> Callable[[Plant], Plant]:
    """Register what plants it."""

    def register(plant: Plant) -> Plant:
        FAULTS[what] = Fault(rule, plant, provoked)
        return plant

    return register


def _always(value: object) -> property:
    return property(lambda self: value)


@fault(1, "there is room everywhere")
def _room(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(capacity._Window, "_has_room", lambda self, turn: True)


@fault(1, "hosts that are out do not count")
def _out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rolling, "_out", lambda self: {})


@fault(
    1,
    "a host that is skipped is out no more",
    mood=STORM,
    unreachable="100%",
    said=SKIPS,
)
def _skipped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rolling, "_is_out", lambda self, name: False)


@fault(
    1,
    "hosts of the batch before that break in its last turns are forgotten",
    **RELAY,
    mood=(Outcome.UPDATED, Outcome.UPDATED, Outcome.BROKEN),
    failures="100%",
)
def _broken_meanwhile(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Baton, "stays_out", lambda self, turn: None)


@fault(1, "batches side by side come down to a lower pace each by itself", **PACED)
def _by_itself(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Known, "narrowing", False)


@fault(2, "each location has as many lanes as it allows")
def _lanes(patch: pytest.MonkeyPatch) -> None:
    def lanes(allowed: Allowance, active: list[str]) -> dict[str, int]:
        return {place: allowed.locations[place] for place in active}

    patch.setattr(capacity, "lanes", lanes)


@fault(2, "lanes are refilled when the slowest has ended")
def _slowest(patch: pytest.MonkeyPatch) -> None:
    def choose(pending: Any, flying: Any, *more: Any, **options: Any) -> Any:
        return [] if flying else next_turns(pending, flying, *more, **options)

    patch.setattr(rolling, "next_turns", choose)


@fault(2, "the last turns of the batch before take no lanes", **RELAY)
def _handed_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rolling, "turns_of", lambda held: [])


@fault(3, "roles do not wait for each other")
def _roles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        plan, "arrange", lambda wave, strategy, taken: [(0, candidate) for candidate in wave]
    )


@fault(3, "hosts that failed last time have no precedence")
def _first(patch: pytest.MonkeyPatch) -> None:
    def sequence(candidates: Any, *more: Any) -> Any:
        return waves.sequence([each._replace(first=False) for each in candidates], *more)

    patch.setattr(plan, "sequence", sequence)


def _without(patch: pytest.MonkeyPatch, name: str, gone: Callable[[Step], bool]) -> None:
    way: Callable[..., Iterator[Step]] = getattr(engine, name)
    patch.setattr(engine, name, lambda *given: (s for s in way(*given) if not gone(s)))


@fault(4, "waves need no approval")
def _approval(patch: pytest.MonkeyPatch) -> None:
    _without(patch, "_gates", lambda s: isinstance(s, Approve) and "alarms" not in s.gate)


@fault(4, "windows hold nothing")
def _windows(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Controls, "outside", _always(False))


@fault(5, "a batch goes on after too many failures")
def _exceeded(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rolling, "exceeded", _always(False))


@fault(5, "batches side by side leave failures untold however few are left", **BARELY)
def _untold(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "each_counts", lambda *given: False)


@fault(5, "unreachable hosts are failures of the release")
def _unreachable(patch: pytest.MonkeyPatch) -> None:
    bad = property(lambda self: self.outcome.failure or self.outcome is Outcome.UNREACHABLE)
    patch.setattr(Ended, "failed", bad)


@fault(5, "unreachable hosts are not tried again", mood=ROUGH, unreachable="100%", said=())
def _again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rolling, "_to_try_again", lambda self: [])


@fault(
    5,
    "a retry that is being carried out does not keep it from going back",
    mood=(Outcome.UPDATED, Outcome.UPDATED, Outcome.REVERTED),
    failures="1",
    said=tuple(Said(at + 0.9, "retry", "@failed") for at in range(3, 12)),
)
def _going_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "End", ())


@fault(
    5,
    "a batch that goes on after a retry leaves unreachable hosts as they are",
    mood=(Outcome.UPDATED, Outcome.REVERTED, Outcome.UNREACHABLE),
    failures="1",
    unreachable="100%",
    said=tuple(Said(at + 0.9, "retry", "@failed") for at in range(3, 12)),
)
def _away(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "_away", lambda known, batch: "over")


@fault(
    5,
    "a host that is retried and then disabled still counts as failed",
    mood=(Outcome.UPDATED, Outcome.UPDATED, Outcome.REVERTED),
    failures="1",
    said=(Said(4.6, "retry", "@failed"), *(Said(4.9, "disable", str(n)) for n in range(3))),
)
def _still_failed(patch: pytest.MonkeyPatch) -> None:
    failed = Ended.failed
    patch.setattr(Ended, "failed", property(lambda self: failed.__get__(self._replace(due=False))))


@fault(6, "a host that was put back is no failure")
def _reverted(patch: pytest.MonkeyPatch) -> None:
    bad = property(lambda self: self.outcome in (Outcome.BROKEN, Outcome.LOST))
    patch.setattr(Ended, "failed", bad)


@fault(7, "only hosts that run the release go back")
def _changed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(going_back, "_CHANGED", (Outcome.UPDATED,))


@fault(7, "hosts go back in the order in which they came")
def _order_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(going_back, "_place", lambda keyed: keyed[1].planned.order)


@fault(7, "a rollback that fails again goes on")
def _rollback_failed(patch: pytest.MonkeyPatch) -> None:
    def too_many(opened: Opened, known: Known) -> Close | TurnBack | None:
        return None if known.turned else engine._failed(opened, "too many")

    patch.setattr(engine, "_too_many_failures", too_many)
    patch.setattr(Rolling, "exceeded", _always(False))


@fault(8, "a host that runs it already does not count as done")
def _current(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outcome, "good", property(lambda self: self is Outcome.UPDATED))


@fault(9, "hosts that failed have another turn unasked")
def _twice(patch: pytest.MonkeyPatch) -> None:
    def failed(self: Rolling) -> list[str]:
        return [
            name
            for name, record in self._ended.items()
            if not record.outcome.good and name not in self._tried_again
        ]

    patch.setattr(Rolling, "_to_try_again", failed)


@fault(10, "every end is a success")
def _success(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(budget, "end_state", lambda *given, **options: DeploymentState.SUCCEEDED)


@fault(10, "what is stuck is forgotten")
def _forgotten(patch: pytest.MonkeyPatch) -> None:
    result = Rolling.result

    def forgetful(self: Rolling) -> BatchResult:
        return result(self).model_copy(update={"pending": 0, "stuck": ()})

    patch.setattr(Rolling, "result", forgetful)


@fault(11, "it does not ask for the lease")
def _lease(patch: pytest.MonkeyPatch) -> None:
    _without(patch, "_forward", lambda s: isinstance(s, TakeLease))


@fault(12, "a pause holds nothing")
def _pause(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Controls, "held", _always(False))


@fault(
    12,
    "a batch that goes on does not know the unreachable hosts that somebody leaves out",
    mood=(Outcome.UPDATED, Outcome.UPDATED, Outcome.UNREACHABLE),
    unreachable="0",
    said=(*(Said(at, "resume") for at in (6.5, 8.5, 11.5)), *SKIPS),
)
def _unknown(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "_away", lambda known, batch: "")


@fault(
    12,
    "a host that was disabled before its batch began cannot be left out",
    said=(Said(1.5, "disable", "1"), *(Said(at, "skip", "*1") for at in (3.5, 4.5, 6.5))),
)
def _kept_from(patch: pytest.MonkeyPatch) -> None:
    begins = Rolling.__init__
    patch.setattr(Rolling, "__init__", lambda self, *given: begins(self, *given[:3]))


@fault(12, "an abort is not heard")
def _abort(patch: pytest.MonkeyPatch) -> None:
    _deaf(patch, "abort")


@fault(13, "a firing alarm is not heard", alarms=True, said=(Said(6.5, "fire"),))
def _alarm(patch: pytest.MonkeyPatch) -> None:
    _deaf(patch, "alarm")


def _deaf(patch: pytest.MonkeyPatch, word: str) -> None:
    stopped = engine.stopped

    def deaf(opened: Opened, known: Known) -> Close | TurnBack | None:
        return None if known.said.stop == word else stopped(opened, known)

    patch.setattr(engine, "stopped", deaf)


@fault(13, "waves do not bake")
def _bake(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "Bake", lambda wave, lasts: Bake(wave, lasts * 0))


@fault(13, "alarms that cannot be read hold nothing", alarms=True, said=(Said(3.5, "unreadable"),))
def _unread(patch: pytest.MonkeyPatch) -> None:
    _without(patch, "_gates", lambda s: isinstance(s, Approve) and "alarms" in s.gate)


@fault(14, "nobody notices that nothing moves")
def _stalled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pulse, "stalled", lambda self, now: False)


@fault(15, "windows hold a rollback", closed=((7.0, 90.0),), said=(Said(6.5, "rollback"),))
def _held(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Controls, "outside", property(lambda self: bool(self.closed)))


@fault(15, "disabled hosts have turns", said=(Said(3.5, "disable", "1"), Said(6.5, "disable", "2")))
def _disabled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rolling, "look", lambda self, disabled, out: None)
