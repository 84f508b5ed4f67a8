"""Symbol and word together, for states of deployments and of hosts."""

from typing import NamedTuple

from rich.text import Text

from apollo.domain.promotion import PromotionState
from apollo.domain.status import DeploymentState, Outcome, Serving


class Mark(NamedTuple):
    """How something looks."""

    symbol: str
    word: str
    style: str = ""

    def text(self, more: str = "") -> Text:
        """`✔ updated`."""
        return Text(f"{self.symbol} {self.word}{more}", style=self.style)


_GOOD, _CARE, _BAD, _BUSY = "green", "yellow", "red", "cyan"

_STATES = {
    DeploymentState.WAITING: Mark("…", "waiting", _BUSY),
    DeploymentState.RUNNING: Mark("⟳", "running", _BUSY),
    DeploymentState.BAKING: Mark("⟳", "baking", _BUSY),
    DeploymentState.AWAITING: Mark("?", "awaiting approval", _CARE),
    DeploymentState.PAUSED: Mark("!", "paused", _CARE),
    DeploymentState.ROLLING_BACK: Mark("↩", "rolling back", _CARE),
    DeploymentState.SUCCEEDED: Mark("✔", "succeeded", _GOOD),
    DeploymentState.PARTIAL: Mark("!", "partial", _CARE),
    DeploymentState.HALTED: Mark("✘", "halted", _BAD),
    DeploymentState.ROLLED_BACK: Mark("↩", "rolled back", _CARE),
    DeploymentState.ROLLBACK_FAILED: Mark("✘", "rollback failed", _BAD),
    DeploymentState.ABORTED: Mark("✘", "aborted", _CARE),
    DeploymentState.SUPERSEDED: Mark("»", "superseded", _CARE),
    DeploymentState.REFUSED: Mark("✘", "refused", _BAD),
    DeploymentState.FAILED: Mark("✘", "failed", _BAD),
}
_PROMOTIONS = {
    PromotionState.WAITING: Mark("…", "waiting", _BUSY),
    PromotionState.AWAITING: Mark("?", "awaiting approval", _CARE),
    PromotionState.BAKING: Mark("⟳", "baking", _BUSY),
    PromotionState.DEPLOYING: Mark("⟳", "deploying", _BUSY),
    PromotionState.HELD: Mark("!", "held", _CARE),
    PromotionState.SUCCEEDED: Mark("✔", "succeeded", _GOOD),
    PromotionState.STOPPED: Mark("✘", "stopped", _BAD),
    PromotionState.REJECTED: Mark("✘", "rejected", _CARE),
    PromotionState.SUPERSEDED: Mark("»", "superseded", _CARE),
    PromotionState.ABORTED: Mark("✘", "aborted", _CARE),
    PromotionState.LOST: Mark("✘", "lost", _BAD),
    PromotionState.NOTHING_TO_DO: Mark("·", "nothing to do"),
}
_OUTCOMES = {
    Outcome.UPDATED: Mark("✔", "updated", _GOOD),
    Outcome.CURRENT: Mark("✔", "current", _GOOD),
    Outcome.REVERTED: Mark("↩", "reverted", _BAD),
    Outcome.BROKEN: Mark("✘", "broken", _BAD),
    Outcome.UNREACHABLE: Mark("?", "unreachable", _CARE),
    Outcome.LOST: Mark("✘", "lost", _BAD),
    Outcome.SKIPPED: Mark("-", "skipped"),
    Outcome.ROLLED_BACK: Mark("↩", "rolled back", _CARE),
    Outcome.NOT_STARTED: Mark("·", "not started"),
}
_SERVING = {
    Serving.NEW: Mark("·", "new"),
    Serving.SERVING: Mark("✔", "serving", _GOOD),
    Serving.BROKEN: Mark("✘", "broken", _BAD),
    Serving.LOST: Mark("✘", "lost", _BAD),
    Serving.UNREACHABLE: Mark("?", "unreachable", _CARE),
    Serving.DISABLED: Mark("-", "disabled", _CARE),
}
PENDING = Mark("·", "pending")


def state_mark(state: DeploymentState) -> Mark:
    """A deployment's state."""
    return _STATES[state]


def promotion_mark(state: PromotionState) -> Mark:
    """A promotion's state."""
    return _PROMOTIONS[state]


def stage_mark(state: str) -> Mark:
    """A stage of a promotion: where the promotion stands there, or how its deployment ended."""
    known = {str(each): mark for each, mark in (*_STATES.items(), *_PROMOTIONS.items())}
    return known.get(state, PENDING)


def outcome_mark(outcome: Outcome | str | None) -> Mark:
    """A host's outcome; none: it has not ended."""
    return PENDING if outcome in (None, "pending") else _OUTCOMES[Outcome(outcome)]


def serving_mark(serving: Serving) -> Mark:
    """Whether a host serves."""
    return _SERVING[serving]
