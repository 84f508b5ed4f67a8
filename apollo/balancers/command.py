"""A balancer that is spoken to by commands, which the worker runs as far as its settings allow."""

import os
import re
import shlex
import shutil
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from apollo.balancers.base import BalancerTarget, shown
from apollo.balancers.supervised import Ended, run
from apollo.commands import allowed
from apollo.domain.balancer import CommandBalancer
from apollo.errors import BalancerFailed, BalancerUnavailable

Act = Literal["find", "drain", "restore"]
_STATE = re.compile(rb"\s*([A-Za-z0-9][A-Za-z0-9_.:,=/+@-]{0,199})\s*")
_OWN = ("PATH", "HOME", "USER", "LANG")
_LEFT = {
    "find": "the host was not drained",
    "drain": "the host may be drained; what served on it goes on, or the turn has stopped it",
    "restore": "the host runs as the journal on it says, and may still be out of traffic",
}


class Commands:
    """Three commands: what a host's state is, take it out, give it that state again.

    The time limit of a command is how late it may be heard: it is ended then, with everything that
    it started, even where its worker hangs. Nobody is asked whether the host has finished what it
    served, so the whole `wait` passes after the drain.
    """

    offline_file: str | None = None
    pause = 0.25

    def __init__(self, given: CommandBalancer, wait: timedelta, may_run: Sequence[str]) -> None:
        self.wait = wait
        self.late = given.timeout
        self._given = given
        self._allowed = may_run

    async def find(self, target: BalancerTarget) -> str:
        """The one word that the command prints.

        Raises:
            BalancerUnavailable: This worker may not run one of the three commands, or lacks it.
        """
        acts: tuple[Act, ...] = ("find", "drain", "restore")
        for act in acts:
            self._words(act, target)
        ended = await self._run("find", target)
        state = _STATE.fullmatch(ended.out)
        if state is None:
            found = shown(ended.out)
            said = f"found {found!r}" if found else "it printed nothing"
            raise self._failed("find", target, f"expected one word, the host's state; {said}")
        return state[1].decode()

    async def drain(self, target: BalancerTarget) -> None:
        """Run the command; it confirms with 0."""
        await self._run("drain", target)

    async def drained(self, target: BalancerTarget) -> bool:
        """Never known before the wait is over."""
        return False

    async def hold(self, target: BalancerTarget) -> None:
        """Drain it again."""
        await self._run("drain", target)

    async def restore(self, target: BalancerTarget, found: str) -> None:
        """Run the command with the state in APOLLO_FOUND; it confirms with 0."""
        await self._run("restore", target, APOLLO_FOUND=found)

    async def _run(self, act: Act, target: BalancerTarget, **more: str) -> Ended:
        words = self._words(act, target)
        try:
            ended = await run(words, {**_environment(target), **more}, self._given.timeout)
        except (OSError, ValueError) as error:
            raise self._failed(act, target, f"cannot be run: {error}") from error
        if ended.exit != 0:
            raise self._failed(act, target, _why(ended, self._given.timeout))
        return ended

    def _words(self, act: Act, target: BalancerTarget) -> list[str]:
        """The command's words: a variable's value is part of one word, whatever is in it."""
        line = str(getattr(self._given, act))
        try:
            words = [target.expand(word) for word in shlex.split(line)]
        except ValueError as error:
            raise self._failed(act, target, str(error)) from error
        if not allowed(words, self._allowed):
            entries = ", ".join(map(repr, self._allowed)) or "none"
            found = f"this worker may not run it; allowed are {entries} (APOLLO_ALLOW_COMMANDS)"
            hint = f"have the worker started with APOLLO_ALLOW_COMMANDS='[\"{words[0]}\"]'"
            raise self._unavailable(act, target, found, hint)
        if shutil.which(words[0]) is None:
            found = f"the worker has no program {words[0]!r} on its PATH"
            raise self._unavailable(act, target, found, "install it where the worker runs")
        return words

    def _failed(self, act: Act, target: BalancerTarget, what: str) -> BalancerFailed:
        return BalancerFailed(
            f"{target.host}: balancer.command.{act} ({getattr(self._given, act)}): {what}",
            host=target.host,
            step=_step(act),
            left=_LEFT[act],
            hint="run the command as the worker's user and mend it; the turn goes on by itself",
        )

    def _unavailable(
        self, act: Act, target: BalancerTarget, what: str, hint: str
    ) -> BalancerUnavailable:
        return BalancerUnavailable(
            f"{target.host}: balancer.command.{act} ({getattr(self._given, act)}): {what}",
            host=target.host,
            step=_step(act),
            left="nothing was said to the balancer",
            hint=hint,
        )


def _environment(target: BalancerTarget) -> dict[str, str]:
    """What a command finds in its environment.

    Variables have a prefix: who applies an environment must not choose LD_PRELOAD on the worker.
    """
    own = {name: os.environ[name] for name in _OWN if name in os.environ}
    variables = {f"APOLLO_VARIABLE_{name}": value for name, value in target.variables.items()}
    return {
        "LANG": "C.UTF-8",
        **own,
        **variables,
        "APOLLO_HOST": target.host,
        "APOLLO_LOCATION": target.location,
        "APOLLO_ADDRESS": target.address,
        "APOLLO_ROLE": target.role or "",
    }


def _why(ended: Ended, timeout: timedelta) -> str:
    what = ended.trouble or f"expected exit 0, found exit {ended.exit}"
    if ended.trouble == "has not ended in time":
        what = f"expected its end within {timeout.total_seconds():g}s; it was ended then"
    if ended.left:
        what += f"; could not be ended: process {', '.join(map(str, ended.left))}"
    printed = shown(ended.err) or shown(ended.out)
    return f"{what}: {printed}" if printed else what


def _step(act: Act) -> str:
    return "restore" if act == "restore" else "drain"
