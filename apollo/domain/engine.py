"""The engine of a deployment: from what is known, what to do next. It does nothing itself.

The workflow observes, asks `decide`, does the step, and asks again. In between, `returned` tells
what a batch's end comes to, `word` what batches under way must know, and `grant` what the next one
works on. Which hosts of a batch begin their turn is `Rolling`'s part.
"""

from collections.abc import Iterator
from dataclasses import replace

from apollo.domain.base import parse_share
from apollo.domain.capacity import Allowance, allowance
from apollo.domain.known import NOWHERE, Known, Place
from apollo.domain.once import When
from apollo.domain.rollout import (
    Away,
    BatchControl,
    BatchInput,
    BatchLoad,
    BatchResult,
    News,
    Opened,
)
from apollo.domain.rollout import WaveOutline as Wave
from apollo.domain.steps import (
    Abreast,
    Approve,
    Bake,
    Begin,
    Close,
    Enter,
    EnterWindows,
    Finish,
    Hold,
    Listen,
    Pause,
    PlanRollback,
    RunOnce,
    Settle,
    Stage,
    Step,
    TakeLease,
    TurnBack,
)

End = Close | TurnBack
TOLD_AT_MOST = 400
"""How often a deployment is told how far its batches are, but for failures."""
UNTOLD_PART = 16
"""Batches side by side have at the most this part of the failures that are left untold, and
those before them whose last turns are under way as much again."""
DEPLOYMENT = "the deployment"
"""The first gate."""
_NOT_TAKEN_BACK = {
    "restart": "a restart has nothing to take back",
    "rollback": "a rollback is not taken back: deploy a release",
}


def decide(plan: Opened, known: Known) -> Step:
    """What to do next."""
    step = over(plan, known) or known.pause or _next(plan, known)
    if isinstance(step, End) and known.said.steering and not known.said.stop:
        step = Settle()  # `retry` takes failures back
    return Hold(step) if step.works and known.said.held else step


def over(plan: Opened, known: Known) -> End | None:
    """The end of the way forward, or back, before its last host; none: it goes on."""
    lease = known.lease
    if lease and lease.granted_ms is None:
        return Close("refused" if lease.outcome == "refused" else "superseded", lease.message)
    if step := stopped(plan, known):
        return step
    if known.failed_once:
        return Close("failed", known.failed_once)
    if known.failures > plan.failures_allowed:
        return _too_many_failures(plan, known)
    return None


def stopped(plan: Opened, known: Known) -> End | None:
    """What comes of somebody, or an alarm, having stopped it; none: nobody has."""
    stop, detail = known.said.stop, known.said.detail
    if stop is None:
        return None
    if stop == "alarm":
        return _failed(plan, detail)
    if stop == "rollback":
        if not known.granted_ms:
            return Close("aborted", f"{detail}; nothing had been changed")
        if why := _NOT_TAKEN_BACK.get(known.kind):
            return Close("aborted", f"{detail}; {why}")
        return TurnBack(detail)
    return Close("superseded" if stop == "supersede" else "aborted", detail)


def returned(
    plan: Opened, known: Known, batch: Begin, result: BatchResult, *, stopping: bool = False
) -> Known:
    """What is known when a batch has returned: whether it is done, or a person must look.

    One of several side by side that cannot go on has to be run again, alone: it is neither.
    `stopping`: those side by side begin no more turns.
    """
    known = replace(
        known,
        failures=known.failures + result.failures,
        unreachable=known.unreachable + result.unreachable,
        accepted=max(0, known.accepted - result.left_out),
    )
    if over(plan, known):
        return known
    alone = stopping or (batch.beside and result.stuck)
    if alone and result.pending and _unreachable_left(plan, known) >= 0:
        return known
    if pause := _for_a_person(plan, known, result):
        without = {batch.place} if pause.accepted else set()
        return replace(known, pause=pause, without=known.without | without)
    return known.did(batch)


def word(plan: Opened, known: Known, place: Place = NOWHERE) -> BatchControl:
    """What a batch must know: whether to hold, whether to stop, at which pace, without whom."""
    stop = known.said.stop
    return BatchControl(
        paused=known.said.held,
        stop=stop is not None and not (known.turned and stop == "rollback"),
        allowance=_paced(plan, known.pace),
        skip=known.left_out.get(place, ()),
        looks=known.said.looks + known.looks.get(place, 0),
        held=known.held_before(place),
        narrows=known.narrows,
        others_narrow=known.narrowing,
    )


def paced(plan: Opened, known: Known, pace: str) -> Known:
    """What is known when the pace is another; of batches side by side each comes down to it."""
    was, now = (_paced(plan, share) or plan.allowance for share in (known.pace, pace))
    lower = now.fleet < was.fleet or any(
        now.locations[place] < most for place, most in was.locations.items()
    )
    return replace(known, pace=pace, narrows=known.narrows + (lower and bool(known.narrowed)))


def grant(plan: Opened, known: Known, batch: Begin, load: BatchLoad) -> BatchInput:
    """What a batch works on: lanes, and the failures and unreachable hosts that it may see."""
    told = word(plan, known, (batch.wave, batch.batch) if batch.phase == "forward" else NOWHERE)
    planned: Allowance = known.back.allowance if known.back else plan.allowance
    return BatchInput(
        load=load.model_copy(update={"away": _away(known, batch)}),
        label=plan.label,
        allowance=told.allowance or planned,
        failures_left=plan.failures_allowed - known.failures,
        unreachable_left=max(_unreachable_left(plan, known), 0),
        accepted=known.accepted,
        turn_limit=plan.turn_limit,
        takeover=plan.takeover,
        one_location=plan.one_location,
        paused=told.paused,
        progress_deadline=plan.progress_deadline,
        beside=batch.beside,
        looks=told.looks,
        news=_news(plan, known, batch),
        held=told.held,
        hands_over=batch.hands_over,
        narrows=told.narrows,
        others_narrow=told.others_narrow,
        always_a_lane=(known.turned or known.kind == "rollback") and not batch.beside,
    )


def _paced(plan: Opened, pace: str) -> Allowance | None:
    return allowance(parse_share(pace), plan.locations) if pace else None


def _away(known: Known, batch: Begin) -> Away:
    """Back there is no other turn: what cannot be reached is reported."""
    if batch.phase == "rollback":
        return ""
    return "over" if batch.place in known.without else "due"


def _news(plan: Opened, known: Known, batch: Begin) -> News:
    """What is worth telling: a history must not grow with what nobody needs to know."""
    left = max(0, plan.failures_allowed - known.failures)
    at_once = max(batch.beside, int(plan.relays)) + 1
    return News(hosts=plan.hosts // TOLD_AT_MOST, failures=left // (UNTOLD_PART * at_once))


def no_room(stuck: tuple[str, ...], out: str = "") -> str:
    """Why nothing goes on where there is no room, who is `out`, and what to do."""
    where, who = ", ".join(stuck), f": {out}" if out else ""
    return (
        f"no room in {where}: too many hosts are out (max_unavailable){who}; "
        "mend them and resume, change the pace, or skip those that wait"
    )


def overdrawn(plan: Opened, known: Known, under_way: int) -> bool:
    """Whether batches side by side have used up the budget, with so many failures under way."""
    return known.failures + under_way > plan.failures_allowed


def each_counts(plan: Opened, known: Known, under_way: int) -> bool:
    """Whether it could be used up by those that batches leave untold: each must be told."""
    untold = 2 * (plan.failures_allowed // UNTOLD_PART)
    return overdrawn(plan, known, under_way + untold)


def _next(plan: Opened, known: Known) -> Step:
    way = _back(known) if known.turned else _forward(plan, known)
    return next(step for step in way if step not in known.done)


def _forward(plan: Opened, known: Known) -> Iterator[Step]:
    """The way forward in order; what is done is passed over."""
    said = known.said
    if plan.approval and DEPLOYMENT not in said.approved:
        yield Approve(DEPLOYMENT, f"{DEPLOYMENT} waits for approval")
    if plan.windows:
        yield EnterWindows()
    if known.lease is None:
        yield TakeLease()
    if plan.alarms:
        yield Listen()
    yield from _once(plan, "before")
    for wave in plan.waves:
        yield from _wave(plan, known, wave)
    yield from _again(known)
    if said.steering:
        yield Settle()
    yield Finish()
    yield from _once(plan, "after")
    yield Close("done", known.remark)


def _wave(plan: Opened, known: Known, wave: Wave) -> Iterator[Step]:
    number = wave.number
    if Enter(number) not in known.done:
        yield from _gates(known, wave)
        yield Enter(number)
    if plan.staging_limit:
        yield from (Stage(number, batch) for batch in range(1, wave.batches + 1))
    for batches in wave.stretches:
        width = min(plan.side_by_side, len(batches))
        if width > 1 or (plan.relays and len(batches) > 1):
            yield Abreast(number, batches.start, batches.stop - 1, width, hands_over=plan.relays)
        yield from (Begin("forward", number, batch) for batch in batches)
    if Bake(number, wave.bake) not in known.done:
        yield from _again(known)
        yield Bake(number, wave.bake)


def _gates(known: Known, wave: Wave) -> Iterator[Step]:
    """What must be open before the wave begins."""
    approved, unreadable = known.said.approved, known.said.unreadable
    gate = f"wave {wave.number}"
    if wave.approval and gate not in approved:
        yield Approve(gate, f"{gate} waits for approval")
    without = f"{gate} without its alarms"
    if unreadable and without not in approved:
        yield Approve(without, f"{gate} waits: {unreadable}; approve goes on without it")


def _again(known: Known) -> Iterator[Step]:
    """Hosts that are due another turn."""
    if known.again:
        yield known.again
    elif known.due:
        yield Begin("forward", *min(known.due), again=True)


def _once(plan: Opened, when: When) -> Iterator[Step]:
    if any(each.when == when for each in plan.once):
        yield RunOnce(when)


def _back(known: Known) -> Iterator[Step]:
    if known.back is None:
        yield PlanRollback()
    else:
        yield from (Begin("rollback", 1, batch) for batch in range(1, known.back.batches + 1))
    yield Close("rolled_back")


def _too_many_failures(plan: Opened, known: Known) -> End:
    detail = f"{known.failures} hosts failed, {plan.failures_allowed} were allowed"
    if known.turned:
        return Close("rollback_failed", f"in the rollback {detail}")
    return _failed(plan, detail)


def _failed(plan: Opened, detail: str) -> End:
    return Close("halted", detail) if plan.on_failure == "halt" else TurnBack(detail)


def _unreachable_left(plan: Opened, known: Known) -> int:
    return plan.unreachable_allowed + known.accepted - known.unreachable


def _for_a_person(plan: Opened, known: Known, result: BatchResult) -> Pause | None:
    """Why to pause, for causes that say nothing about the release."""
    if _unreachable_left(plan, known) < 0:
        return Pause(
            f"{known.unreachable} hosts are unreachable, {plan.unreachable_allowed} are "
            "allowed (max_unreachable); resume goes on without them",
            accepted=known.unreachable - plan.unreachable_allowed,
        )
    if result.stuck:
        return Pause(no_room(result.stuck), stuck=result.stuck)
    if result.pending:
        return Pause(
            f"batch {result.batch} was stopped from outside, with {result.pending} hosts to go; "
            "resume goes on with them"
        )
    return None
