"""A command line of the control worker's tells how an alarm stands, by its exit code."""

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Sequence

from apollo.alarms.documents import Unreadable
from apollo.commands import allowed
from apollo.domain.alarms import CommandAlarm

LARGEST = 64 * 1024
FIRES = 1


async def read_command(alarm: CommandAlarm, may_run: Sequence[str]) -> str:
    """The last line of what it says when it fires; empty while it is quiet (exit code 0).

    Raises:
        Unreadable: Another exit code, too long, or this worker may not run it.
    """
    words = _words(alarm.run)
    if not allowed(words, may_run):
        raise Unreadable(
            f"this worker may not run it; allowed are {', '.join(may_run) or 'none'} "
            "(APOLLO_ALLOW_COMMANDS)",
            final=True,
        )
    process = await _start(words)
    try:
        async with asyncio.timeout(alarm.timeout.total_seconds()):
            output = await _output(process)
            code = await process.wait()
    except TimeoutError:
        raise Unreadable(f"it ran past {alarm.timeout.total_seconds():g} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    lines = output.decode(errors="replace").strip().splitlines()
    last = lines[-1] if lines else ""
    if code not in (0, FIRES):
        raise Unreadable(f"exit code {code}, expected 0 or {FIRES}{f': {last}' if last else ''}")
    return (last or f"exit code {FIRES}") if code == FIRES else ""


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise Unreadable(f"it cannot be run: {error}", final=True) from None


async def _start(words: Sequence[str]) -> asyncio.subprocess.Process:
    """No shell sees the line: it could do more than the program that is allowed."""
    try:
        return await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise Unreadable(f"it cannot be run: {error}", final=True) from None


async def _output(process: asyncio.subprocess.Process) -> bytes:
    """The end of what it prints; all of it is read, or it would wait."""
    assert process.stdout
    kept = b""
    while chunk := await process.stdout.read(LARGEST):
        kept = (kept + chunk)[-LARGEST:]
    return kept
