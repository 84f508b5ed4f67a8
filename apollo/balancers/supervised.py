"""Commands on the worker: whatever becomes of their worker, they end, and all they started."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from apollo.balancers import supervisor


@dataclass(frozen=True)
class Ended:
    """How a command ended, and the end of what it printed."""

    exit: int | None
    out: bytes = b""
    err: bytes = b""
    trouble: str = ""
    """Why it has no exit code of its own."""
    left: tuple[int, ...] = ()
    """Processes that could not be ended."""


async def run(words: Sequence[str], environment: Mapping[str, str], timeout: timedelta) -> Ended:
    """Run a command with no more than this environment; when this is cancelled, it is ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(Path(supervisor.__file__))),
        *(str(timeout.total_seconds()), *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=dict(environment),
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        told = await process.stdout.read()
    finally:
        process.stdin.close()
        await process.wait()
    return _ended(told)


def _ended(told: bytes) -> Ended:
    if not told:
        return Ended(None, trouble="was ended by somebody else")
    found = json.loads(told)
    trouble = str(found.get("trouble", ""))
    return Ended(
        None if trouble else found["exit"],
        found.get("out", "").encode("latin-1"),
        found.get("err", "").encode("latin-1"),
        trouble,
        tuple(found.get("left", ())),
    )
