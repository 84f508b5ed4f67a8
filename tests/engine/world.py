"""Random worlds: what is asked for, what its hosts will do, and what people will say when."""

from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from hypothesis import strategies as st

from apollo.domain.status import Outcome
from tests.support.rollouts import Case, cases
from tests.support.rules import Machine

Kind = Literal["deploy", "restart", "rollback"]
Lease = Literal["granted", "refused", "superseded"]
FOREVER = 500.0
"""How long a turn takes that seems to take forever."""
CALM = [Outcome.UPDATED] * 12 + [Outcome.CURRENT]
ROUGH = [*CALM, Outcome.REVERTED, Outcome.BROKEN, Outcome.LOST, Outcome.UNREACHABLE]
STORM = [*ROUGH[8:], *ROUGH[-4:]]
ACTIONS = (
    *("pause", "resume", "pace", "skip", "retry", "approve", "disable", "disable"),
    *("pause", "resume", "pace", "skip", "retry", "rollback", "rollback", "abort", "supersede"),
)


@dataclass(frozen=True)
class Said:
    """Something is said to the deployment, or happens to it."""

    at: float
    what: str
    more: str = ""


@dataclass(frozen=True)
class World:
    """One deployment, all that it meets, and a seed for what is left to chance."""

    case: Case
    batch: int = 500
    relays: bool = True
    """Whether a batch begins while the last turns of the one before are under way."""
    kind: Kind = "deploy"
    failures: str = "0"
    unreachable: str = "10%"
    on_failure: Literal["rollback", "halt"] = "rollback"
    back_share: str = "33%"
    bakes: tuple[float, ...] = ()
    """Seconds after each wave."""
    approvals: tuple[bool, ...] = ()
    approval: bool = False
    override: bool = False
    alarms: bool = False
    once: bool = False
    lease: Lease = "granted"
    closed: tuple[tuple[float, float], ...] = ()
    """When its windows are closed: from, until."""
    said: tuple[Said, ...] = ()
    mood: tuple[Outcome, ...] = tuple(CALM)
    slow: float = 0.0
    """The share of turns that seem to take forever."""
    seed: int = 0

    @property
    def random(self) -> Random:
        """What is left to chance."""
        return Random(self.seed)


_PLACES = ["a"] * 24 + ["b"] * 10
RELAY: dict[str, Any] = {
    "case": Case(tuple(Machine(f"h{n}", place) for n, place in enumerate(_PLACES)), share="33%"),
    "batch": 12,
    "relays": True,
}
"""What worlds are like in which batches begin while the last turns of others are under way."""
_MORE = ["a"] * 24 + ["b"] * 16
_PACES = ((4.5, "40%"), (6.5, "17%"), (9.5, "50%"), (13.5, "17%"), (15.5, "60%"), (20.5, "17%"))
PACED: dict[str, Any] = {
    "case": Case(tuple(Machine(f"h{n}", place) for n, place in enumerate(_MORE)), share="60%"),
    "batch": 12,
    "said": tuple(Said(at, "pace", share) for at, share in _PACES),
    "failures": "100%",
    "unreachable": "100%",
}
"""What worlds are like in which the pace changes while batches run side by side."""
BARELY: dict[str, Any] = {
    "case": PACED["case"],
    "batch": 12,
    "failures": "8",
    "mood": (Outcome.UPDATED, Outcome.UPDATED, Outcome.REVERTED),
    "said": (),
}
"""What worlds are like in which batches side by side use up their budget bit by bit."""


def _shares(most: int) -> st.SearchStrategy[str]:
    return st.integers(0, most).map(str) | st.integers(0, 50).map(lambda p: f"{p}%")


@st.composite
def _words(draw: st.DrawFn, alarms: bool) -> tuple[Said, ...]:
    actions = st.sampled_from(ACTIONS)
    if alarms:
        actions |= st.sampled_from(["fire", "unreadable", "unreadable", "readable"])
    moments = st.integers(0, 20) | st.integers(0, 80)
    said = st.tuples(moments, actions, st.integers(0, 100))
    return tuple(
        Said(at + 0.5, what, _about(what, number))
        for at, what, number in sorted(draw(st.lists(said, max_size=8)))
    )


def _about(what: str, number: int) -> str:
    if what == "pace":
        return f"{number + 1}%" if number % 2 else str(number % 9 + 1)
    if what in ("skip", "retry"):
        return ("@failed", "*1", "web | *2", "@outdated & *3")[number % 4]
    return str(number)


@st.composite
def _closed(draw: st.DrawFn) -> tuple[tuple[float, float], ...]:
    any_time = st.integers(0, 25) | st.integers(0, 90)
    moments = sorted(draw(st.sets(any_time, min_size=2, max_size=4)))
    return tuple(
        (float(begin), float(end)) for begin, end in zip(moments[::2], moments[1::2], strict=False)
    )


def _lease() -> st.SearchStrategy[Lease]:
    answers: list[Lease] = ["refused", "superseded"]
    return st.integers(0, 19).map(lambda n: answers[n] if n < len(answers) else "granted")


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any fleet and strategy; calm or rough hosts; anything said at any time."""
    case, alarms = draw(cases()), draw(st.booleans())
    waves = len(case.waves)
    return World(
        case=case,
        batch=draw(st.sampled_from([500, 12, 5])),
        relays=draw(st.integers(0, 3)) > 0,
        kind=draw(st.sampled_from(["deploy", "deploy", "deploy", "restart", "rollback"])),
        failures=draw(_shares(3)),
        unreachable=draw(_shares(3)),
        on_failure=draw(st.sampled_from(["rollback", "rollback", "halt"])),
        back_share=draw(st.sampled_from(["33%", "1", "100%"])),
        bakes=tuple(draw(st.sampled_from([0.0, 0.0, 20.0])) for _ in range(waves)),
        approvals=tuple(draw(st.integers(0, 3)) == 0 for _ in range(waves)),
        approval=draw(st.integers(0, 3)) == 0,
        override=draw(st.integers(0, 5)) == 0,
        alarms=alarms,
        once=draw(st.integers(0, 3)) == 0,
        lease=draw(_lease()),
        closed=draw(st.just(()) | _closed()),
        said=draw(_words(alarms)),
        mood=tuple(draw(st.sampled_from([CALM, CALM, ROUGH, STORM]))),
        slow=draw(st.sampled_from([0.0, 0.0, 0.1, 0.5])),
        seed=draw(st.integers(0, 2**32)),
    )
