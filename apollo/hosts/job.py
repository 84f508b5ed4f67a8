"""Jobs: the steps of a phase, with all they need, as the host script reads them.

A job carries secrets, so it travels on standard input only and never shows its values.
"""

import base64
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scope = Literal["new", "old"]


@dataclass(frozen=True)
class Hook:
    """A command line of the user's, run in a release's folder with the variables of a scope."""

    step: str
    run: str
    folder: str
    scope: Scope = "new"
    timeout: int = 120
    retries: int = 0
    user: str | None = None
    ignored: bool = False
    """Whether the phase goes on when it fails; its output then says that it did."""

    def line(self) -> str:
        """The step as the host script reads it."""
        command = f"exec /bin/sh -c {shlex.quote(self.run)} </dev/null\n"
        return (
            f"hook {self.step} {self.scope} {self.folder} {self.timeout} {self.retries}"
            f" {self.user or '-'} {_encode(command)}{' ignored' if self.ignored else ''}"
        )


@dataclass(frozen=True)
class Switch:
    """Let `current` point to a release, after writing the job's environment files."""

    step: str
    folder: str

    def line(self) -> str:
        """The step as the host script reads it."""
        return f"switch {self.step} {self.folder}"


@dataclass(frozen=True)
class Silent:
    """Wait until nothing listens on a port of the host."""

    step: str
    port: int
    timeout: int = 60

    def line(self) -> str:
        """The step as the host script reads it."""
        return f"silent {self.step} {self.port} {self.timeout}"


@dataclass(frozen=True)
class Kill:
    """End whatever this turn has started and is still there."""

    step: str = "kill"

    def line(self) -> str:
        """The step as the host script reads it."""
        return f"kill {self.step}"


Step = Hook | Switch | Silent | Kill


@dataclass(frozen=True)
class ReleaseFile:
    """A file that is written into the release's folder while it is staged."""

    path: str
    content: bytes = field(repr=False)
    mode: str = "0644"


@dataclass(frozen=True)
class Job:
    """What a phase does: its steps in order, and what they need."""

    steps: tuple[Step, ...] = ()
    new: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables and secrets of the release that comes."""
    old: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those of the release that goes."""
    manifest: bytes = b""
    files: tuple[ReleaseFile, ...] = ()
    shared: tuple[str, ...] = ()
    env_file: tuple[str, bytes] | None = field(default=None, repr=False)
    """Name below the root and content; written when `current` is switched."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the steps, in order."""
        return tuple(step.step for step in self.steps)

    def encode(self) -> bytes:
        """The lines for standard input; nothing is done on the host before the last has arrived."""
        lines = [f"env {scope} {_exports(self._scope(scope))}" for scope in ("new", "old")]
        if self.manifest:
            lines.append(f"manifest {_encode(self.manifest)}")
        lines += [f"file {_encode(f.path)} {f.mode} {_encode(f.content)}" for f in self.files]
        lines += [f"shared {_encode(path)}" for path in self.shared]
        if self.env_file:
            lines.append(f"envfile {_encode(self.env_file[0])} {_encode(self.env_file[1])}")
        lines += [step.line() for step in self.steps]
        return "\n".join([*lines, "end", ""]).encode()

    def _scope(self, scope: str) -> Mapping[str, str]:
        return self.new if scope == "new" else self.old


def _exports(variables: Mapping[str, str]) -> str:
    """A little shell script, so that the host need not take the values apart."""
    return _encode("".join(f"export {n}={shlex.quote(v)}\n" for n, v in variables.items()))


def _encode(value: str | bytes) -> str:
    data = value.encode() if isinstance(value, str) else value
    return base64.b64encode(data).decode()
