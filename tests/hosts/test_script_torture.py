"""Crashes between any two commands of the host script: the host keeps its promises."""

import os
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from apollo.hosts import script
from apollo.hosts.answer import Answer, Verdict
from apollo.hosts.job import Hook, Job, Kill, Switch
from apollo.hosts.script import Caller, RemoteCommand
from tests.hosts.crash_points import Crash, PointedHost
from tests.hosts.script_host import (
    OWNER,
    Release,
    eventually,
    is_free,
    next_attempt,
    next_turn,
    present_shells,
)


@dataclass(frozen=True)
class Reboot:
    """While nobody asks for anything."""


@dataclass(frozen=True)
class Tear:
    """A step's record loses its end."""

    step: str
    size: int


@dataclass(frozen=True)
class Stranger:
    """An attempt of the past, or another catalog, says something."""

    how: str


Key = tuple[str, int, str]
Event = Crash | Reboot | Tear | Stranger


EXAMPLES = int(os.environ.get("APOLLO_TORTURE", "14"))
FLOOR = EXAMPLES // 2
"""Different points at which something must have gone; most examples meet more."""
RELEASES = [Release(str(number)) for number in range(1, 4)]
FORWARD = ("stop", "start", "validate")
UNDO = ("undo-stop", "undo-start", "undo-validate")
KINDS = ("caller", "runner", "both", "host", "torn", "full", "clock")
CALLER = st.one_of(st.integers(1, 40), st.integers(1, 70), st.integers(1, 170))
RUNNER = st.one_of(st.integers(1, 30), st.integers(1, 60), st.integers(1, 110))
CRASHES = st.one_of(
    st.builds(Crash, st.just("caller"), CALLER, st.sampled_from(KINDS)),
    st.builds(Crash, st.just("runner"), RUNNER, st.sampled_from(KINDS)),
    st.builds(Crash, st.just("caller"), st.integers(1, 6), st.just("torn")),
    st.builds(Crash, st.just("runner"), st.integers(1, 14), st.just("torn")),
)
BETWEEN = st.one_of(
    st.just(Reboot()),
    st.builds(Tear, st.sampled_from(["install", *FORWARD, *UNDO]), st.integers(0, 1023)),
    st.builds(Stranger, st.sampled_from(["attempt", "turn", "grant", "owner"])),
)
EVENTS = st.lists(st.one_of(CRASHES, CRASHES, BETWEEN), min_size=1, max_size=4)
FAILURES = st.sampled_from(["", "", "", "install", *FORWARD, "undo-start"])
MET: dict[str, set[tuple[str, str, int, str]]] = {}
"""Per machine, the points that were met."""


class Tortured(RuleBasedStateMachine):
    """What a worker does, with whatever may go wrong in between."""

    mutant: ClassVar[tuple[str, str] | None] = None
    """What is replaced in the script, to show that the machine sees it."""

    @initialize(shell=st.sampled_from(present_shells()))
    def first(self, shell: str) -> None:
        """A host that serves something."""
        folder = Path(tempfile.mkdtemp(prefix="apollo-torture-"))
        self.host = PointedHost(folder, shell, self.mutant)
        self.host.on_reboot = self._count_reboot
        self.allowed: Counter[Key] = Counter()
        self.verdicts: dict[tuple[str, int], Verdict] = {}
        self.decided: set[tuple[str, int]] = set()
        self.lost = self.hurt = self.ended = False
        self.grant, self.target, self.fail = 1, RELEASES[0], ""
        self.fence = self.host.caller
        self.finish()

    # What a worker does

    @rule(release=st.sampled_from(RELEASES), fail=FAILURES, events=EVENTS, end=st.booleans())
    def deployment(self, release: Release, fail: str, events: list[Event], end: bool) -> None:
        """Another one takes the host over, wherever the turn before was left."""
        self._leave(end)
        self.grant += 1
        self.host.caller = self.host.deployment(self.grant)
        self._turn_to(release, fail, events)

    @rule(release=st.sampled_from(RELEASES), fail=FAILURES, events=EVENTS, end=st.booleans())
    def rollback_or_retry(
        self, release: Release, fail: str, events: list[Event], end: bool
    ) -> None:
        """The next turn of the same deployment."""
        self._leave(end)
        self.host.caller = next_turn(self.host.caller)
        self._turn_to(release, fail, events)

    def _leave(self, end: bool) -> None:
        if end and not self.ended:
            self.finish()
        self.host.idle()

    def _turn_to(self, release: Release, fail: str, events: list[Event]) -> None:
        self.target, self.fail, self.hurt, self.ended = release, fail, False, False
        for event in events:
            match event:
                case Crash() if not self.ended:
                    self.attempt(event)
                case Reboot():
                    self._count_reboot()
                    self.host.reboot()
                case Tear():
                    self._tear(event)
                case Stranger():
                    self._hear(event.how)
            self.current_is_finished()
            self.hooks_ran_once()
            self.nobody_holds_whatis_free()

    @precondition(lambda self: not self.ended)
    @rule(crash=CRASHES)
    def attempt(self, crash: Crash) -> None:
        """The turn's next attempt, in which something goes."""
        self.host.caller = next_attempt(self.host.caller)
        self.hurt |= crash.what not in ("clock", "caller")
        self.host.arm(crash)
        self.ended = self._attempt()
        self.host.idle()
        self.host.arm(None)
        MET.setdefault(type(self).__name__, set()).update(self.host.met)

    @precondition(lambda self: not self.ended)
    @rule()
    def finish(self) -> None:
        """When all is well again, the next attempt ends the turn."""
        for fault in ("full", "clock"):
            self.host.fault(fault, False)
        self.host.caller = next_attempt(self.host.caller)
        self.ended = self._attempt()
        assert self.ended, "the next attempt did not end the turn"
        if not self.hurt and not self.fail:
            assert self._verdict() is Verdict.VERIFIED

    # What goes wrong between commands

    def _hear(self, how: str) -> None:
        mine = self.fence
        other = {
            "attempt": replace(mine, attempt_ms=mine.attempt_ms - 1),
            "turn": replace(mine, turn=mine.turn - 1, attempt_ms=mine.attempt_ms + 9),
            "grant": replace(mine, grant_ms=mine.grant_ms - 1, turn=99),
            "owner": replace(mine, owner="other/shop/prod", grant_ms=mine.grant_ms + 10**9),
        }[how]
        for command in (
            script.run(other, "revert", self._revert(self.target.folder)),
            script.drain(other),
            script.settle(other, "broken", keep=1),
        ):
            answer = self.host.ask(command)
            assert answer
            assert answer.error
            assert answer.error.code == ("ForeignRoot" if how == "owner" else "Fenced")

    def _tear(self, event: Tear) -> None:
        path = self.host.journal() / f"step.{event.step}"
        if path.exists():
            self.hurt = True
            path.write_bytes(path.read_bytes()[: event.size])

    # What must hold

    @invariant()
    def current_is_finished(self) -> None:
        """`current` is never absent, and points to a release that is there to its last file."""
        folder = self.host.current()
        assert folder
        assert (self.host.meta / "finished" / folder).exists()
        release = next(one for one in RELEASES if one.folder == folder)
        inside = self.host.root / "current"
        assert (inside / "VERSION").read_bytes() == release.version.encode()
        assert (inside / ".apollo-manifest.json").read_bytes() == release.manifest

    @invariant()
    def hooks_ran_once(self) -> None:
        """Once per turn, and again only for a reboot in their middle, or of what they started."""
        ran = Counter(key for key, _ in self._ran())
        for key, times in ran.items():
            assert times <= 1 + self.allowed[key], key

    @invariant()
    def nothing_turned_forward_again(self) -> None:
        """After the first step back, no hook of the way forward runs in that turn."""
        back: set[tuple[str, int]] = set()
        for (deployment, turn, step), _ in self._ran():
            if step in UNDO:
                back.add((deployment, turn))
            assert step not in FORWARD or (deployment, turn) not in back

    @invariant()
    def nobody_holds_whatis_free(self) -> None:
        """Without caller and runner both locks are free, and the root is still ours."""
        if not self.host.runners():
            for name in ("lock", "fence"):
                eventually(partial(is_free, self.host.meta / name))
        assert (self.host.meta / "owner").read_text() == f"{OWNER}\n"

    # Words

    def _attempt(self) -> bool:
        """One attempt, as `apollo.hosts.turn` makes it; whether the turn has ended."""
        answer = self._begin()
        if answer is None or answer.error:
            return False
        if answer.verdict:
            return True
        if not (answer.staged or answer.reverting):
            return self.fail == "install" or self.hurt
        previous = answer.previous
        if not answer.reverting:
            if (answer := self._ask(script.drain(self.host.caller, "ready"))) is None:
                return False
            job = self._activate()
            if answer.error or (answer := self._phase("activate", job)) is None:
                return False
            if answer.outcome(job.names) == "done":
                assert self.fail not in FORWARD
                return self._settle("verified")
        return self._put_back(previous)

    def _put_back(self, previous: str | None) -> bool:
        if previous is None:
            return self._settle("broken")
        job = self._revert(previous)
        answer = self._phase("revert", job)
        if answer is None:
            return False
        assert answer.reverting
        return self._settle("reverted" if answer.outcome(job.names) == "done" else "broken")

    def _begin(self) -> Answer | None:
        job = Job(steps=(self._hook("install"),), manifest=self.target.manifest)
        caller, release = self.host.caller, self.target
        command = script.begin(
            caller,
            manifest_digest=release.digest,
            folder=release.folder,
            artifact_sha256=release.sha256,
            job=job,
            redeploy=True,
        )
        answer = self._ask(command)
        if answer and not answer.error and answer.need_artifact:
            answer = self._ask(script.put(caller, release.sha256, release.artifact))
            if answer and not answer.error:
                return self._ask(script.run(caller, "stage", job))
        return answer

    def _phase(self, phase: str, job: Job) -> Answer | None:
        """None: it neither ended nor goes on, or the caller did not live to see it."""
        for _ in range(3):
            answer = self._ask(script.run(self.host.caller, phase, job))
            if answer is None or answer.error:
                return None
            if answer.outcome(job.names) in ("done", "failed"):
                return answer
        return None

    def _settle(self, verdict: str) -> bool:
        answer = self._ask(script.settle(self.host.caller, verdict, keep=2))
        if answer is None or answer.error:
            return False
        assert answer.verdict == verdict
        assert answer.state.status == ("broken" if verdict == "broken" else "serving")
        wanted = {"verified": answer.folder, "reverted": answer.previous}
        assert answer.current == wanted.get(verdict, answer.current)
        return True

    def _ask(self, command: RemoteCommand) -> Answer | None:
        answer = self.host.ask(command)
        if answer is None:
            self.lost = True
            return None
        if answer.error:
            assert answer.error.code == "DiskFull" or self.hurt, answer.error
            return answer
        self.lost = False
        self.fence = max(self.fence, self.host.caller, key=_fence_of)
        turn = self._turn()
        if answer.reverting:
            self.decided.add(turn)
        assert answer.reverting == (turn in self.decided) or answer.same
        if turn in self.verdicts:
            assert answer.verdict is self.verdicts[turn]
        if answer.verdict:
            self.verdicts[turn] = answer.verdict
        return answer

    def _count_reboot(self) -> None:
        """The hook that is under way may run again, and what was started must."""
        self.hurt = True
        ran = [key for key, _ in self._ran() if key[:2] == self._turn()]
        if ran and (self.lost or self.host.runners()):
            self.allowed[ran[-1]] += 1
        for key in {key for key in ran if key[2] in ("start", "undo-start")} - {*ran[-1:]}:
            self.allowed[key] += 1
        if ran and not (self.lost or self.host.runners()) and ran[-1][2].endswith("start"):
            self.allowed[ran[-1]] += 1

    def _ran(self) -> list[tuple[Key, str]]:
        lines = self.host.log.read_text().splitlines() if self.host.log.exists() else []
        words = [line.split() for line in lines if line.strip()]
        return [((deployment, int(turn), step), "") for deployment, turn, step in words]

    def _turn(self) -> tuple[str, int]:
        return self.host.caller.deployment, self.host.caller.turn

    def _verdict(self) -> Verdict | None:
        return self.verdicts.get(self._turn())

    def _hook(self, step: str, folder: str | None = None) -> Hook:
        deployment, turn = self._turn()
        text = f"echo {deployment} {turn} {step} >>{self.host.log}; exit {int(self.fail == step)}"
        return Hook(step, text, folder or self.target.folder)

    def _activate(self) -> Job:
        stop, start, validate = (self._hook(step) for step in FORWARD)
        return Job(steps=(stop, Switch("switch", self.target.folder), start, validate))

    def _revert(self, previous: str) -> Job:
        stop, *rest = (self._hook(step, previous) for step in UNDO)
        return Job(steps=(Kill(), stop, Switch("undo-switch", previous), *rest))

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "host"):
            self.host.remove()


def _fence_of(caller: Caller) -> tuple[int, int, int]:
    return caller.grant_ms, caller.turn, caller.attempt_ms


def often(examples: int, steps: int = 6) -> settings:
    """How long a machine runs; a violation is shown as it was met, for it takes long to shrink."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize="APOLLO_TORTURE" not in os.environ,  # the long runs go elsewhere each time
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )


def test_crashes_between_any_two_commands() -> None:
    run_state_machine_as_test(Tortured, settings=often(EXAMPLES))
    met = MET["Tortured"]
    print(f"{len(met)} crash points, before or after {len({met[0] for met in met})} commands")

    assert len(met) >= FLOOR


MUTANTS = {
    "what has ended runs again": ('[ "$closed" = yes ] || return 1', "return 1"),
    "no fence": ('[ "$difference" -ge 0 ] ||', "true ||"),
    "any owner": ('[ "$held" = "$owner" ] ||', "true ||"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_without_a_protection_the_same_machine_finds_a_violation(mutant: str) -> None:
    class Mutant(Tortured):
        pass

    Mutant.mutant = MUTANTS[mutant]

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Mutant, settings=often(150))
