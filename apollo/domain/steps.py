"""What a deployment does next: the answers of the engine."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from apollo.domain.once import When
from apollo.domain.rollout import Ending, Phase


@dataclass(frozen=True)
class Step:
    """One thing to do; another is decided on when it is done."""

    works: ClassVar[bool] = False
    """Whether it is work for hosts, which pauses and closed windows hold."""


@dataclass(frozen=True)
class Approve(Step):
    """Wait until somebody opens the gate, or nothing needs it any more."""

    gate: str
    says: str = field(compare=False)


@dataclass(frozen=True)
class EnterWindows(Step):
    """Watch the windows from now on, and wait until they are open."""


@dataclass(frozen=True)
class TakeLease(Step):
    """Ask for the environment's lease, and wait for the answer."""


@dataclass(frozen=True)
class Listen(Step):
    """Watch the alarms from now on, and wait until it is known how they stand."""


@dataclass(frozen=True)
class RunOnce(Step):
    """Run what runs once per deployment."""

    works: ClassVar[bool] = True
    when: When


@dataclass(frozen=True)
class Enter(Step):
    """The wave begins: its gates are open."""

    wave: int


@dataclass(frozen=True)
class Stage(Step):
    """Get the release ready on the hosts of a batch, beside what they run."""

    works: ClassVar[bool] = True
    wave: int
    batch: int


@dataclass(frozen=True)
class Begin(Step):
    """Give the hosts of a batch their turns, within its grant."""

    works: ClassVar[bool] = True
    phase: Phase
    wave: int
    batch: int
    again: bool = False
    """Somebody has asked for another turn of some of its hosts."""
    beside: int = field(default=0, compare=False)
    """How many other batches run at the same time."""
    hands_over: bool = field(default=False, compare=False)
    """Whether another one begins while its last turns are under way."""

    @property
    def place(self) -> tuple[int, int]:
        """Wave and batch."""
        return self.wave, self.batch


@dataclass(frozen=True)
class Abreast(Step):
    """Give the hosts of batches `first` to `last` their turns, so many batches side by side.

    Where they hand over, the next one begins while the last turns of one of these are under way.
    """

    wave: int
    first: int
    last: int
    width: int
    hands_over: bool = field(default=False, compare=False)

    @property
    def batches(self) -> tuple[Begin, ...]:
        """The batches, in order; nobody waits for the lanes of the last ones."""
        beside, waited_for = self.width - 1, self.last - self.width
        return tuple(
            Begin(
                *("forward", self.wave, number),
                beside=beside,
                hands_over=self.hands_over and number <= waited_for,
            )
            for number in range(self.first, self.last + 1)
        )


@dataclass(frozen=True)
class Bake(Step):
    """Wait while alarms are watched; a host that is due another turn ends the wait."""

    wave: int
    lasts: timedelta = field(compare=False)


@dataclass(frozen=True)
class Settle(Step):
    """Wait until it is clear of which hosts somebody has spoken."""


@dataclass(frozen=True)
class Finish(Step):
    """No host has a turn any more on the way forward."""


@dataclass(frozen=True)
class Pause(Step):
    """Pause: nothing says that the release is bad, but a person must look."""

    why: str
    accepted: int = 0
    """Unreachable hosts beyond the budget, which `resume` accepts."""
    stuck: tuple[str, ...] = ()
    """Locations without room: whoever looks wants to know who is out there."""


@dataclass(frozen=True)
class Hold(Step):
    """Wait: something holds what would be done now."""

    then: Step


@dataclass(frozen=True)
class PlanRollback(Step):
    """Plan the way back of every host that was changed."""


@dataclass(frozen=True)
class TurnBack(Step):
    """The way forward is over: go back."""

    detail: str


@dataclass(frozen=True)
class Close(Step):
    """The deployment comes to its end."""

    ending: Ending
    detail: str = ""
