"""What the hooks of a host's turn have printed so far, read on the host."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo.activities.logs import LogActivities, PrintedActivities
    from apollo.domain.logs import HostLog, LogRead, LogRequest
    from apollo.workflows.inputs import one_input
    from apollo.workflows.options import quick, reading


@workflow.defn(failure_exception_types=[ValidationError])
class Logs:
    """Asks a host worker what a host's turn has printed; nothing is changed anywhere."""

    @workflow.init
    @one_input(least=0)
    def __init__(self, request: LogRequest = LogRequest()) -> None:
        pass

    @workflow.run
    async def run(self, request: LogRequest = LogRequest()) -> HostLog:
        """What came since; nothing when no turn of the host is under way."""
        request = LogRequest.model_validate(request)  # it may have been given anything
        target = await workflow.execute_activity_method(
            LogActivities.find_turn, request, **quick("find the turn")
        )
        if target.host is None:
            return HostLog()
        given = LogRead(request=request, target=target)
        where = target.host.location if target.own_workers else ""
        wait = timedelta(seconds=request.poll)
        return await workflow.execute_activity_method(
            PrintedActivities.read_log, given, **reading(target.host.name, where, wait)
        )
