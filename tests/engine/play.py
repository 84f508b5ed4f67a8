"""A deployment carried out without hosts, clock or Temporal: the engine decides, this does it.

It does what the workflow does with each step, on a simulated clock; whoever looks on is told of
all that can be seen from outside.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from apollo.domain import budget, capacity, engine, rollback, steps
from apollo.domain.base import parse_share
from apollo.domain.budget import Ended
from apollo.domain.controls import Controls, pace_refusal
from apollo.domain.deployment import PaceControl
from apollo.domain.known import NOWHERE, Known, Said
from apollo.domain.progress import Pulse
from apollo.domain.rolling import Rolling
from apollo.domain.rollout import BatchControl, BatchLoad, Held, LeaseAnswer, RollbackPlan
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.steering import Steered, SteeringInput, steered
from tests.engine.batch import Running
from tests.engine.clockwork import Clockwork, Doing, Until
from tests.engine.ledger import Ledger
from tests.engine.log import Onlooker
from tests.engine.opening import opened
from tests.engine.world import World

End = steps.Close | steps.TurnBack
LOAD = 0.25
"""Seconds until a batch has its hosts, and until it is known of whom somebody speaks."""


STUCK = "no location moves"


class Ended_(Exception):
    """The way has come to an end in the middle of a step."""

    def __init__(self, step: End) -> None:
        super().__init__(step)
        self.step = step


class Play:
    """One deployment; `run` carries it out."""

    def __init__(self, world: World, onlooker: Onlooker) -> None:
        plan = world.case.plan(batch_size=world.batch)
        self.world = world
        self.onlooker = onlooker
        self.opened = opened(world, plan)
        self.clock = Clockwork()
        self.ledger = Ledger.of(world.case, plan)
        self.controls = Controls()
        self.known = Known(kind=world.kind)
        self.running: list[Running] = []
        self.state = ""
        """How it ended."""
        self._steering = 0
        self._looks = 0
        self._listens = False
        self._unreadable = ""
        self._windows = False
        self._abreast_stopping: bool | None = None
        """None: no batches run side by side."""
        self._each_failure = False
        """Whether they are to tell of each failure."""
        self._handed_over: set[tuple[int, int]] = set()
        self._shown = ("", "")
        self._doings: dict[type[steps.Step], Callable[[Any], Doing[None]]] = {
            steps.Approve: self._approve,
            steps.EnterWindows: self._enter_windows,
            steps.TakeLease: self._take_lease,
            steps.Listen: self._listen,
            steps.RunOnce: self._run_once,
            steps.Enter: self._enter,
            steps.Abreast: self._run_abreast,
            steps.Begin: self._begin,
            steps.Bake: self._bake,
            steps.Settle: self._settle,
            steps.Finish: self._finish,
            steps.PlanRollback: self._plan_rollback,
            steps.Pause: self._pause,
        }
        places = {row.host: (row.wave, row.batch) for row in self.ledger.forward}
        onlooker.opened(self.opened.failures_allowed, self.opened.unreachable_allowed, places)

    def run(self) -> bool:
        """Carry it out to its end; whether it came there. People help it on where it waits."""
        for each in self.world.said:
            self.clock.at(each.at, partial(self.say, each.what, each.more))
        for begin, end in self.world.closed:
            self.clock.at(begin, lambda: self._close_windows("opens later"))
            self.clock.at(end, lambda: self._close_windows(""))
        self.clock.start(self._deploy())
        for helps in range(30):
            if self.clock.run(lambda: bool(self.state), self._rest, most=20_000):
                return True
            if not self._help(helps):
                return False
        return False

    def say(self, what: str, more: str = "") -> bool:
        """Say something; whether it was accepted."""
        if what in ("fire", "unreadable", "readable"):
            return self._alarm(what)
        if what == "disable":
            return self._disable(int(more))
        if self.controls.refusal(what):
            return False
        if what in ("skip", "retry"):
            self.clock.start(self._steer(what, more))
            return True
        if what == "pace":
            if pace_refusal(PaceControl(max_unavailable=more)):
                return False
            self.known = engine.paced(self.opened, self.known, more)
        self.onlooker.said(what, self.controls.gate if what == "approve" else more)
        self._obey(what)
        self.tell()
        return True

    def tell(self) -> None:
        """Tell running batches what has changed."""
        for batch in list(self.running):
            batch.tell(self._word(batch))

    def progressed(self) -> None:
        """A batch has told how far it is, or has returned."""
        if self._abreast_stopping is not None:
            under_way = sum(each.failures for each in self.running)
            self._abreast_stopping |= engine.overdrawn(self.opened, self.known, under_way)
            self._each_failure |= engine.each_counts(self.opened, self.known, under_way)
        self._note_slow()
        self.tell()

    def came_down(self, place: tuple[int, int], narrows: int) -> None:
        """A batch has no more turns under way than a lower pace allows."""
        self.known = self.known.came_down(place, narrows)
        self._note_slow()
        self.tell()

    @property
    def at_present(self) -> Known:
        """What is known at this moment."""
        controls = self.controls
        said = Said(
            stop=controls.stop,
            detail=controls.detail,
            held=controls.held,
            approved=frozenset(controls.approved),
            unreadable=self._unreadable if self._listens and not self.world.override else "",
            steering=self._steering > 0,
            looks=self._looks,
        )
        return replace(self.known, said=said)

    def _decide(self) -> steps.Step:
        return engine.decide(self.opened, self.at_present)

    def _deploy(self) -> Doing[None]:
        end = yield from self._wind_up((yield from self._until_end()))
        if isinstance(end, steps.TurnBack):
            self.controls.base = DeploymentState.ROLLING_BACK
            self.controls.stop = None
            self.known = self.known.turn_back()
            self.onlooker.said("turn back", "")
            end = yield from self._until_end()
        assert isinstance(end, steps.Close)
        self.controls.closing = True
        back = [row for row in self.ledger.back if row.manifest]
        bad = (Outcome.UNREACHABLE, Outcome.BROKEN, Outcome.LOST, Outcome.REVERTED)
        state = budget.end_state(
            end.ending,
            [
                Ended(row.outcome or Outcome.NOT_STARTED, row.was_broken, row.pending)
                for row in self.ledger.forward
            ],
            failures_allowed=self.opened.failures_allowed,
            rollback_failures=sum(row.outcome in bad for row in back),
        )
        self.controls.base = state
        self._show()
        ends = {host: str(outcome) for host, outcome in self.ledger.ends.items()}
        self.onlooker.closed(str(state), ends)
        self.state = str(state)

    def _until_end(self) -> Doing[End]:
        while True:
            step = yield from self._next()
            if isinstance(step, steps.Close | steps.TurnBack):
                return step
            try:
                yield from self._doings[type(step)](step)
            except Ended_ as ended:
                return ended.step

    def _next(self) -> Doing[steps.Step]:
        step = self._decide()
        todo = step.then if isinstance(step, steps.Hold) else step
        if not todo.works:
            return step
        if isinstance(todo, steps.Begin) and todo.again:
            self.known = self.known.chose(todo)
        if not self.known.turned:
            self.controls.base = DeploymentState.RUNNING
        yield Until(lambda: not isinstance(self._decide(), steps.Hold))
        return self._decide()

    def _wind_up(self, end: End) -> Doing[End]:
        yield Until(lambda: not self._steering)
        self.controls.over = True
        self._listens = False
        return engine.stopped(self.opened, self.at_present) or end

    def _approve(self, step: steps.Approve) -> Doing[None]:
        self.controls.base, self.controls.gate = DeploymentState.AWAITING, step.gate
        yield Until(lambda: self._decide() != step)
        self.controls.gate = ""

    def _enter_windows(self, step: steps.EnterWindows) -> Doing[None]:
        controls, now = self.controls, self.clock.now
        self._windows = True
        self._close_windows("later" if any(a <= now < b for a, b in self.world.closed) else "")
        if controls.closed:
            controls.base = DeploymentState.AWAITING
        yield Until(lambda: not controls.closed or controls.stop is not None)
        self.known = self.known.did(step)

    def _take_lease(self, step: steps.TakeLease) -> Doing[None]:
        self.controls.base = DeploymentState.WAITING
        yield Until(lambda: self.controls.stop is not None, 3.0)
        if self.controls.stop:
            return
        outcome = self.world.lease
        self.onlooker.said(outcome, "")
        granted = 1 if outcome == "granted" else None
        self.known = self.known.answered(LeaseAnswer(granted_ms=granted, outcome=outcome))

    def _listen(self, step: steps.Listen) -> Doing[None]:
        self.controls.base = DeploymentState.RUNNING
        self._listens = True
        self.onlooker.said("listens", "")
        yield from self._until_free()
        self.known = self.known.did(step)

    def _run_once(self, step: steps.RunOnce) -> Doing[None]:
        yield Until(seconds=2.0)
        ran = self.world.random.choice(["well", "well", "failed", "unclear", "nowhere"])
        if "once" in self.known.remark or ran == "unclear":  # asked again, that host answers
            ran = "well"
        self.onlooker.said("once", f"{step.when} {ran}")
        self.known = self.known.ran(step, step.when, ran, "the hook")  # type: ignore[arg-type]

    def _enter(self, step: steps.Enter) -> Doing[None]:
        self.controls.base = DeploymentState.RUNNING
        self.known = self.known.did(step)
        yield from ()

    def _begin(self, step: steps.Begin) -> Doing[None]:
        yield from self._run_batch(step)

    def _run_batch(self, step: steps.Begin) -> Doing[None]:
        yield Until(lambda: not self._steering)
        place = (step.wave, step.batch) if step.phase == "forward" else (0, 0)
        self.known = self.known.began(place, step.beside)
        load = BatchLoad(
            deployment="d",
            workflow_id="w",
            phase=step.phase,
            wave=step.wave,
            batch=step.batch,
            granted_ms=self.known.granted_ms,
        )
        given = engine.grant(self.opened, self.at_present, step, load)
        turns = self.ledger.load(given.load)
        names = [turn.host.name for turn in turns]
        out = self.ledger.out_beside(names)
        pulse = Pulse(self.opened.progress_deadline)
        rolling = Rolling(given, turns, out, self.ledger.kept_from(given.load))
        batch = Running(self, given, rolling, pulse)
        self.running.append(batch)
        self.onlooker.batch(
            *(step.phase, step.wave, step.batch, names),
            beside=step.beside,
            after=bool(given.held),
        )
        batch.tell(self._word(batch))
        result = yield from batch.run()
        self.running.remove(batch)
        stopping = bool(self._abreast_stopping)
        self.known = engine.returned(self.opened, self.at_present, step, result, stopping=stopping)
        self.progressed()

    def _run_abreast(self, step: steps.Abreast) -> Doing[None]:
        """Batches side by side, each lane the next that nobody has taken."""
        queue, lanes, ends = list(step.batches), [True] * step.width, list[End]()
        self._abreast_stopping = self._each_failure = False

        def one(batch: steps.Begin, before: tuple[int, int], done: list[bool]) -> Doing[None]:
            if before != NOWHERE:
                self.known = self.known.follows(batch.place, before)
            try:
                yield from self._run_beside(batch)
            except Ended_ as ended:
                self._abreast_stopping = True
                ends.append(ended.step)
            self.known = self.known.let_go(batch.place)
            done.append(True)
            self.tell()

        def lane(number: int) -> Doing[None]:
            under_way, place = list[list[bool]](), NOWHERE
            while queue and not self._abreast_stopping:
                batch = queue.pop(0)
                under_way.append([])
                self.clock.start(one(batch, place, under_way[-1]))
                place = batch.place
                yield self._until_left(under_way, place)
            yield Until(lambda: all(under_way))
            lanes[number] = False

        for number in range(step.width):
            self.clock.start(lane(number))
        yield Until(lambda: not any(lanes))
        self._abreast_stopping, self._each_failure = None, False
        self.known = self.known.alone()
        if ends:
            raise Ended_(ends[0])
        self.known = self.known.did(step)

    def _until_left(self, under_way: list[list[bool]], place: tuple[int, int]) -> Until:
        *before, last = under_way
        return Until(lambda: all(before) and bool(last or place in self._handed_over))

    def handed_over(self, place: tuple[int, int], held: tuple[Held, ...]) -> None:
        """So little of a batch is under way that the next one may begin."""
        self.known = self.known.handed_over(place, held)
        self._handed_over.add(place)
        self.tell()

    def _run_beside(self, batch: steps.Begin) -> Doing[None]:
        while True:
            yield from self._until_free()
            yield from self._run_batch(batch)
            if engine.over(self.opened, self.at_present):
                self._abreast_stopping = True
                self.tell()
                return
            if batch in self.known.done or self.known.pause is None:
                return
            yield from self._pause(self.known.pause)

    def _until_free(self) -> Doing[None]:
        controls = self.controls
        yield Until(lambda: not controls.held or controls.stop is not None)
        if step := engine.stopped(self.opened, self.at_present):
            raise Ended_(step)

    def _bake(self, step: steps.Bake) -> Doing[None]:
        if step.lasts > timedelta(0):
            self.controls.base = DeploymentState.BAKING
            ends = step.lasts.total_seconds()
            yield Until(lambda: self.controls.stop is not None or bool(self.known.due), ends)
        if not self.known.due:
            self.known = self.known.did(step)

    def _settle(self, step: steps.Settle) -> Doing[None]:
        yield Until(lambda: not self._steering)

    def _finish(self, step: steps.Finish) -> Doing[None]:
        self.controls.over = True
        self.known = self.known.did(step)
        yield from ()

    def _pause(self, step: steps.Pause) -> Doing[None]:
        self._pause_itself(step.why)
        self.known = self.known.paused()
        yield from ()

    def _plan_rollback(self, step: steps.PlanRollback) -> Doing[None]:
        yield Until(seconds=LOAD)
        turns = rollback.rollback_plan(
            self.ledger.ended(None if self.world.seed % 2 else "old"), batch_size=self.world.batch
        )
        self.ledger.plan_back(turns)
        self.onlooker.went_back([turn.host for turn in turns])
        batches = turns[-1].batch if turns else 0
        allowed = capacity.allowance(parse_share(self.world.back_share), self._sizes())
        back = RollbackPlan(hosts=len(turns), batches=batches, allowance=allowed)
        self.known = self.known.planned(back)

    def _sizes(self) -> dict[str, int]:
        return self.world.case.fleet.sizes()

    def _word(self, batch: Running) -> BatchControl:
        word = engine.word(self.opened, self.at_present, batch.place)
        stop = word.stop or bool(self._abreast_stopping)
        return word.model_copy(update={"stop": stop, "each_failure": self._each_failure})

    def _obey(self, what: str) -> None:
        controls = self.controls
        if what == "pause":
            controls.pause("")
        elif what == "resume":
            controls.resume()
            for batch in self.running:
                batch.slow = ()
        elif what == "approve":
            controls.approve()
        elif what in ("abort", "rollback", "supersede"):
            controls.end(what, "")  # type: ignore[arg-type]

    def _pause_itself(self, why: str) -> None:
        self.controls.pause_itself(why)
        self.onlooker.said("pause itself", why)
        self.tell()

    def _note_slow(self) -> None:
        stalled = bool(self.running) and all(each.stalled for each in self.running)
        back = self.controls.base is DeploymentState.ROLLING_BACK
        if stalled and not (back or self.controls.stop or self.controls.paused):
            self._pause_itself(STUCK)
        elif not stalled and self.controls.paused and self.controls.detail == STUCK:
            self.onlooker.said("resume", "")
            self.controls.resume()

    def _close_windows(self, opens: str) -> None:
        if self._windows:
            self.controls.closed = opens
            self.onlooker.said("windows close" if opens else "windows open", "")
            self.tell()

    def _alarm(self, what: str) -> bool:
        if what == "fire":
            if not self._listens or self.world.override or self.controls.stop:
                return False
            self.controls.fire("the alarm")
            self.onlooker.said("fire", "")
            self.tell()
            return True
        self._unreadable = "it cannot be read" if what == "unreadable" else ""
        self.onlooker.said(what, "")
        return True

    def _disable(self, number: int) -> bool:
        hosts = [each.name for each in self.world.case.machines]
        name = hosts[number % len(hosts)]
        self.ledger.disabled.add(name)
        self.ledger.out.add(name)
        self.onlooker.said("disable", name)
        self._looks += 1
        self.tell()
        return True

    def _steer(self, what: str, hosts: str) -> Doing[None]:
        self._steering += 1
        yield Until(seconds=LOAD)
        places = [each.place for each in self.running if each.place != (0, 0)]
        try:
            found = self._choose(what, hosts, places)
        except ValueError:
            self._steering -= 1
            return
        self.onlooker.said(what, ",".join(each.host for each in found.hosts))
        if what == "skip":
            self._skip(found, places)
        else:
            self.ledger.retry(found)
            due = self.known.begun(found.places, places)
            self.known = self.known.retried(found, due)
        self._steering -= 1
        self.tell()

    def _choose(self, what: str, hosts: str, places: list[tuple[int, int]]) -> Steered:
        (wave, batch), *beside = places or [(0, 0)]
        given = SteeringInput(
            deployment="d",
            action=what,  # type: ignore[arg-type]
            hosts=hosts,
            wave=wave,
            batch=batch,
            beside=tuple(beside),
        )
        return steered(given, self.world.case.fleet, self.ledger.forward)

    def _skip(self, found: Steered, places: list[tuple[int, int]]) -> None:
        self.known = self.known.skipped(found, places)
        for each in found.hosts:
            if (each.wave, each.batch) not in places:
                self.ledger.leave_out(each.host)
                self.onlooker.left(each.host)
        self.known = self.known.uncounted(found)

    def _rest(self) -> None:
        self._show()
        self.onlooker.rests()

    def _show(self) -> None:
        shown = str(self.controls.state), self.controls.says
        if shown != self._shown:
            self._shown = shown
            self.onlooker.shows(*shown)

    def _help(self, helps: int) -> bool:
        """Nothing happens any more: somebody says what makes it go on."""
        if self.controls.gate and self.say("approve"):
            return True
        if not self.controls.paused:
            return False
        if helps > 2:
            self.say("pace", "100%")
        if helps > 4:
            self.say("skip", "@outdated")
        if helps > 8:
            return self.say("abort")
        return self.say("resume")
