"""What is known of a deployment under way: frozen, so that each decision has its own values."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from apollo.domain.controls import Stop
from apollo.domain.once import When
from apollo.domain.rollout import Held, LeaseAnswer, RollbackPlan
from apollo.domain.steering import Steered
from apollo.domain.steps import Begin, Pause, Step

Kind = Literal["deploy", "restart", "sync", "rollback"]
Place = tuple[int, int]
"""Wave and batch."""
NOWHERE: Place = (0, 0)
Ran = Literal["well", "failed", "unclear", "nowhere"]
"""How a hook that runs once went; `unclear`: it may have begun and contact was lost."""


@dataclass(frozen=True)
class Said:
    """How controls, windows and alarms stand at this moment."""

    stop: Stop | None = None
    detail: str = ""
    """Who stops it and why."""
    held: bool = False
    """Whether no host may begin a turn: people hold it, or windows do."""
    approved: frozenset[str] = frozenset()
    """The gates that somebody has opened."""
    unreadable: str = ""
    """The alarms that nobody can read, in words."""
    steering: bool = False
    """Whether it is being found out of which hosts somebody has spoken."""
    looks: int = 0
    """How often somebody has asked for a look at what is known of the hosts."""


@dataclass(frozen=True)
class Known:
    """How far the deployment has come, and what was said to it.

    It changes by being replaced: each method answers with what is known from then on.
    """

    kind: Kind = "deploy"
    said: Said = field(default_factory=Said)
    done: frozenset[Step] = frozenset()
    lease: LeaseAnswer | None = None
    failed_once: str = ""
    """What ran once before the first turn has failed: no host was touched."""
    remark: str = ""
    """What is told in the end though it changes nothing."""
    pause: Pause | None = None
    """Why it must pause before it goes on."""
    failures: int = 0
    """Those that count, of batches that have ended, on this way."""
    unreachable: int = 0
    accepted: int = 0
    """Unreachable hosts beyond the budget with which somebody goes on."""
    without: frozenset[Place] = frozenset()
    """Batches that go on without the hosts that could not be reached in them."""
    due: frozenset[Place] = frozenset()
    """Batches with hosts that are due once more."""
    again: Begin | None = None
    """The batch whose hosts have another turn now."""
    pace: str = ""
    """Another `max_unavailable`; empty: as planned."""
    left_out: Mapping[Place, tuple[str, ...]] = field(default_factory=dict)
    """Hosts of batches under way that somebody has left out."""
    after: Mapping[Place, Place] = field(default_factory=dict)
    """Batches that have begun while the last turns of another were under way → which."""
    held: Mapping[Place, tuple[Held, ...]] = field(default_factory=dict)
    """Batches whose last turns are under way → what they take."""
    narrows: int = 0
    """How often the pace was lowered while batches ran side by side."""
    narrowed: Mapping[Place, int] = field(default_factory=dict)
    """Batches side by side → to which of these each has come down."""
    looks: Mapping[Place, int] = field(default_factory=dict)
    """Batches that must look anew who is out → how often."""
    turned: bool = False
    """Whether it goes back."""
    back: RollbackPlan | None = None

    @property
    def granted_ms(self) -> int:
        """Since when it has the lease; zero: it has none."""
        return (self.lease and self.lease.granted_ms) or 0

    def did(self, step: Step) -> "Known":
        """It is done; another turn of some hosts may be asked for once more."""
        if step == self.again:
            return replace(self, again=None)
        return replace(self, done=self.done | {step})

    def answered(self, lease: LeaseAnswer) -> "Known":
        """The lease was granted, or is not to be had."""
        return replace(self, lease=lease)

    def ran(self, step: Step, when: When, how: Ran, detail: str) -> "Known":
        """What runs once has run, or not: before the first turn that ends or holds everything."""
        if how == "well":
            return self.did(step)
        if when == "after":
            return replace(self.did(step), remark=detail)
        if how == "failed":
            return replace(self, failed_once=detail)
        return replace(self, pause=Pause(detail))

    def chose(self, step: Begin) -> "Known":
        """These hosts have another turn next."""
        return replace(self, due=self.due - {(step.wave, step.batch)}, again=step)

    def began(self, place: Place, beside: int = 0) -> "Known":
        """The batch has begun: it takes whoever is due in it, and has no turn under way."""
        return replace(self.came_down(place) if beside else self, due=self.due - {place})

    def came_down(self, place: Place, narrows: int | None = None) -> "Known":
        """The batch beside others has come down to that lower pace; none: to the last.

        One that an older worker carries out says nothing of it: what it began with stands.
        """
        narrows = self.narrows if narrows is None else narrows
        return self._narrowed({**self.narrowed, place: max(narrows, self.narrowed.get(place, 0))})

    def _narrowed(self, narrowed: Mapping[Place, int]) -> "Known":
        """When all have come down each looks who is out, which may be more than one's share."""
        known = replace(self, narrowed=narrowed)
        if known.narrowing or not self.narrowing:
            return known
        return replace(known, looks=Counter(self.looks) + Counter(list(narrowed)))

    @property
    def narrowing(self) -> bool:
        """Whether some of those side by side have more turns under way than the pace allows."""
        return self.narrows > 0 and min(self.narrowed.values(), default=self.narrows) < self.narrows

    def follows(self, place: Place, before: Place) -> "Known":
        """The batch has the lanes that the other leaves."""
        return replace(self, after={**self.after, place: before})

    def handed_over(self, place: Place, held: tuple[Held, ...]) -> "Known":
        """The batch takes only that any more, and another one may have the rest."""
        return replace(self, held={**self.held, place: held})

    def let_go(self, place: Place) -> "Known":
        """The batch has returned, and takes nothing any more; who follows it looks who is out."""
        following = {other: 1 for other in self.after if self.after[other] == place}
        known = self._narrowed({o: at for o, at in self.narrowed.items() if o != place})
        return replace(
            known,
            held={other: held for other, held in self.held.items() if other != place},
            looks=Counter(known.looks) + Counter(following),
        )

    def alone(self) -> "Known":
        """No batch runs beside another any more."""
        return replace(self, after={}, held={}, narrowed={}, looks={})

    def held_before(self, place: Place) -> tuple[Held, ...]:
        """What is taken by the batch that had its lanes before."""
        return self.held.get(self.after.get(place, NOWHERE), ())

    def paused(self) -> "Known":
        """It has paused; who resumes it accepts what it paused for."""
        accepted = self.pause.accepted if self.pause else 0
        return replace(self, pause=None, accepted=accepted or self.accepted)

    def skipped(self, found: Steered, running: Iterable[Place]) -> "Known":
        """Hosts are left out; those of batches that run are named to these."""
        names = dict(self.left_out)
        for place in running:
            if now := tuple(each.host for each in found.of(place)):
                names[place] = (*names.get(place, ()), *now)
        return replace(self, left_out=names)

    def retried(self, found: Steered, due: Iterable[Place]) -> "Known":
        """What they counted for is taken back: it is their next turn that counts.

        `due` are the batches that begin once more for them. Who was accepted is so again.
        """
        hosts = {each.host for each in found.hosts}
        left = {
            place: tuple(name for name in names if name not in hosts)
            for place, names in self.left_out.items()
        }
        return replace(
            self.uncounted(found, accepts_others=True),
            left_out=left,
            failures=self.failures - found.failures,
            due=self.due.union(due),
        )

    def begun(self, places: Iterable[Place], running: Iterable[Place]) -> frozenset[Place]:
        """Those of the batches that have begun; the others take whoever is due when they begin."""
        ended = {(s.wave, s.batch) for s in self.done if isinstance(s, Begin)}
        return frozenset(places) & (ended | set(running))

    def uncounted(self, found: Steered, *, accepts_others: bool = False) -> "Known":
        """They are missed no more; `accepts_others`: others may be in their place."""
        less = found.unreachable + found.unreachable_again
        accepted = self.accepted - (0 if accepts_others else less)
        return replace(
            self,
            unreachable=self.unreachable - found.unreachable,
            accepted=max(0, accepted),
        )

    def turn_back(self) -> "Known":
        """It goes back from now on, and counts anew."""
        return replace(self, turned=True, pause=None, failures=0, unreachable=0, accepted=0)

    def planned(self, back: RollbackPlan) -> "Known":
        """The way back is planned."""
        return replace(self, back=back)
