"""What databases are asked and told: statements count the same on a busy machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def listening() -> Iterator[list[tuple[str, Any]]]:
    """All statements that any engine of this process is sent meanwhile, with their values."""
    heard: list[tuple[str, Any]] = []

    def hear(_: Any, __: Any, statement: str, given: Any, *___: Any) -> None:
        heard.append((statement, given))

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def questions(heard: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Those that read."""
    return [each for each in heard if each[0].lstrip().upper().startswith(("SELECT", "WITH"))]
