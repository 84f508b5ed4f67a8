"""How activities of the control worker tell Temporal of errors."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

import structlog
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from apollo.activities.heartbeats import heartbeats
from apollo.errors import ApolloError, Unavailable

Method = TypeVar("Method", bound=Callable[..., Awaitable[Any]])
_LOG: structlog.typing.FilteringBoundLogger = structlog.get_logger("apollo.control")


def explained(method: Method) -> Method:
    """Tell Temporal of an error by its name and next step; only what may mend itself is retried.

    What is refused is an answer, no fault of the worker: it leaves a line in the log, no traceback.
    Causes stay behind: with their traces a failure exceeds what Temporal shows while it retries.
    What takes long gives signs of life, so that another worker soon takes over from a lost one.
    """

    @wraps(method)
    async def call(*arguments: Any) -> Any:
        try:
            with heartbeats():
                return await method(*arguments)
        except ApolloError as error:
            text = f"{error.message}; {error.hint}" if error.hint else error.message
            if isinstance(error, Unavailable):
                _LOG.warning("unavailable", error=error.code, found=error.message)
                raise ApplicationError(text, type=error.code) from None
            _LOG.warning("refused", error=error.code, found=error.message)
            raise ApplicationError(
                text,
                type=error.code,
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            ) from None

    return call  # type: ignore[return-value]
