"""The states of deployments and the end states of hosts."""

from enum import StrEnum


class DeploymentState(StrEnum):
    """Where a deployment stands."""

    WAITING = "waiting"
    RUNNING = "running"
    BAKING = "baking"
    AWAITING = "awaiting"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    HALTED = "halted"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing comes after it."""
        return self not in _LIVE


_LIVE = {
    DeploymentState.WAITING,
    DeploymentState.RUNNING,
    DeploymentState.BAKING,
    DeploymentState.AWAITING,
    DeploymentState.PAUSED,
    DeploymentState.ROLLING_BACK,
}


class Outcome(StrEnum):
    """How a host ended in a deployment; the outcomes add up to the plan."""

    UPDATED = "updated"
    CURRENT = "current"
    REVERTED = "reverted"
    BROKEN = "broken"
    UNREACHABLE = "unreachable"
    LOST = "lost"
    SKIPPED = "skipped"
    ROLLED_BACK = "rolled_back"
    NOT_STARTED = "not_started"

    @property
    def good(self) -> bool:
        """The host runs what the deployment wanted."""
        return self in (Outcome.UPDATED, Outcome.CURRENT)

    @property
    def failure(self) -> bool:
        """It counts against `max_failures`."""
        return self in (Outcome.REVERTED, Outcome.BROKEN, Outcome.LOST)

    @property
    def out(self) -> bool:
        """The host does not serve."""
        return self in (Outcome.BROKEN, Outcome.LOST, Outcome.UNREACHABLE)


class Serving(StrEnum):
    """Whether a host serves, as the catalog knows it."""

    NEW = "new"
    SERVING = "serving"
    BROKEN = "broken"
    LOST = "lost"
    UNREACHABLE = "unreachable"
    DISABLED = "disabled"
