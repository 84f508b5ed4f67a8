"""What a deployment's workflow is told when it is opened: its waves, limits and gates."""

from datetime import timedelta
from typing import TYPE_CHECKING

from apollo.domain.capacity import side_by_side
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.environment import Environment
from apollo.domain.plan import BATCH
from apollo.domain.progress import default_deadline
from apollo.domain.relay import relays
from apollo.domain.rollout import Opened, WaveOutline
from apollo.domain.staging import staging_limit
from apollo.domain.status import DeploymentState
from apollo.domain.turn import longest_turn
from apollo.prepared import Prepared

if TYPE_CHECKING:
    from apollo.catalog.records import StoredDeployment


def outline(
    stored: "StoredDeployment", prepared: Prepared, request: DeploymentRequest, takeover: timedelta
) -> Opened:
    """All that the workflow must know; its hosts lie in the catalog."""
    plan, strategy = prepared.plan, prepared.environment.strategy
    one_location = strategy.spread == "one_location_at_a_time"
    balancer, gated = prepared.environment.balancer, not request.overrides
    limits = [longest_turn(m, balancer) for m in prepared.distinct.values()]
    limits += [longest_turn(setup, balancer) for setup in prepared.setups]
    turn_limit = max(limits, default=timedelta(hours=1))
    width = 1 if one_location else side_by_side(plan.allowance, BATCH)
    return Opened(
        deployment=stored.uuid,
        number=stored.number,
        label=stored.label,
        release=stored.release,
        previous_release=stored.previous_release,
        hosts=len(plan.hosts),
        locations=prepared.environment.fleet.sizes(),
        waves=tuple(
            WaveOutline(
                number=wave.number,
                hosts=wave.hosts,
                batches=wave.batches,
                barriers=wave.barriers,
                bake=wave.bake,
                approval=wave.approval and gated,
            )
            for wave in plan.waves
        ),
        allowance=plan.allowance,
        side_by_side=width,
        relays=not one_location and relays(sum(wave.batches for wave in plan.waves), width),
        failures_allowed=plan.failures_allowed,
        unreachable_allowed=plan.unreachable_allowed,
        on_failure=strategy.on_failure,
        approval=prepared.environment.approval and gated and not request.approved,
        windows=prepared.environment.timed and gated,
        alarms=bool(prepared.environment.alarms),
        override=request.override.strip(),
        one_location=one_location,
        turn_limit=turn_limit,
        progress_deadline=strategy.progress_deadline or default_deadline(turn_limit),
        takeover=takeover,
        once=prepared.once,
        staging_limit=staging_limit(prepared.distinct.values()),
        notify=_asked(prepared.environment),
    )


def _asked(environment: Environment) -> dict[str, tuple[int, ...]]:
    """Which webhooks are to be told of each state."""
    hooks = list(enumerate(environment.notify))
    asked = {
        str(state): tuple(number for number, hook in hooks if str(state) in hook.on)
        for state in DeploymentState
    }
    return {state: numbers for state, numbers in asked.items() if numbers}
