"""Notifications: a webhook is told of a deployment's state, which never waits for that."""

import asyncio
import contextlib

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo import names
    from apollo.activities.notifications import NotificationActivities
    from apollo.domain.controls import Entry
    from apollo.domain.notification import DETAIL, NotificationInput, NotifyInput
    from apollo.domain.rollout import Opened
    from apollo.workflows.inputs import one_input
    from apollo.workflows.options import delivering

_KEYS = (names.APPLICATION, names.ENVIRONMENT, names.DEPLOYMENT)


@workflow.defn(failure_exception_types=[ValidationError])
class Notification:
    """Tells each webhook that asked for the state, for a day if need be; fails if one was not."""

    @workflow.init
    @one_input(least=1)
    def __init__(self, given: NotificationInput) -> None:
        self._given = given

    @workflow.run
    async def run(self, given: NotificationInput) -> list[str]:
        """What each webhook answered."""
        answers = await asyncio.gather(*(self._tell(hook) for hook in given.hooks))
        failed = [answer for answer in answers if isinstance(answer, ActivityError)]
        if failed:
            raise ApplicationError(
                f"{len(failed)} of {len(answers)} webhooks were not told: "
                + "; ".join(map(_cause, failed)),
                type="Undelivered",
            ) from failed[0]
        return [str(answer) for answer in answers]

    async def _tell(self, hook: int) -> str | ActivityError:
        """What one webhook answered, or why it was not told; the others are told all the same."""
        try:
            return await workflow.execute_activity_method(
                NotificationActivities.notify,
                NotifyInput(notification=self._given, hook=hook),
                **delivering(f"webhook {hook + 1}: {self._given.state}"),
            )
        except ActivityError as error:
            return error


class Herald:
    """Starts a notification each time that its deployment comes into a state asked for."""

    def __init__(self) -> None:
        self._last: Entry | None = None
        self._count = 0

    async def tell(self, opened: Opened, entry: Entry, detail: str) -> None:
        """Start the notification of this entry, if somebody asked for it; it goes on by itself."""
        hooks = opened.notify.get(entry[0], ())
        fresh, self._last = entry != self._last, entry
        if not hooks or not fresh:
            return
        self._count += 1
        info = workflow.info()
        given = NotificationInput.model_validate(
            {
                "deployment": opened.deployment,
                "workflow_id": info.workflow_id,
                "label": opened.label,
                "number": self._count,
                "state": entry[0],
                "detail": detail[:DETAIL],
                "at": workflow.now().isoformat(timespec="seconds"),
                "hooks": hooks,
            }
        )
        with contextlib.suppress(WorkflowAlreadyStartedError):  # by a run that was reset
            child = await workflow.start_child_workflow(
                Notification.run,
                given,
                id=names.notification_id(info.workflow_id, self._count, entry[0]),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                search_attributes=_attributes(info),
                static_summary=f"{opened.label} {entry[0]}",
            )
            child.add_done_callback(_seen)


def _seen(child: "asyncio.Future[list[str]]") -> None:
    """A failed notification is seen where it is; asyncio would complain that nobody asked."""
    if not child.cancelled():
        child.exception()


def _attributes(info: workflow.Info) -> TypedSearchAttributes:
    own = info.typed_search_attributes
    return TypedSearchAttributes(
        [SearchAttributePair(key, value) for key in _KEYS if (value := own.get(key))]
    )


def _cause(error: BaseException) -> str:
    cause = error.__cause__
    return cause.message if isinstance(cause, FailureError) else str(error)
