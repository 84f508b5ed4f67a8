"""Writes releases of the small application: good ones, bad ones, slow ones."""

import random
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from apollo.testing import application

_COMMON = """\
# What all hooks share. Paths that are not absolute lie in the application's root.
step=${0##*/}
root=${APOLLO_ROOT:-$PWD}
case ${ONLINE_FILE:-/} in /*) ;; *) ONLINE_FILE=$root/$ONLINE_FILE ;; esac
case ${HOOK_LOG:-/} in /*) ;; *) HOOK_LOG=$root/$HOOK_LOG ;; esac
export ONLINE_FILE
pid_file=$root/application.pid
release=${APOLLO_RELEASE:-$(cat version)}

if [ -n "${HOOK_LOG:-}" ]; then
    printf '%s %s %s %s %s %s\\n' "$(date +%s.%N)" "${APOLLO_HOST:--}" "$release" \\
        "${APOLLO_TURN:--}" "$step" "${APOLLO_DEPLOYMENT:--}" >>"$HOOK_LOG"
fi
if [ -n "${HOOK_SECONDS:-}" ]; then sleep "$HOOK_SECONDS"; fi

# A process that has ended but was not waited for has no command line.
alive() { tr '\\000' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -q application.py; }

# A program that is being loaded has no command line for a moment: its state is asked instead.
ended() {
    case $(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) in '' | Z | X) return 0 ;; esac
    return 1
}

# faulty KIND: whether this release has that fault on this host in this wave.
faulty() {
    set -f
    while read -r kind from_wave patterns; do
        [ "$kind" = "$1" ] || continue
        [ "${APOLLO_WAVE:-1}" -ge "$from_wave" ] || continue
        for pattern in $patterns; do
            case ${APOLLO_HOST:-} in $pattern) return 0 ;; esac
        done
    done <faults
    return 1
}
"""

_START = """\
if [ -s "$pid_file" ] && alive "$(cat "$pid_file")"; then
    echo "the application runs already" >&2
    exit 4
fi
rm -f "$pid_file"
if faulty start; then
    echo "this release does not start" >&2
    exit 3
fi
unhealthy=0
if faulty health; then unhealthy=1; fi
APOLLO_RELEASE=$release PID_FILE=$pid_file UNHEALTHY=$unhealthy \\
    setsid {python} -I -S application.py </dev/null >>"$root/application.log" 2>&1 &
for _ in $(seq 1 300); do
    if [ -s "$pid_file" ]; then
        echo "listening on $PORT"
        exit 0
    fi
    ended $! && break
    sleep 0.05
done
tail -n 5 "$root/application.log" >&2
echo "the application does not listen on $PORT" >&2
exit 1
"""

_STOP = """\
[ -s "$pid_file" ] || exit 0
pid=$(cat "$pid_file")
if alive "$pid"; then
    kill -s TERM "$pid"
    for _ in $(seq 1 200); do
        alive "$pid" || break
        sleep 0.05
    done
    if alive "$pid"; then
        echo "killed after ten seconds" >&2
        kill -s KILL "$pid"
    fi
fi
rm -f "$pid_file"
"""

_VALIDATE = """\
if faulty validate; then
    echo "this release is not valid" >&2
    exit 5
fi
exec {python} -I -S application.py /
"""

_INSTALL = """\
if faulty install; then
    echo "this release cannot be installed" >&2
    exit 6
fi
"""

_HOOKS = {"install": _INSTALL, "start": _START, "stop": _STOP, "validate": _VALIDATE}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a release, on which hosts (shell patterns), from which wave on.

    `health` starts, but answers 500 to health checks; the others are hooks that fail.
    """

    kind: Literal["health", "start", "validate", "install"]
    hosts: tuple[str, ...] = ("*",)
    from_wave: int = 1


def write_artifact(
    folder: Path | str, version: str, *faults: Fault, padding: int = 0, python: str = ""
) -> Path:
    """Write a release of the small application into a folder, with its hooks in `bin/`.

    `padding` adds that many bytes that do not compress. The hooks use the interpreter `python`,
    by default the one that runs this.
    """
    folder = Path(folder)
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    source = Path(application.__file__).read_text(encoding="utf-8")
    _write(folder / "application.py", source)
    _write(folder / "version", version + "\n")
    _write(folder / "faults", "".join(_line(fault) for fault in faults))
    _write(folder / "bin" / "common", _COMMON)
    for step, text in _HOOKS.items():
        script = text.replace("{python}", shlex.quote(python or sys.executable))
        _write(folder / "bin" / step, f"#!/bin/sh\nset -u\n. bin/common\n{script}", 0o755)
    if padding:
        (folder / "padding").write_bytes(_noise(padding))
    return folder


def _line(fault: Fault) -> str:
    return f"{fault.kind} {fault.from_wave} {' '.join(fault.hosts)}\n"


def _write(file: Path, text: str, mode: int = 0o644) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)


def _noise(size: int) -> bytes:
    # The same bytes each time, so that the same release has the same digest.
    return random.Random(size).randbytes(size)  # noqa: S311
