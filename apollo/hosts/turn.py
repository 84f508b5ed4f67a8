"""A host's turn: stage, drain, activate, verify, restore; or the host is put back.

Each attempt asks the host's journal what has been done and goes on from there. What is decided here
is only what comes next; what has happened is the journal's to say.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from apollo.balancers.base import Balancer, BalancerTarget
from apollo.domain.balancer import BalancerSpec
from apollo.domain.manifest import Manifest, read_manifest
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnInput, TurnRecord
from apollo.errors import (
    ContactLost,
    DiskFull,
    NotFound,
    SecretUnavailable,
    StoreUnavailable,
    Unavailable,
)
from apollo.hosts.answer import Answer, Status, StepRecord
from apollo.hosts.health import Checker, soak
from apollo.hosts.heard import Heard
from apollo.hosts.job import Job, Source
from apollo.hosts.jobs import (
    Side,
    activate_job,
    bare_job,
    environment,
    hand_job,
    once_job,
    revert_job,
    stage_job,
    stop_job,
)
from apollo.hosts.outcome import (
    Failure,
    broken,
    current,
    failed_step,
    journal_lost,
    nothing_runs,
    outputs,
    release_gone,
    reverted,
    unhealthy,
    untouched,
    updated,
)
from apollo.hosts.root import HostRoot
from apollo.hosts.script import Caller
from apollo.hosts.traffic import Traffic
from apollo.hosts.transfer import bring
from apollo.ports import Footing, Hosts, HostSession, Manifests, Secrets

CURRENT_CHECK = timedelta(seconds=10)
"""How long a host that runs the manifest already may take to show that it is healthy."""
DISK_FULL = 28
"""The exit code of unpacking where there is no room: ENOSPC."""


@dataclass(frozen=True)
class TurnRunner:
    """Carries turns out with what the worker has: connections, store, secrets, balancers."""

    hosts: Hosts
    manifests: Manifests
    secrets: Secrets
    build_balancer: Callable[[BalancerSpec], Balancer]

    async def __call__(self, given: TurnInput, attempt_ms: int, footing: Footing) -> TurnRecord:
        """One attempt at a turn.

        Raises:
            TurnError: The attempt could not go on; what the host is left with is in the error.
        """
        async with self.hosts.connect(given) as session:
            footing.host_key = session.accepted_key or footing.host_key
            attempt = _Attempt(self, given, attempt_ms, footing, session)
            try:
                return await attempt.run()
            except (NotFound, Unavailable) as error:
                raise StoreUnavailable(
                    f"{given.host.name}: {error.message}",
                    host=given.host.name,
                    step=footing.step,
                    left="nothing was changed by this attempt",
                    hint=error.hint,
                ) from error


class _Attempt:
    """One attempt at one host's turn."""

    def __init__(
        self,
        parts: TurnRunner,
        given: TurnInput,
        attempt_ms: int,
        footing: Footing,
        session: HostSession,
    ) -> None:
        self.parts = parts
        self.given = given
        self.attempt_ms = attempt_ms
        self.footing = footing
        self.session = session
        self.traffic: Traffic | None = None
        self.secret_values: list[str] = []
        self.pushed_because = ""
        self.heard = Heard(footing)

    async def run(self) -> TurnRecord:
        """Take the host as far as it goes."""
        record = await self._run_turn()
        well = record.outcome.good or record.outcome is Outcome.ROLLED_BACK
        printed = outputs(self.heard.printed.values(), self.secret_values, well=well)
        note = "; ".join(filter(None, (record.note, self.pushed_because)))
        steps = tuple(step.later(self.heard.behind or 0.0) for step in record.steps)
        return record.model_copy(update={"outputs": printed, "note": note, "steps": steps})

    async def _run_turn(self) -> TurnRecord:
        if self.given.manifest is None:
            return await self._stop_and_report(self.given.running)
        manifest = await self.parts.manifests.manifest(self.given.manifest)
        self.root = self._root_of(manifest)
        if self.given.restart:
            return await self._restart()
        if self.given.once:
            return await self._once(manifest)
        if self.given.ahead:
            return await self._ahead(manifest)
        self.new = Side(self.given.folder, manifest, await self._secrets(manifest))
        answer = await self._stage()
        if answer.same:
            if record := await self._current(answer):
                return record
            answer = await self._stage(redeploy=True)
        self.new = Side(answer.folder or self.given.folder, manifest, self.new.secrets)
        if not (answer.verdict or answer.reverting) and not answer.staged:
            return self._not_staged(answer)
        return await self._bring(answer)

    async def _ahead(self, manifest: Manifest) -> TurnRecord:
        """Get the release ready; what runs on the host, and what the balancer does, stays."""
        self.new = Side(self.given.folder, manifest, await self._secrets(manifest))
        answer = await self._stage()
        ready = answer.same or answer.staged
        return current(self.given, answer) if ready else self._not_staged(answer)

    async def _once(self, manifest: Manifest) -> TurnRecord:
        """Run what runs once per deployment; the host goes on serving what it serves."""
        self.new = Side(self.given.folder, manifest, await self._secrets(manifest))
        answer = await self._stage(redeploy=True)
        if not answer.staged:
            return self._not_staged(answer)
        self.new = Side(answer.folder or self.given.folder, manifest, self.new.secrets)
        job = once_job(self.given, self.new)
        self.footing.drained = True  # from here on nobody can be sure that the hook did not begin
        answer = await self._run("once", job)
        failure = self._failed(answer, job.names)
        return untouched(self.given, answer, failure) if failure else current(self.given, answer)

    async def _restart(self) -> TurnRecord:
        """Stop and start what served last on the host, whatever the catalog says of it.

        The put-back path does it once more when it fails.
        """
        self._step("begin")
        answer = await self.root.restart()
        if answer.journal_lost and not answer.folder:
            return self._without_journal(answer)
        if answer.previous is None or answer.previous_manifest is None:
            raise nothing_runs(self.given)
        found = read_manifest(answer.previous_manifest)
        self.given = self.given.model_copy(
            update={
                "manifest": answer.state.manifest_digest,
                "release": found.release,
                "previous_release": found.release,
            }
        )
        self.new = Side(answer.previous, found, await self._secrets(found))
        return await self._bring(answer)

    async def _bring(self, answer: Answer) -> TurnRecord:
        """From the drain to the end; a turn that has drained ends itself."""
        old = await self._old_side(answer)
        if answer.verdict:
            return await self._restore(answer, self._known_failure(answer))
        failure = None
        if not answer.reverting:
            job = activate_job(self.given, self.new, await self._running_side(answer) or old)
            back = bare_job(self.given, self.new, old)
            by_hand = hand_job(self.given, self.new, old, back, self._offline) if old else b""
            answer = await self._drain(answer, (*job.names, *back.names), by_hand)
            answer = await self._run("activate", job)
            failure = await self._verify(answer, self.new, "start")
            if failure is None:
                answer = await self._settle("verified", answer)
                return await self._restore(answer, None)
        elif self.traffic:
            await self.traffic.quiet(answer)
        failure = failure or self._known_failure(answer)
        return await self._put_back(answer, old, failure)

    async def _put_back(
        self, answer: Answer, old: Side | None, failure: Failure | None
    ) -> TurnRecord:
        failure = failure or unhealthy(self.given, "start", "not known any more")
        started = bool(begun(answer.steps, "start")) or self.given.restart or answer.journal_lost
        started = started and answer.staged  # a release that is gone has no stop hook any more
        job = revert_job(self.given, self.new, old, started=started)
        answer = await self._run("revert", job)
        undone = await self._verify(answer, old, "undo-start") if old else None
        if old is None or undone:
            answer = await self._settle("broken", answer)
            return broken(self.given, answer, failure, undone, has_old=old is not None)
        answer = await self._settle("reverted", answer)
        return await self._restore(answer, failure)

    # Staging

    async def _stage(self, *, redeploy: bool = False) -> Answer:
        self._step("stage")
        assert self.given.manifest
        canonical = await self.parts.manifests.canonical(self.given.manifest)
        job = push = stage_job(self.given, self.new, canonical)
        artifact = self.new.manifest.artifact
        if self.given.pull and (url := await self.parts.manifests.url(artifact.sha256)):
            job = replace(push, source=Source(url, artifact.size, artifact.room))
        again = redeploy or self.given.redeploy
        answer = await self.root.begin(self.given.manifest, artifact.sha256, job, redeploy=again)
        answer = await self._follow("stage", answer)
        if answer.pull_failed:
            why = answer.pull_failed.strip()
            self.pushed_because = f"the artifact was pushed, the host could not pull it: {why}"
        if answer.need_artifact or (answer.pull_failed and not (answer.cached or answer.staged)):
            await bring(artifact, self.parts.manifests, self.session, self.root)
            answer = await self._follow("stage", await self.root.run("stage", push))
        return answer

    def _not_staged(self, answer: Answer) -> TurnRecord:
        """The release did not get ready beside the running one; nothing was drained."""
        if answer.journal_lost:
            return self._without_journal(answer)
        unpack = answer.steps.get("unpack")
        if unpack and unpack.exit == DISK_FULL:
            raise DiskFull(
                f"{self.given.host.name}: {_last_line(unpack.output)}",
                host=self.given.host.name,
                step="stage",
                left="the host was not drained and serves what it served",
                hint="free some room on the host",
            )
        failure = self._failed(answer, list(answer.steps))
        if failure is None:
            raise self._unclear("stage")
        return untouched(self.given, answer, failure)

    def _without_journal(self, answer: Answer) -> TurnRecord:
        """A hook has removed the journal before the drain, or again while it was put back."""
        failure = journal_lost(self.given)
        if answer.running:
            raise self._unclear("journal")
        if answer.state.status is not Status.CHANGING:
            return untouched(self.given, answer, failure)
        return broken(self.given, answer, failure, failure, has_old=True)

    async def _current(self, answer: Answer) -> TurnRecord | None:
        """The host runs the manifest: if it is healthy too, it is not touched."""
        self._step("check")
        checker = self._checker(self.new)
        health = await soak(checker, CURRENT_CHECK, healthy_for=timedelta(0))
        return current(self.given, answer) if health.healthy else None

    # Out of service and back

    @property
    def _offline(self) -> str | None:
        """The file that takes the host out, where its balancer looks at one."""
        return self.traffic.offline_file if self.traffic else None

    async def _drain(self, answer: Answer, steps: Sequence[str], by_hand: bytes = b"") -> Answer:
        """Out of the balancer; records are allocated for all steps that may have to be written.

        `by_hand` is the job of putting back that a person can run without Apollo.
        """
        self._step("drain")
        traffic, found = self.traffic, answer.balancer or answer.balancer_before
        if found is None and self.given.was_lost:
            found = answer.balancer_last
        if traffic:
            await traffic.quiet(answer)
            found = await traffic.find() if found is None else found
        self.footing.drained = True
        answer = await self.root.drain(found or "", self._offline, steps, by_hand)
        if traffic:
            traffic.found = answer.balancer or ""
            if answer.steps.keys().isdisjoint(steps):
                await traffic.drain(confirmed=answer.current is not None)
        return answer

    async def _settle(self, verdict: str, answer: Answer) -> Answer:
        self._step("settle")
        online = None if verdict == "broken" else self._offline
        return await self.root.settle(verdict, self.new.manifest.keep, online)

    async def _restore(self, answer: Answer, failure: Failure | None) -> TurnRecord:
        """Give the host back to the balancer as it was found."""
        self._step("restore")
        if answer.verdict == "broken":
            return broken(self.given, answer, failure, None, has_old=True)
        if self.traffic:
            self.traffic.found = answer.balancer or ""
            await self.traffic.restore()
        if answer.verdict == "verified":
            return updated(self.given, answer)
        return reverted(self.given, answer, failure)

    # Phases and checks

    async def _run(self, phase: str, job: Job) -> Answer:
        self._step(phase)
        answer = await self.root.run(phase, job)
        answer = await self._follow(phase, answer)
        if answer.outcome(job.names) == "pending":  # the host went down in the middle
            answer = await self._follow(phase, await self.root.run(phase, job))
        if answer.outcome(job.names) == "pending":
            raise self._unclear(phase)
        return answer

    async def _follow(self, phase: str, answer: Answer) -> Answer:
        while answer.running == phase:
            answer = await self.root.run(phase, None)
            if phase != "stage":
                await self._hold()
        return answer

    def _unclear(self, phase: str) -> ContactLost:
        return ContactLost(
            f"{self.given.host.name}: {phase} neither ended nor goes on",
            host=self.given.host.name,
            step=phase,
            left="the journal on the host says which steps have ended",
            hint="the next attempt goes on from there",
        )

    async def _verify(self, answer: Answer, side: Side | None, start: str) -> Failure | None:
        """No failed step, and a soak without one bad answer; else what is wrong."""
        assert side
        self._step("verify")
        if failure := self._failed(answer, list(answer.steps), undo=start.startswith("undo")):
            return failure
        if side is self.new and not answer.staged:
            return release_gone(self.given, side.folder)
        health = side.manifest.health
        if health is None:
            return None
        left = health.deadline
        if ends := [record.end for record in begun(answer.steps, start) if record.end]:
            left -= timedelta(seconds=max(0.0, answer.now - max(ends)))
        verdict = await soak(self._checker(side), left, meanwhile=self._hold)
        return None if verdict.healthy else unhealthy(self.given, start, verdict.found)

    def _checker(self, side: Side) -> Checker:
        variables = environment(self.given, side)
        address = self.given.host.address
        return Checker(self.session, side.manifest, address, variables, side.secrets)

    async def _hold(self) -> None:
        """Assert the drained state again: a balancer that reloads forgets it."""
        if self.traffic:
            await self.traffic.hold()

    def _failed(
        self, answer: Answer, names: Sequence[str], *, undo: bool = False
    ) -> Failure | None:
        wanted = [name for name in names if _is_undo(name) is undo]
        record = answer.failure(wanted)
        return failed_step(self.given, record, self.secret_values) if record else None

    def _known_failure(self, answer: Answer) -> Failure | None:
        """Why the turn failed, as far as the journal tells: a step, or else the health check."""
        if answer.verdict == "verified":
            return None
        if answer.journal_lost:
            return journal_lost(self.given)
        return self._failed(answer, list(answer.steps)) or unhealthy(
            self.given, "start", "an attempt before this one saw it"
        )

    # A host with nothing to go back to

    async def _stop_and_report(self, running_digest: str | None) -> TurnRecord:
        """Stop what runs here: there is no manifest that the host should run instead."""
        if running_digest is None:
            return broken(self.given, Answer(), None, None, has_old=False)
        manifest = await self.parts.manifests.manifest(running_digest)
        self.new = Side(self.given.folder, manifest, await self._secrets(manifest))
        self.root = self._root_of(manifest)
        self.given = self.given.model_copy(update={"manifest": manifest.digest, "redeploy": True})
        answer = await self._stage(redeploy=True)
        if not answer.verdict:
            running = Side(answer.current or self.given.folder, manifest, self.new.secrets)
            job = stop_job(self.given, running)
            answer = await self._drain(answer, job.names)
            answer = await self._run("activate", job)
            answer = await self._settle("broken", answer)
        return broken(self.given, answer, None, None, has_old=False)

    # What the parts need

    async def _old_side(self, answer: Answer) -> Side | None:
        """The release that runs now, and is put back if the turn fails."""
        if not answer.previous or answer.previous_manifest is None:
            return None
        manifest = read_manifest(answer.previous_manifest)
        return Side(answer.previous, manifest, await self._secrets(manifest))

    async def _running_side(self, answer: Answer) -> Side | None:
        """What `current` points to, where a turn before this one left it on something else."""
        if answer.current in (None, self.new.folder, answer.previous) or not answer.manifest:
            return None
        manifest = read_manifest(answer.manifest)
        assert answer.current
        return Side(answer.current, manifest, await self._secrets(manifest))

    def _root_of(self, manifest: Manifest) -> HostRoot:
        caller = Caller(
            root=manifest.root,
            owner=self.given.owner,
            deployment=self.given.deployment,
            turn=self.given.turn,
            grant_ms=self.given.granted_ms,
            attempt_ms=self.attempt_ms,
        )
        root = HostRoot(self.session, self.given, caller, self.heard)
        if self.given.balancer:
            host = self.given.host
            target = BalancerTarget(
                host.name, host.location, manifest.variables, host.address, host.role
            )
            self.traffic = Traffic(self.parts.build_balancer(self.given.balancer), target, root)
        return root

    async def _secrets(self, manifest: Manifest) -> dict[str, str]:
        if not manifest.secrets:
            return {}
        try:
            values = await asyncio.to_thread(self.parts.secrets.resolve, manifest.secrets)
            self.secret_values += values.values()
            return values
        except ValueError as error:
            raise SecretUnavailable(
                f"{self.given.host.name}: {error}",
                host=self.given.host.name,
                step="secrets",
                left="nothing was changed by this attempt",
                hint="give the worker the secret, or allow its reference",
            ) from error

    def _step(self, step: str) -> None:
        self.footing.step = step


def begun(steps: Mapping[str, StepRecord], hook: str) -> list[StepRecord]:
    """The hooks of that name that have begun: `start`, `start.2`."""
    return [record for name, record in steps.items() if name.split(".")[0] == hook]


def _last_line(output: bytes) -> str:
    return output.decode(errors="replace").strip().rpartition("\n")[2]


def _is_undo(name: str) -> bool:
    return name.startswith("undo-") or name == "kill"
