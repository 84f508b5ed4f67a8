"""Exit codes (the design's section 7)."""

from apollo.domain.promotion import PromotionState
from apollo.domain.status import DeploymentState

TIMED_OUT = 124
DETACHED = 130
INCOMPLETE = 6
BUG = 1

_STATES = {
    DeploymentState.SUCCEEDED: 0,
    DeploymentState.PARTIAL: INCOMPLETE,
    DeploymentState.HALTED: 3,
    DeploymentState.FAILED: 3,
    DeploymentState.ROLLBACK_FAILED: 3,
    DeploymentState.ABORTED: 3,
    DeploymentState.ROLLED_BACK: 4,
    DeploymentState.REFUSED: 5,
    DeploymentState.SUPERSEDED: 5,
}


_PROMOTIONS = {
    PromotionState.STOPPED: 3,
    PromotionState.ABORTED: 3,
    PromotionState.REJECTED: 5,
    PromotionState.SUPERSEDED: 5,
    PromotionState.LOST: 1,
}


def promotion_exit_code(state: PromotionState) -> int:
    """What a command ends with that has seen a promotion end so; 0 while it runs."""
    return _PROMOTIONS.get(state, 0)


def exit_code(state: DeploymentState) -> int:
    """What a command ends with that has seen a deployment end so; 0 while it runs."""
    return _STATES.get(state, 0)
