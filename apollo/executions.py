"""Whether a workflow still runs, as Temporal knows it."""

from typing import TYPE_CHECKING

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

if TYPE_CHECKING:
    from temporalio.client import Client


async def runs(client: "Client", workflow_id: str, first_run_id: str = "") -> bool:
    """Whether the workflow runs; with `first_run_id` whether that execution does, or its reset."""
    try:
        found = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    first = found.raw_description.workflow_execution_info.first_run_id
    ours = first_run_id in ("", first, found.run_id)
    return ours and found.status is WorkflowExecutionStatus.RUNNING
