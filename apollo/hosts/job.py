"""Jobs: the steps of a phase, with all they need, as the host script reads them.

A job carries secrets, so it travels on standard input only and never shows its values.
"""

import base64
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from apollo.hosts.secrets import REDACTED, pieces

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
            f" {self.user or '-'} {encode(command)}{' ignored' if self.ignored else ''}"
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
class Source:
    """Where the host may pull the artifact from, which may be a secret; its sizes in bytes."""

    url: str = field(repr=False)
    size: int
    room: int

    def line(self) -> str:
        """As the host script reads it."""
        return f"url {encode(self.url)} {self.size} {self.room}"


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
    source: Source | None = None
    env_file: tuple[str, bytes] | None = field(default=None, repr=False)
    """Name below the root and content; written when `current` is switched."""
    env_gone: str | None = None
    """The other release's file, where it has another name; removed when `current` is switched."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values that hooks know and that no output keeps."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the steps, in order."""
        return tuple(step.step for step in self.steps)

    def encode(self) -> bytes:
        """The lines for standard input; nothing is done on the host before the last has arrived."""
        lines = [f"env {scope} {encode(exports(self._scope(scope)))}" for scope in ("new", "old")]
        if known := pieces(self.secrets):
            patterns = "".join(f"{piece}\n" for piece in known)
            lines.append(f"hide {encode(patterns)} {encode(_sed_script(known))}")
        if self.manifest:
            lines.append(f"manifest {encode(self.manifest)}")
        lines += [f"file {encode(f.path)} {f.mode} {encode(f.content)}" for f in self.files]
        lines += [f"shared {encode(path)}" for path in self.shared]
        if self.source:
            lines.append(self.source.line())
        if self.env_file:
            lines.append(f"envfile {encode(self.env_file[0])} {encode(self.env_file[1])}")
        if self.env_gone:
            lines.append(f"envgone {encode(self.env_gone)}")
        lines += [step.line() for step in self.steps]
        return "\n".join([*lines, "end", ""]).encode()

    def _scope(self, scope: str) -> Mapping[str, str]:
        return self.new if scope == "new" else self.old


def exports(variables: Mapping[str, str]) -> bytes:
    """A little shell script, so that the host need not take the values apart."""
    return "".join(f"export {n}={shlex.quote(v)}\n" for n, v in variables.items()).encode()


def _sed_script(known: Sequence[str]) -> str:
    """Replaces each of these texts; as POSIX has it, only these characters need a backslash."""
    escaped = (re.sub(r"[][\\/.*^$]", r"\\\g<0>", piece) for piece in known)
    return "".join(f"s/{piece}/{REDACTED}/g\n" for piece in escaped)


def encode(value: str | bytes) -> str:
    """A word that may hold anything."""
    data = value.encode() if isinstance(value, str) else value
    return base64.b64encode(data).decode()
