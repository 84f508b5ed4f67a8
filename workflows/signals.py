"""Signals come from people's fingers too: no number of inputs may fail a workflow's task."""

from collections.abc import Callable
from functools import wraps
from typing import Any


def first_only(handler: Callable[..., None]) -> Callable[..., None]:
    """Let a signal's handler be sent more inputs than it takes: only the first counts.

    The handler must then expect any value: Temporal looks at its types only where the number of
    inputs is right.
    """

    @wraps(handler)
    def handle(self: object, *words: Any) -> None:
        handler(self, *words[:1])

    return handle
