"""Hooks that run once per deployment: on the first host that matches and can be reached."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from apollo.activities.hosts import HostActivities
    from apollo.activities.once import OnceActivities
    from apollo.domain.known import Ran
    from apollo.domain.once import OnceCandidate, OnceHosts, OnceLoad, OnceOutline, OnceRecord
    from apollo.domain.status import Outcome
    from apollo.domain.turn import TurnRecord
    from apollo.workflows.batch import failed_turn
    from apollo.workflows.options import once_options, quick


class Once:
    """One such hook. It is never begun on a second host unless it cannot have begun on the first.

    `run` may be called again when the hook did not end: it goes on with what is there.
    """

    def __init__(self, outline: OnceOutline, load: OnceLoad, takeover: timedelta) -> None:
        self._outline = outline
        self._load = load
        self._takeover = takeover
        self._begun: OnceCandidate | None = None
        self.detail = ""
        """How it went, in words."""

    async def run(self) -> Ran:
        """Run the hook, or attach to it where it may have begun."""
        hosts = await workflow.execute_activity_method(
            OnceActivities.load_once, self._load, **quick(f"hosts for {self._outline.step}")
        )
        left = (self._begun,) if self._begun else hosts.candidates
        reasons: list[str] = []
        for candidate in left:
            record = await self._on(candidate, hosts)
            if record.outcome is Outcome.UNREACHABLE and self._begun is None:
                reasons.append(record.message)
                continue
            return self._told(candidate, record)
        tried = "; ".join(reasons) or "no host that matches is left"
        self.detail = f"{self._outline.step} has not begun: {tried}"
        return "nowhere"

    def _told(self, candidate: OnceCandidate, record: TurnRecord) -> Ran:
        step, host = self._outline.step, record.host
        if record.outcome.good:
            self.detail = f"{step} ran on {host}"
            return "well"
        if record.outcome in (Outcome.LOST, Outcome.UNREACHABLE):
            self._begun = candidate
            self.detail = (
                f"{step} may have begun on {host}, and contact was lost: {record.message}; "
                "resume asks that host again, abort ends the deployment"
            )
            return "unclear"
        output = f": {record.output}" if record.output else ""
        self.detail = f"{step} failed on {host}: {record.message}{output}"
        return "failed"

    async def _on(self, candidate: OnceCandidate, hosts: OnceHosts) -> TurnRecord:
        given = candidate.turn
        options = once_options(given, candidate.own_workers, hosts.limit, self._takeover)
        try:
            record = await workflow.execute_activity_method(HostActivities.once, given, **options)
        except ActivityError as error:
            record = failed_turn(given, error)
        await workflow.execute_activity_method(
            OnceActivities.record_once,
            OnceRecord(deployment=given.deployment, record=record),
            **quick(f"record {self._outline.step}"),
        )
        return record
