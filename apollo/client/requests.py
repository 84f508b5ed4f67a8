"""A request that was given before: it starts its deployment only once."""

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from apollo.domain.deployment import DeploymentRequest
from apollo.errors import Refused, Unavailable


async def refuse_other(client: Client, workflow_id: str, given: DeploymentRequest) -> None:
    """Return when the workflow of that id runs and was asked for the same.

    Raises:
        Refused: It has closed, or was asked for something else.
        Unavailable: Temporal does not answer.
    """
    handle = client.get_workflow_handle(workflow_id)
    name = workflow_id.rpartition("/")[2]
    try:
        found = await handle.describe()
        asked = await _asked(client, workflow_id)
    except RPCError as error:
        raise Unavailable(f"Temporal does not tell of request {name!r}: {error}") from error
    where = f"{given.application}/{given.environment}"
    if found.status is not WorkflowExecutionStatus.RUNNING:
        how = found.status.name.lower() if found.status else "closed"
        raise Refused(
            f"request {name!r} was used by a deployment to {where} that has ended ({how}): it "
            f"asked for {_core(asked)}",
            hint=f"see apollo history {where}; a new deployment needs another request",
        )
    if _core(asked) != _core(given):
        raise Refused(
            f"request {name!r} is used by a deployment that was asked for something else: "
            f"{_core(asked)}, not {_core(given)}",
            hint="give this one another request",
        )


async def _asked(client: Client, workflow_id: str) -> DeploymentRequest | None:
    """What a workflow was started with; none when that is no request."""
    history = client.get_workflow_handle(workflow_id).fetch_history_events(page_size=1)
    first = await anext(aiter(history))
    payloads = first.workflow_execution_started_event_attributes.input.payloads
    if len(payloads) != 1:
        return None
    try:
        (asked,) = await client.data_converter.decode(payloads, [DeploymentRequest])
    except (ValueError, RuntimeError):
        return None
    return asked if isinstance(asked, DeploymentRequest) else None


def _core(request: DeploymentRequest | None) -> dict[str, object]:
    """What the request asks for; who asks, why, and in which trace, may differ."""
    if request is None:
        return {}
    return request.model_dump(exclude={"by", "reason", "traceparent"}, exclude_defaults=True)
