"""What the client's handles have in common: words to workflows, and their results."""

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from apollo import names
from apollo.errors import Abandoned, ApolloError, NotFound, Refused, Unavailable

if TYPE_CHECKING:
    from temporalio.client import Client

Result = TypeVar("Result")
PATIENCE = 20.0
"""Seconds for a worker to take what somebody waits for."""
_UNTOUCHED = 2
"""Events of a workflow that no worker has seen: started, and a task for a worker."""


async def say(client: "Client", workflow_id: str, word: str, given: Any, what: str) -> str:
    """Say a word to a running workflow; its answer.

    Raises:
        Refused: It makes no sense now, or the workflow, `what`, has ended.
        Unavailable: Temporal does not answer.
    """
    handle = client.get_workflow_handle(workflow_id)
    try:
        answer: str = await handle.execute_update(word, given, result_type=str)
        return answer
    except WorkflowUpdateFailedError as error:
        why = error.cause.message if isinstance(error.cause, ApplicationError) else error.cause
        raise Refused(f"{word} is refused: {why}") from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise Refused(f"{word} is refused: the {what} has ended") from error
        raise Unavailable(f"Temporal does not take {word}: {error}") from error


async def start(
    client: "Client",
    run: Any,
    given: Any,
    workflow_id: str,
    summary: str,
    what: str,
    *,
    patient: bool = True,
) -> None:
    """Start a workflow of the control queue; an impatient one ends it when no worker takes it.

    Raises:
        Unavailable: Temporal does not answer, or no worker does.
    """
    try:
        await client.start_workflow(
            run,
            given,
            id=workflow_id,
            task_queue=names.CONTROL_QUEUE,
            static_summary=summary[:200],
        )
        if not patient:
            await begun(client, workflow_id, what)
    except RPCError as error:
        raise Unavailable(f"Temporal does not start the {what}: {error}") from error


async def begun(client: "Client", workflow_id: str, what: str) -> None:
    """Wait until a worker has taken a workflow; one that nobody takes is ended.

    Raises:
        Unavailable: No worker took it within `PATIENCE`.
    """
    handle = client.get_workflow_handle(workflow_id)
    until = time.monotonic() + PATIENCE
    while (await handle.describe()).history_length <= _UNTOUCHED:
        if time.monotonic() >= until:
            await handle.terminate("no worker took it")
            raise Unavailable(
                f"no worker has taken the {what} within {PATIENCE:g} s",
                hint="start one: apollo worker, or apollo up",
            )
        await asyncio.sleep(0.2)


async def result_of(client: "Client", workflow_id: str, kind: type[Result], what: str) -> Result:
    """Wait for a workflow's end.

    Raises:
        ApolloError: It could not be opened.
        Abandoned: It was ended from outside.
    """
    handle = client.get_workflow_handle(workflow_id, result_type=kind)
    try:
        result: Result = await handle.result()
        return result
    except WorkflowFailureError as error:
        raise _translated(error, what) from error


def _translated(error: WorkflowFailureError, what: str) -> ApolloError:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    if isinstance(cause, ApplicationError):
        kind = NotFound if cause.type == "NotFound" else Refused
        return kind(cause.message)
    return Abandoned(f"the {what}'s workflow was ended from outside: {error.cause}")
