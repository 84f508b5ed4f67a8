"""Which balancer serves an environment, and how hosts are drained from it."""

import re
import shlex
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from apollo.domain.base import Duration, FileModel
from apollo.domain.fleet import Text

_TARGET_GROUP = re.compile(
    r"arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:\d{12}:targetgroup/[A-Za-z0-9-]+/[0-9a-f]+"
)


def is_target_group(text: str) -> bool:
    """Whether it is the ARN of a target group of AWS."""
    return _TARGET_GROUP.fullmatch(text) is not None


class Drain(FileModel):
    """How long a drained host may finish what it serves."""

    wait: Duration = timedelta(seconds=30)


class HaproxyBalancer(FileModel):
    """HAProxy's Runtime API: `tcp:HOST:PORT`, `unix:PATH` or `ssh:[USER@]HOST[:PORT]:PATH`."""

    at: tuple[str, ...] = Field(min_length=1)
    backends: tuple[str, ...] = Field(min_length=1)
    server: str = "{host}"


class FileBalancer(FileModel):
    """A file whose absence makes the balancer's own health check fail."""

    path: str = "online"
    wait: Duration = timedelta(seconds=5)
    """How long the balancer takes to see that the file is gone, or back."""


class AlbBalancer(FileModel):
    """Target groups of AWS; each ARN says in which region it is."""

    target_groups: tuple[str, ...] = Field(min_length=1)
    target: str = "{address}"
    """The target's id: an IP address, or that of an instance."""
    port: Text | None = None
    """Only the target at this port; without it the host's targets at all ports."""
    healthy_within: Duration = timedelta(minutes=2)
    """How long the groups' own health checks may take to see that the host is back."""


def _with_words(line: str) -> str:
    try:
        words = shlex.split(line)
    except ValueError:
        words = []
    if not words or not words[0]:
        raise ValueError("expected a program and its words, with all quotes closed")
    return line


def _at_least_a_second(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise ValueError("expected at least 1s")
    return value


CommandLine = Annotated[str, AfterValidator(_with_words), Field(min_length=1)]


class CommandBalancer(FileModel):
    """Commands that the worker runs, as far as its settings allow them; no shell sees them."""

    find: CommandLine
    """Prints the host's state in one word, and changes nothing."""
    drain: CommandLine
    """Ends with 0 when the host gets nothing new; it is repeated while the host is out."""
    restore: CommandLine
    """Gives the host the state in APOLLO_FOUND, and ends with 0 when it has it."""
    timeout: Annotated[Duration, AfterValidator(_at_least_a_second)] = timedelta(seconds=30)
    """After this a command is ended, with everything that it started."""


def _is_none(value: object) -> bool:
    """What older workers do not know is not told to them where it is not used."""
    return value is None


class BalancerSpec(FileModel):
    """Which balancer serves an environment, and how hosts are drained from it."""

    drain: Drain = Drain()
    haproxy: HaproxyBalancer | None = None
    file: FileBalancer | None = None
    aws_alb: AlbBalancer | None = Field(default=None, exclude_if=_is_none)
    command: CommandBalancer | None = Field(default=None, exclude_if=_is_none)

    @model_validator(mode="after")
    def _one_kind(self) -> "BalancerSpec":
        if len(self._kinds) != 1:
            raise ValueError("expected exactly one of haproxy, file, aws_alb and command")
        return self

    @property
    def kind(self) -> str:
        """The key of its kind."""
        return self._kinds[0]

    @property
    def longest(self) -> timedelta:
        """How long the balancer may take in one turn."""
        total = self.drain.wait
        if self.file:
            total += 2 * self.file.wait
        if self.aws_alb:
            total += self.aws_alb.healthy_within
        if self.command:  # finding, draining, restoring, and waiting for a predecessor's word
            total += 4 * self.command.timeout
        return total

    @property
    def _kinds(self) -> list[str]:
        return [name for name in type(self).model_fields if name != "drain" and getattr(self, name)]
