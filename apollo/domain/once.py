"""Hooks that run once per deployment, on one host: which, and where."""

from collections.abc import Iterable, Sequence
from typing import Literal

from apollo.domain.base import Duration, Wire
from apollo.domain.fleet import Fleet, select
from apollo.domain.setup import OnceHook, Setup
from apollo.domain.turn import TurnInput, TurnRecord

When = Literal["before", "after"]
CANDIDATES = 10
"""Hosts that are tried at the most, one after the other."""


class OnceOutline(Wire):
    """A hook that runs once, as the plan tells it."""

    when: When
    run: str
    on: str | None = None
    host: str
    """Where it runs: the first planned host that matches, if that can be reached."""

    @property
    def step(self) -> str:
        """What the step is called in journals and errors."""
        return step_of(self.when)


class OnceLoad(Wire):
    """Which hosts may run the hook: asked for when its time has come."""

    deployment: str
    workflow_id: str
    granted_ms: int
    when: When


class OnceCandidate(Wire):
    """A host that may run it."""

    turn: TurnInput
    own_workers: bool = False


class OnceHosts(Wire):
    """The hosts that may run it, in the order in which they are tried."""

    candidates: tuple[OnceCandidate, ...]
    limit: Duration
    """How long one host may take, with all attempts."""


class OnceRecord(Wire):
    """How it went on one host."""

    deployment: str
    record: TurnRecord


def step_of(when: When) -> str:
    """The name of the step."""
    return f"once.{when}"


def hook_of(setup: Setup, when: When) -> OnceHook | None:
    """The setup's hook for that time."""
    if setup.once is None:
        return None
    return setup.once.before if when == "before" else setup.once.after


def outlines(setup: Setup, fleet: Fleet, hosts: Sequence[str]) -> tuple[OnceOutline, ...]:
    """What runs once in a deployment to these hosts, which are in the order of their turns.

    Raises:
        ValueError: No planned host matches an `on`, or it matches nothing in the whole inventory.
    """
    found = []
    whens: tuple[When, ...] = ("before", "after")
    for when in whens:
        if hook := hook_of(setup, when):
            chosen = matching(fleet, hosts, hook.on)
            if not chosen:
                raise ValueError(
                    f"setup.once.{when} runs on a host that matches {hook.on!r}: none is planned"
                )
            found.append(OnceOutline(when=when, run=hook.run, on=hook.on, host=chosen[0]))
    return tuple(found)


def matching(fleet: Fleet, hosts: Iterable[str], on: str | None) -> list[str]:
    """Those of the hosts that match, in the order in which they are given.

    Raises:
        ValueError: Something in the expression matches nothing in the whole inventory.
    """
    chosen = {host.name for host in select(fleet.hosts, on)}
    return [name for name in hosts if name in chosen]
