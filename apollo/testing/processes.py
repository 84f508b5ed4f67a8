"""Runs commands as OpenSSH does without a terminal, and finds all that they left running."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import asyncssh

CHUNK = 65536


async def serve_command(
    session: asyncssh.SSHServerProcess[bytes],
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
) -> None:
    """Run a command for a session; it outlives a session that ends before it does."""
    child, ours = _start(command, folder, environment)
    await _exchange(session, ours)
    _report(session, await _exit_status(child))


def _start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], list[int]]:
    ours, (stdin, stdout, stderr) = _pipes()
    try:
        child = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
    except BaseException:
        for descriptor in ours:
            os.close(descriptor)
        raise
    finally:
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
    return child, ours


def _pipes() -> tuple[list[int], list[int]]:
    """Our ends and the command's ends of its input, output and errors."""
    (stdin, feed), (output, stdout), (errors, stderr) = os.pipe(), os.pipe(), os.pipe()
    ours = [feed, output, errors]
    for descriptor in ours:
        os.set_blocking(descriptor, False)
    return ours, [stdin, stdout, stderr]


async def _exchange(session: asyncssh.SSHServerProcess[bytes], ours: list[int]) -> None:
    """Carry data until the command's output ends or the session is gone."""
    feed, output, errors = ours
    feeding = asyncio.create_task(_feed(session.stdin, feed))
    carrying = asyncio.create_task(_carry_both(session, output, errors))
    gone = asyncio.create_task(session.wait_closed())
    try:
        await asyncio.wait([carrying, gone], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (feeding, carrying, gone):
            task.cancel()
        await asyncio.gather(feeding, carrying, gone, return_exceptions=True)
        os.close(output)
        os.close(errors)


async def _feed(source: asyncssh.SSHReader[bytes], descriptor: int) -> None:
    """Bring what the client sends to the command; its input ends when the client's does."""
    try:
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await source.read(CHUNK):
                await _write(descriptor, data)
    finally:
        os.close(descriptor)


async def _carry_both(session: asyncssh.SSHServerProcess[bytes], output: int, errors: int) -> None:
    await asyncio.gather(_carry(output, session.stdout), _carry(errors, session.stderr))


async def _carry(descriptor: int, target: asyncssh.SSHWriter[bytes]) -> None:
    """Bring what the command writes to the client."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await _read(descriptor):
            target.write(data)
            await target.drain()


async def _read(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, CHUNK)
        except BlockingIOError:
            await _ready(descriptor, writing=False)


async def _write(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            await _ready(descriptor, writing=True)


async def _ready(descriptor: int, *, writing: bool) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    if writing:
        loop.add_writer(descriptor, _resolve, ready)
    else:
        loop.add_reader(descriptor, _resolve, ready)
    try:
        await ready
    finally:
        if writing:
            loop.remove_writer(descriptor)
        else:
            loop.remove_reader(descriptor)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _exit_status(child: subprocess.Popen[bytes]) -> int:
    """Wait for a process without a thread."""
    descriptor = os.pidfd_open(child.pid)
    try:
        await _ready(descriptor, writing=False)
    finally:
        os.close(descriptor)
    return child.wait()


def _report(session: asyncssh.SSHServerProcess[bytes], status: int) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        if status < 0:
            session.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            session.exit(status)


def kill_marked(markers: Sequence[str], rounds: int = 100) -> int:
    """Kill every process that carries one of the `NAME=value` in its environment; say how many."""
    wanted = [marker.encode() for marker in markers]
    return _repeat(lambda: sum(_kill(pid, wanted) for pid in _other_pids()), rounds)


def _repeat(sweep: Callable[[], int], rounds: int) -> int:
    """Sweep until nothing is found: a process may fork while its parent is being killed."""
    total = 0
    for _ in range(rounds):
        found = sweep()
        if not found:
            break
        total += found
        time.sleep(0.005)
    return total


def _other_pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()} - {os.getpid()}


def _kill(pid: int, wanted: Sequence[bytes]) -> bool:
    # The descriptor pins the process: its number cannot come to mean another one in between.
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if not any(marker in entries for marker in wanted):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
