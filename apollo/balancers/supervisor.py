"""Runs one command for a worker and ends it, with everything that it started.

`python -I -S supervisor.py SECONDS WORD…`: a program of its own, for a worker that was killed ends
nothing any more. The worker holds its standard input: when that closes, or the time is up, nothing
may be left that could still speak to a balancer. What happened is printed as JSON.
"""

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

KEPT = 4096
"""Bytes that are kept of each output: its end."""
LOOK = 0.05
PATIENCE = 5.0
"""Seconds for which what does not end is killed again."""
_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36


def main(seconds: float, words: list[str]) -> dict[str, Any]:
    """Run the command to its end: its exit code, or why it has none, and what it printed."""
    deadline = time.monotonic() + seconds
    _process_control(_SET_CHILD_SUBREAPER, 1)  # its orphans become ours, wherever they hide
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
            preexec_fn=lambda: _process_control(_SET_PDEATHSIG, signal.SIGKILL),
        )
    except OSError as error:
        return {"trouble": f"cannot be run: {error.strerror}"}
    assert process.stdout
    assert process.stderr
    outputs = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    trouble = _follow(process, outputs, deadline)
    code = process.returncode
    left = _end(process.pid)
    for end in outputs:
        _read_rest(end, outputs)
    out, err = (kept.decode("latin-1") for kept in outputs.values())
    return {"exit": code, "out": out, "err": err, "trouble": trouble, "left": left}


def _process_control(option: int, value: int) -> None:
    """Where the system is no Linux, only the command's process group is ended."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _follow(process: "subprocess.Popen[bytes]", outputs: dict[int, bytes], deadline: float) -> str:
    """Read until the command ends; why it must be ended instead, if so."""
    with selectors.DefaultSelector() as selector:
        for end in (0, *outputs):
            selector.register(end, selectors.EVENT_READ)
        while process.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return "has not ended in time"
            for key, _ in selector.select(min(left, LOOK)):
                if key.fd == 0:
                    return "was given up by its worker"
                if not _read(key.fd, outputs):
                    selector.unregister(key.fd)
    return ""


def _read(end: int, outputs: dict[int, bytes]) -> bool:
    found = os.read(end, 65536)
    outputs[end] = (outputs[end] + found)[-KEPT:]
    return bool(found)


def _read_rest(end: int, outputs: dict[int, bytes]) -> None:
    """What is in the pipe still; who escaped may hold it open, and goes on printing in vain."""
    os.set_blocking(end, False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(64):
            if not _read(end, outputs):
                return


def _end(group: int) -> list[int]:
    """Kill what the command started until nothing is left; what could not be killed."""
    _kill(os.killpg, group)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return []
        for child in _children():
            _kill(os.kill, child)
        time.sleep(0.005)
    return _children()


def _kill(how: Callable[[int, int], None], whom: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        how(whom, signal.SIGKILL)


def _children() -> list[int]:
    """The processes whose parent is this one; what they started follows when they are gone."""
    me, found = str(os.getpid()), []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, IndexError):
            if name.isdecimal():
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    if stat.read().rpartition(")")[2].split()[1] == me:
                        found.append(int(name))
    return found


if __name__ == "__main__":
    told = main(float(sys.argv[1]), sys.argv[2:])
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(told).encode())
