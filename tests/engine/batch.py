"""A simulated batch: `Rolling` decides, the world answers."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Protocol

from apollo.domain.known import NOWHERE, Place
from apollo.domain.progress import Pulse
from apollo.domain.rolling import Rolling
from apollo.domain.rollout import BatchControl, BatchInput, BatchResult, Held, HostTurn
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnRecord
from tests.engine.clockwork import Clockwork, Doing, Until
from tests.engine.ledger import Ledger
from tests.engine.log import Onlooker, Turn
from tests.engine.world import FOREVER, World

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BACK = {Outcome.UPDATED: Outcome.ROLLED_BACK, Outcome.CURRENT: Outcome.ROLLED_BACK}


class Deployment(Protocol):
    """What a batch needs of the deployment that it belongs to."""

    world: World
    clock: Clockwork
    ledger: Ledger
    onlooker: Onlooker
    running: "list[Running]"

    def progressed(self) -> None:
        """The batch has told how far it is."""

    def came_down(self, place: Place, narrows: int) -> None:
        """The batch has no more turns under way than a lower pace allows."""

    def handed_over(self, place: Place, held: tuple[Held, ...]) -> None:
        """So little of the batch is under way that the next one may begin."""


@dataclass(eq=False)
class Running:
    """A batch under way."""

    deployment: Deployment
    given: BatchInput
    rolling: Rolling
    pulse: Pulse
    told: BatchControl | None = None
    slow: tuple[str, ...] = ()
    progress: BatchResult | None = None
    """What the deployment was told last."""
    over: bool = False
    _turns: dict[str, HostTurn] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where it gives turns, on the way forward."""
        load = self.given.load
        return (load.wave, load.batch) if load.phase == "forward" else NOWHERE

    @property
    def now(self) -> datetime:
        """The simulated time."""
        return EPOCH + timedelta(seconds=self.deployment.clock.now)

    @property
    def stalled(self) -> bool:
        """Whether no location moves, or it waits for those in which none does."""
        return self.rolling.idle or (bool(self.slow) and self.pulse.stalled(self.now))

    @property
    def failures(self) -> int:
        """Those that it has told of."""
        return self.progress.failures if self.progress else 0

    def tell(self, word: BatchControl) -> None:
        """The deployment's word; what has been told already is not told again."""
        if self.told == word:
            return
        looks = self.told.looks if self.told else self.given.looks
        self.told = word
        paused, asked = self.rolling.paused, word.each_failure != self.rolling.each_failure
        self.rolling.control(word)
        if word.looks != looks:
            self.look()
        if self.given.held:
            self.pulse.under_way(self.rolling.busy, self.now)
        if paused != self.rolling.paused or not (self.given.held or asked):
            self.pulse.rest(self.now)
            self.slow = ()
        self.note_left()
        self._narrow()
        if self.rolling.owes(self.progress):
            self._tell_deployment()

    def _narrow(self) -> None:
        if self.rolling.tell():
            self.deployment.came_down(self.place, self.rolling.narrowed)

    def look(self) -> None:
        """Which of its hosts are disabled."""
        ledger = self.deployment.ledger
        hosts = self.rolling.hosts
        self.rolling.look(ledger.disabled & set(hosts), ledger.out_beside(hosts))

    def note_left(self) -> None:
        """Who was left out has ended; the ends of turns are on record already."""
        records, self.rolling.unrecorded = self.rolling.unrecorded, []
        for record in records:
            if record.outcome is Outcome.SKIPPED:
                self.deployment.ledger.record(self.given.load.phase, record)
                self.deployment.onlooker.left(record.host)

    def run(self) -> Doing[BatchResult]:
        """Give turns until nothing more may or can begin."""
        deployment, rolling = self.deployment, self.rolling
        if self.given.held:
            self.pulse.under_way(rolling.busy, self.now)
        deployment.clock.start(self._watch())
        while True:
            seen = rolling.moves
            begun = rolling.begin()
            turns, load = [self._seen(turn) for turn in begun], self.given.load
            deployment.onlooker.began(load.phase, load.wave, load.batch, turns)
            for turn, shown in zip(begun, turns, strict=True):
                self.pulse.begun(turn.host.location, self.now)
                deployment.clock.start(self._turn(turn, shown))
            if rolling.finished:
                break
            yield Until(lambda seen=seen: rolling.moves != seen)  # type: ignore[misc]
        self.over = True
        return rolling.result()

    def _seen(self, turn: HostTurn) -> Turn:
        load = self.given.load
        return Turn(turn.host.name, load.phase, load.wave, load.batch, turn.turn)

    def _turn(self, turn: HostTurn, shown: Turn) -> Doing[None]:
        lasts, outcome = self._fate(turn)
        yield Until(seconds=lasts)
        record = TurnRecord(
            host=turn.host.name, location=turn.host.location, turn=turn.turn, outcome=outcome
        )
        self.deployment.ledger.record(self.given.load.phase, record)
        self.deployment.onlooker.ended(shown, str(outcome))
        self.rolling.end(record)
        self.note_left()
        self.pulse.ended(turn.host.location, self.now, self.rolling.busy)
        self._narrow()
        if self.slow or self._is_news():
            self._tell_deployment()
        self._hand_over()

    def _is_news(self) -> bool:
        """Its last end is told in any case: it returns."""
        now, news = self.rolling.result(), self.given.news
        last = not (now.pending or self.rolling.lanes)
        owes = last or self.rolling.owes(self.progress)
        return owes or (news is not None and news.worth(now, self.progress))

    def _tell_deployment(self) -> None:
        self.progress = self.rolling.result()
        self.deployment.progressed()

    def _hand_over(self) -> None:
        held = self.rolling.hand_over() if self.given.hands_over else None
        if held is not None:
            self.deployment.handed_over(self.place, held)

    def _fate(self, turn: HostTurn) -> tuple[float, Outcome]:
        world, back = self.deployment.world, self.given.load.phase == "rollback"
        random = Random(f"{world.seed} {turn.host.name} {back} {turn.turn}")
        lasts = random.choice([1.0, 1.0, 2.0, 7.0])
        outcome = random.choice(world.mood)
        if random.random() < world.slow:
            lasts = FOREVER
        if turn.manifest is None:
            return lasts, Outcome.BROKEN
        return lasts, BACK.get(outcome, outcome) if back else outcome

    def _watch(self) -> Doing[None]:
        """Tell of locations that do not move."""
        while not self._has_ended():
            yield Until(lambda: self.over or (self.pulse.busy and not self.rolling.paused))
            yield Until(self._has_ended, self.pulse.next_look(self.now).total_seconds())
            slow = () if self.rolling.paused else self.pulse.slow(self.now)
            if (slow or self.slow) and not self._has_ended():
                self.slow = slow
                self._tell_deployment()

    def _has_ended(self) -> bool:
        return self.over
