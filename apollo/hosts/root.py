"""A turn's hold on its root on the host: commands out, answers or typed errors back."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apollo.domain.release import Artifact
from apollo.domain.turn import TurnInput
from apollo.errors import (
    ContactLost,
    DigestMismatch,
    DiskFull,
    Fenced,
    ForeignRoot,
    HostBusy,
    JournalLost,
    NoShell,
    NothingRuns,
    RootNotWritable,
    TurnError,
)
from apollo.hosts import script
from apollo.hosts.answer import Answer, HostError, Truncated, parse
from apollo.hosts.job import Job
from apollo.hosts.script import Caller, RemoteCommand
from apollo.ports import HostSession

POLL = 20
"""Seconds that one command follows a phase."""


@dataclass
class HostRoot:
    """Speaks to the host script for one attempt at one turn."""

    session: HostSession
    turn: TurnInput
    caller: Caller
    noticed: Callable[[Answer], None]
    """Told of every answer: attached phases, running steps."""
    confirmed: float = -math.inf
    """When the last command was sent that the host did not refuse, by the monotonic clock."""

    async def begin(self, digest: str, artifact: str, job: Job, *, redeploy: bool) -> Answer:
        """Open the turn and stage what can be staged, in a root that may have to be adopted."""
        try:
            return await self._begin(digest, artifact, job, redeploy=redeploy)
        except ForeignRoot:
            if not self.turn.adopt:
                raise
        await self._ask(lambda: script.adopt(self.caller), "begin")
        return await self._begin(digest, artifact, job, redeploy=redeploy)

    async def _begin(self, digest: str, artifact: str, job: Job, *, redeploy: bool) -> Answer:
        return await self._ask(
            lambda: script.begin(
                self.caller,
                manifest_digest=digest,
                folder=self.turn.folder,
                artifact_sha256=artifact,
                job=job,
                poll=POLL,
                redeploy=redeploy,
            ),
            "begin",
        )

    async def restart(self) -> Answer:
        """Open the turn for what served last."""
        return await self._ask(lambda: script.restart(self.caller), "begin")

    async def put(self, artifact: Artifact, content: bytes) -> Answer:
        """Bring the artifact in one command."""
        return await self._ask(
            lambda: script.put(self.caller, artifact.sha256, content, room=artifact.room), "stage"
        )

    async def part(self, artifact: Artifact) -> Answer:
        """Have a file to bring the artifact into, with what an attempt before has brought."""
        return await self._ask(lambda: script.part(self.caller, artifact), "stage")

    async def keep(self, artifact: Artifact) -> Answer:
        """Have the artifact kept that was brought into that file."""
        return await self._ask(lambda: script.keep(self.caller, artifact), "stage")

    async def run(self, phase: str, job: Job | None) -> Answer:
        """Start a phase or attach to it, and follow it for a while."""
        return await self._ask(lambda: script.run(self.caller, phase, job, poll=POLL), phase)

    async def drain(
        self, found: str, offline: str | None, steps: Sequence[str], by_hand: bytes
    ) -> Answer:
        """Journal what the balancer said, and take the balancer's file away."""
        return await self._ask(
            lambda: script.drain(self.caller, found, offline=offline, steps=steps, by_hand=by_hand),
            "drain",
        )

    async def settle(self, verdict: str, keep: int, online: str | None) -> Answer:
        """Journal the verdict, and put the balancer's file back."""
        return await self._ask(
            lambda: script.settle(self.caller, verdict, keep=keep, online=online), "settle"
        )

    async def fence(self) -> None:
        """Make sure that nobody newer has the host."""
        await self._ask(lambda: script.fence(self.caller), "fence")

    async def look(self) -> Answer:
        """Read the host's state without taking it over."""
        return await self._ask(lambda: script.look(self.caller.root), "look")

    async def _ask(self, command: Callable[[], RemoteCommand], step: str) -> Answer:
        answer = await self._answer(command(), step)
        if answer.need_script:
            await self._answer(script.install(self.caller.root), step)
            answer = await self._answer(command(), step)
        self.noticed(answer)
        return answer

    async def _answer(self, command: RemoteCommand, step: str) -> Answer:
        sent = time.monotonic()
        output = await self.session.run(command.line, command.stdin)
        answer = read_answer(command, output, self.turn.host.name, step)
        if answer.error:
            raise self._refused(answer.error, step)
        if step != "look" and not answer.need_script:
            self.confirmed = sent
        return answer

    def _refused(self, error: HostError, step: str) -> TurnError:
        name, root, label = self.turn.host.name, self.caller.root, self.turn.label
        kind, text, hint = _REFUSALS.get(
            error.code,
            (ContactLost, "the host script refused: {code} {found}", "see the host's journal"),
        )
        found = error.found
        if error.code == "DiskFull" and " " in found:
            found = "({} kB are needed, {} are free)".format(*found.split())
        message = text.format(code=error.code, found=found, root=root, label=label).rstrip()
        left = "nothing was changed by this command"
        hint = hint.format(
            root=root, name=name, place=f"{self.turn.application}/{self.turn.environment}"
        )
        return kind(f"{name}: {message}", host=name, step=step, left=left, hint=hint)


def read_answer(command: RemoteCommand, output: bytes, name: str, step: str) -> Answer:
    """What a host answered to a command.

    Raises:
        ContactLost: The answer was cut off.
        NoShell: There is none.
    """
    try:
        return parse(command.nonce, output)
    except Truncated as error:
        if b"<<<apollo:" in output:
            raise ContactLost(
                f"{name}: {error}",
                host=name,
                step=step,
                left="what runs on the host goes on there",
                hint="the next attempt attaches to it",
            ) from error
        said = output[-200:].decode(errors="replace").strip() or "nothing"
        raise NoShell(
            f"{name} does not run /bin/sh as asked; it said: {said}",
            host=name,
            step=step,
            left="nothing was changed by this command",
            hint="the login user needs a shell, and base64, flock, setsid and tar on its PATH",
        ) from error


_REFUSALS: dict[str, tuple[type[TurnError], str, str]] = {
    "Fenced": (
        Fenced,
        "a newer attempt or turn has the host (fence {found})",
        "nothing to do: the newer one carries on",
    ),
    "ForeignRoot": (
        ForeignRoot,
        "{root} belongs to {found}",
        "use another root, or, if that owner is gone: "
        "apollo hosts {place} --adopt --limit {name} --reason WHY",
    ),
    "HostBusy": (
        HostBusy,
        "another turn still works in {root}: {found}",
        "it is tried again at the end of the wave",
    ),
    "JournalLost": (
        JournalLost,
        "the turn's journal in {root}/.apollo is gone: a hook has removed it",
        "the next attempt puts the host back; keep hooks away from {root}/.apollo",
    ),
    "RootNotWritable": (
        RootNotWritable,
        "{root} cannot be made or written: {found}",
        "make the folder and give it to the login user",
    ),
    "DiskFull": (
        DiskFull,
        "no room in {root} {found}",
        "free some room on the host",
    ),
    "NothingRuns": (
        NothingRuns,
        "{root} has no release that ever served, so there is nothing to restart",
        "bring it the current release: apollo sync {place}",
    ),
    "DigestMismatch": (
        DigestMismatch,
        "what arrived is not what was sent (sha256 {found})",
        "it is sent again",
    ),
    "Incomplete": (
        ContactLost,
        "not all of the artifact arrived ({found} bytes)",
        "the next attempt sends the rest",
    ),
}
