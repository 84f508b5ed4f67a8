"""What `open` tells the workflow of a world's plan."""

from datetime import timedelta

from apollo.domain import capacity
from apollo.domain.base import parse_share
from apollo.domain.once import OnceOutline
from apollo.domain.plan import Plan
from apollo.domain.rollout import Opened
from apollo.domain.rollout import WaveOutline as Wave
from tests.engine.sums import DEADLINE
from tests.engine.world import World


def opened(world: World, plan: Plan) -> Opened:
    """The plan in the workflow's words: who overrides, and who goes back, is held by no gate."""
    strategy, gated = world.case.strategy, not world.override and world.kind != "rollback"
    bakes, approvals = (*world.bakes, 0.0), (*world.approvals, False)
    once = OnceOutline(when="before", run="true", host=plan.hosts[0].host) if plan.hosts else None
    return Opened(
        deployment="d",
        number=1,
        label="shop/prod#1",
        release="2.0",
        hosts=len(plan.hosts),
        locations=world.case.fleet.sizes(),
        waves=tuple(
            Wave(
                number=wave.number,
                hosts=wave.hosts,
                batches=wave.batches,
                barriers=wave.barriers,
                bake=timedelta(seconds=bakes[min(wave.number, len(bakes)) - 1]),
                approval=gated and approvals[min(wave.number, len(approvals)) - 1],
            )
            for wave in plan.waves
        ),
        allowance=plan.allowance,
        side_by_side=1
        if world.case.one_location
        else capacity.side_by_side(plan.allowance, world.batch),
        relays=world.relays and not world.case.one_location,
        failures_allowed=parse_share(world.failures).down(len(plan.hosts)),
        unreachable_allowed=parse_share(world.unreachable).down(len(plan.hosts)),
        on_failure=world.on_failure if world.kind == "deploy" else "halt",
        approval=world.approval and gated,
        windows=bool(world.closed) and gated,
        alarms=world.alarms and world.kind != "rollback",
        override="to mend it" if world.override else "",
        one_location=strategy.spread == "one_location_at_a_time",
        progress_deadline=timedelta(seconds=DEADLINE),
        once=(once,) if once and world.once and world.kind == "deploy" else (),
    )
