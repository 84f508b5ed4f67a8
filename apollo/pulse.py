"""A worker's sign of life on its own machine: a file that its event loop keeps writing."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

BEAT = 5.0
DEAD = 6 * BEAT
"""Seconds without a beat after which a worker counts as dead."""


@asynccontextmanager
async def beating(home: Path, role: str) -> AsyncIterator[None]:
    """Keep the sign while the context is open; a disk that cannot be written is not the end."""
    file = _file(home, role)

    async def beat() -> None:
        while True:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(_write, file)
            await asyncio.sleep(BEAT)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(OSError):
            file.unlink()


def last_beat(home: Path, role: str) -> float | None:
    """Seconds since the last beat of a worker of this role on this machine; none: no sign of it."""
    try:
        passed = time.monotonic() - float(_file(home, role).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # The clock counts from the boot: a time to come is one of before it.
    return passed if passed >= 0 else None


def _file(home: Path, role: str) -> Path:
    return home / "alive" / f"{role}@{socket.gethostname()}"


def _write(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}")
    part.write_text(str(time.monotonic()), encoding="utf-8")
    part.replace(file)
