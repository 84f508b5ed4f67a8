"""What failures and unreachable hosts add up to, and in which state a deployment ends (5, 10)."""

from collections.abc import Iterable
from typing import NamedTuple

from apollo.domain.base import Wire
from apollo.domain.rollout import Ending
from apollo.domain.status import DeploymentState, Outcome


class Ended(NamedTuple):
    """How a planned host ended, and whether it was broken before."""

    outcome: Outcome
    was_broken: bool = False
    due: bool = False
    """Somebody has asked for another turn of it, and what it came to is taken back."""

    @property
    def failed(self) -> bool:
        """It uses one of `max_failures`: it failed, and is not merely as broken as before."""
        still_broken = self.was_broken and self.outcome in (Outcome.BROKEN, Outcome.LOST)
        return self.outcome.failure and not (still_broken or self.due)

    @property
    def away(self) -> bool:
        """It uses one of `max_unreachable`."""
        return self.outcome is Outcome.UNREACHABLE and not self.due


class Tally(Wire):
    """What has been used of the budgets of a deployment so far."""

    failures: int = 0
    unreachable: int = 0

    def plus(self, ended: Ended) -> "Tally":
        """The tally with one more host."""
        return Tally(
            failures=self.failures + ended.failed,
            unreachable=self.unreachable + ended.away,
        )

    def too_many_failures(self, allowed: int) -> bool:
        """More failures than allowed: `on_failure`. As many as allowed is within the budget."""
        return self.failures > allowed

    def too_many_unreachable(self, allowed: int) -> bool:
        """More hosts unreachable than allowed: the deployment pauses itself, nothing else."""
        return self.unreachable > allowed


def tally(hosts: Iterable[Ended]) -> Tally:
    """What these hosts use of the budgets.

    >>> tally([Ended(Outcome.REVERTED), Ended(Outcome.BROKEN, was_broken=True)])
    Tally(failures=1, unreachable=0)
    """
    ended = list(hosts)
    return Tally(
        failures=sum(host.failed for host in ended),
        unreachable=sum(host.away for host in ended),
    )


_AS_SAID = {
    "halted": DeploymentState.HALTED,
    "aborted": DeploymentState.ABORTED,
    "superseded": DeploymentState.SUPERSEDED,
    "refused": DeploymentState.REFUSED,
    "rollback_failed": DeploymentState.ROLLBACK_FAILED,
}


def end_state(
    ending: Ending,
    hosts: Iterable[Ended],
    *,
    failures_allowed: int = 0,
    rollback_failures: int = 0,
) -> DeploymentState:
    """The state in which a deployment ends, from how it came to its end and how its hosts ended.

    | ending | hosts | state |
    |---|---|---|
    | `done` | all `updated` or `current` | `succeeded` |
    | `done` | some not, failures within the budget | `partial` |
    | `done` | more failures than allowed | `halted` |
    | `rolled_back` | failures of the rollback within the budget | `rolled_back` |
    | `rolled_back` | more failures of the rollback than allowed | `rollback_failed` |
    | `failed` | nothing was changed | `failed` |
    | `failed` | something was changed | `halted` |
    | any other | any | as it is called |

    Args:
        ending: How the way forward or back came to its end.
        hosts: Every planned host.
        failures_allowed: How many may fail, forward and again in the rollback.
        rollback_failures: Turns of the rollback that failed; the rows no longer tell them from
            hosts that the way forward broke and that had nothing to go back to.
    """
    ended = list(hosts)
    if ending == "done":
        if tally(ended).too_many_failures(failures_allowed):
            return DeploymentState.HALTED
        good = all(host.outcome.good for host in ended)
        return DeploymentState.SUCCEEDED if good else DeploymentState.PARTIAL
    if ending == "rolled_back":
        failed = rollback_failures > failures_allowed
        return DeploymentState.ROLLBACK_FAILED if failed else DeploymentState.ROLLED_BACK
    if ending == "failed":
        changed = any(host.outcome not in _UNCHANGED for host in ended)
        return DeploymentState.HALTED if changed else DeploymentState.FAILED
    return _AS_SAID[ending]


_UNCHANGED = (Outcome.NOT_STARTED, Outcome.SKIPPED, Outcome.UNREACHABLE, Outcome.CURRENT)
