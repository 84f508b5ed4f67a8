"""Inputs come from people's fingers too: no number of them may fail a workflow's task for ever.

Temporal looks at the types of a handler, or of a workflow, only where the number of inputs is
right; anything else arrives as plain JSON, or makes a TypeError.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from temporalio.exceptions import ApplicationError

Function = Callable[..., None]


def first_only(handler: Function) -> Function:
    """Let a signal's handler be sent more inputs than it takes: only the first counts.

    The handler must then expect any value.
    """

    @wraps(handler)
    def handle(self: object, *words: Any) -> None:
        handler(self, *words[:1])

    return handle


def one_input(least: int) -> Callable[[Function], Function]:
    """Fail a workflow, rather than its task, that is started with another number of inputs."""

    def decorate(init: Function) -> Function:
        @wraps(init)
        def begin(self: object, *inputs: Any) -> None:
            if not least <= len(inputs) <= 1:
                found = f"expected one input, a JSON object; found {len(inputs)}"
                raise ApplicationError(found, type="Refused", non_retryable=True)
            init(self, *inputs)

        return begin

    return decorate
