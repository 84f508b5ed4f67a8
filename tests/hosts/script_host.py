"""A host for the real script: a folder, and a shell that runs the commands a connection would."""

import fcntl
import gzip
import hashlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.answer import Answer, parse
from apollo.hosts.job import Hook, Job, Kill, Step, Switch
from apollo.hosts.script import Caller, RemoteCommand

PATIENCE = 60.0
OWNER = "0c5e9a1e-catalog/shop/prod"


_SHELLS = ("dash", "bash --posix", "busybox sh")


def _missing(shell: str) -> bool:
    name = shell.split()[0]
    required = os.environ.get("APOLLO_REQUIRE", "").replace(",", " ").split()
    return shutil.which(name) is None and name not in required


def present_shells() -> list[str]:
    """The shells of this machine, and those that the tests must not do without."""
    return [shell for shell in _SHELLS if not _missing(shell)]


SHELLS = [
    pytest.param(
        shell,
        id=shell.split()[0],
        marks=pytest.mark.skipif(_missing(shell), reason=f"no {shell.split()[0]} here"),
    )
    for shell in _SHELLS
]


@dataclass(frozen=True)
class Release:
    """What a turn brings."""

    version: str
    files: Mapping[str, bytes] = field(default_factory=lambda: {"VERSION": b"?"})

    @property
    def folder(self) -> str:
        """Its folder on the host."""
        return f"20260101T0000{int(self.version):02d}Z-{self.version}"

    @property
    def digest(self) -> str:
        """Its manifest's digest."""
        return hashlib.sha256(self.manifest).hexdigest()

    @property
    def manifest(self) -> bytes:
        """Its manifest."""
        return f'{{"version":"{self.version}"}}'.encode()

    @property
    def artifact(self) -> bytes:
        """Its artifact."""
        return pack({**self.files, "VERSION": self.version.encode()})

    @property
    def sha256(self) -> str:
        """Its artifact's digest."""
        return hashlib.sha256(self.artifact).hexdigest()


def pack(files: Mapping[str, bytes]) -> bytes:
    """A reproducible .tar.gz."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


class Host:
    """One root folder, and what a connection can do there."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.shell = shell
        self.root = folder / "srv" / "shop"
        self.log = folder / "log"
        self.gate = folder / "gate"
        self.gate.mkdir(parents=True)
        self.caller = self.deployment(1)
        self.deployments: set[str] = {self.caller.deployment}

    # What a worker does

    def deployment(self, grant: int) -> Caller:
        """Another deployment's first turn here."""
        caller = Caller(
            str(self.root), OWNER, str(uuid.uuid4()), 1, grant * 1000, grant * 1000, self.shell
        )
        if hasattr(self, "deployments"):
            self.deployments.add(caller.deployment)
        return caller

    def call(self, command: RemoteCommand, env: Mapping[str, str] | None = None) -> Answer:
        """Run a command to its end, as a connection would."""
        return parse(command.nonce, self.raw(command, env))

    def raw(self, command: RemoteCommand, env: Mapping[str, str] | None = None) -> bytes:
        """What a command writes to standard output."""
        done = subprocess.run(
            [*self.shell.split(), "-c", command.line],
            input=command.stdin,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, **(env or {})},
        )
        return done.stdout

    def connection(self, command: RemoteCommand) -> "subprocess.Popen[bytes]":
        """Start a command in a session of its own, as sshd does."""
        process = subprocess.Popen(
            [*self.shell.split(), "-c", command.line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin
        process.stdin.write(command.stdin)
        process.stdin.close()
        process.stdin = None
        return process

    def install(self) -> None:
        """Bring the script."""
        assert self.call(script.install(str(self.root))).error is None

    def begin(
        self,
        release: Release,
        *steps: Step,
        caller: Caller | None = None,
        redeploy: bool = False,
        **more: object,
    ) -> Answer:
        """Open a turn and stage its release, bringing what is missing."""
        caller = caller or self.caller
        job = Job(steps=steps, manifest=release.manifest, **more)  # type: ignore[arg-type]
        command = script.begin(
            caller,
            manifest_digest=release.digest,
            folder=release.folder,
            artifact_sha256=release.sha256,
            job=job,
            redeploy=redeploy,
        )
        answer = self.call(command)
        if answer.need_script:
            self.install()
            answer = self.call(command)
        if answer.need_artifact:
            put = self.call(script.put(caller, release.sha256, release.artifact))
            assert put.error is None, put.error
            answer = self.call(script.run(caller, "stage", job))
        return answer

    def run(self, phase: str, job: Job | None, caller: Caller | None = None) -> Answer:
        """Run a phase and follow it."""
        return self.call(script.run(caller or self.caller, phase, job, poll=30))

    def hook(self, step: str, release: Release, run: str = ":", **more: object) -> Hook:
        """A hook that leaves a line in the log, waits while its gate is closed, and then runs."""
        text = (
            f"echo {step} >>{self.log}; : >{self.gate}/at.{step}; "
            f"while [ -e {self.gate}/{step} ]; do sleep 0.05; done; {run}"
        )
        return Hook(step, text, release.folder, **more)  # type: ignore[arg-type]

    def activate_job(self, release: Release, *, old: Release | None = None, run: str = ":") -> Job:
        """Stop, switch, start, validate."""
        stop = (self.hook("stop", old, scope="old"),) if old else ()
        start = self.hook("start", release, run)
        steps = (*stop, Switch("switch", release.folder), start, self.hook("validate", release))
        return Job(steps=steps)

    def revert_job(self, old: Release, new: Release) -> Job:
        """Kill, stop, switch back, start."""
        return Job(
            steps=(
                Kill(),
                self.hook("undo-stop", new),
                Switch("undo-switch", old.folder),
                self.hook("undo-start", old, scope="old"),
                self.hook("undo-validate", old, scope="old"),
            )
        )

    def deploy(self, release: Release, grant: int, keep: int = 5, **more: object) -> Answer:
        """A whole turn of a new deployment, which succeeds."""
        self.caller = self.deployment(grant)
        begun = self.begin(release, **more)  # type: ignore[arg-type]
        assert begun.staged, begun
        self.call(script.drain(self.caller, "ready"))
        job = self.activate_job(release)
        activated = self.run("activate", job)
        assert activated.outcome(job.names) == "done", activated
        return self.call(script.settle(self.caller, "verified", keep=keep))

    # What the tests look at

    def count(self, step: str) -> int:
        """How often a hook has run."""
        return self.log.read_text().split().count(step) if self.log.exists() else 0

    def hold(self, step: str) -> None:
        """Close a hook's gate."""
        (self.gate / f"at.{step}").unlink(missing_ok=True)
        (self.gate / step).touch()

    def release(self, step: str) -> None:
        """Open it."""
        (self.gate / step).unlink(missing_ok=True)

    def reached(self, step: str) -> None:
        """Wait until the hook is at its gate."""
        eventually(lambda: (self.gate / f"at.{step}").exists())
        (self.gate / f"at.{step}").unlink()

    @property
    def meta(self) -> Path:
        """Apollo's folder below the root."""
        return self.root / ".apollo"

    def journal(self, caller: Caller | None = None) -> Path:
        """A turn's journal."""
        caller = caller or self.caller
        return self.meta / "journal" / caller.deployment / str(caller.turn)

    def current(self) -> str | None:
        """Where `current` points."""
        link = self.root / "current"
        return os.readlink(link).removeprefix("releases/") if link.is_symlink() else None

    def runners(self) -> list[int]:
        """The runner, and what it has forked of itself."""
        return [
            pid
            for pid, words in command_lines()
            if b"runner" in words and str(self.root).encode() in words
        ]

    def kill_runner(self) -> None:
        """SIGKILL the runner, and nothing else."""
        leaders = [pid for pid in self.runners() if os.getsid(pid) == pid]
        assert len(leaders) == 1, leaders
        os.kill(leaders[0], signal.SIGKILL)
        eventually(lambda: leaders[0] not in self.runners())

    def hooks(self) -> list[int]:
        """Everything that carries a mark of ours."""
        marks = [f":{d}/".encode() for d in self.deployments]
        return [p for p, env in environments() if any(m in env for m in marks)]

    def reboot(self) -> None:
        """Everything goes, and the journalled boot is another one from now on."""
        for pid in [*self.runners(), *self.hooks()]:
            kill(pid)
        eventually(lambda: not self.runners() and not self.hooks())
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip().encode()
        other = uuid.uuid4().bytes.hex()[:36].ljust(36, "0").encode()
        for path in (self.meta / "journal").glob("*/*/step.*"):
            path.write_bytes(path.read_bytes().replace(boot, other))

    def close(self) -> None:
        """End what the tests have left running."""
        for gate in self.gate.iterdir():
            gate.unlink()
        for pid in [*self.runners(), *self.hooks()]:
            kill(pid)


def next_attempt(caller: Caller) -> Caller:
    """The attempt after this one."""
    return replace(caller, attempt_ms=caller.attempt_ms + 1)


def next_turn(caller: Caller) -> Caller:
    """The turn after this one, of the same deployment."""
    return replace(caller, turn=caller.turn + 1)


def kill(pid: int) -> None:
    """SIGKILL, to who may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that will surely come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def is_free(path: Path) -> bool:
    """Whether nobody holds a lock on that file."""
    with path.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def command_lines() -> list[tuple[int, list[bytes]]]:
    """Every process and its arguments."""
    return [(pid, data.split(b"\0")) for pid, data in _proc("cmdline")]


def environments() -> list[tuple[int, bytes]]:
    """Every process and its environment."""
    return _proc("environ")


def _proc(name: str) -> list[tuple[int, bytes]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                found.append((int(folder.name), (folder / name).read_bytes()))
    return found
