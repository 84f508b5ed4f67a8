"""Deployments, crashes, stale attempts and reboots in any order: the host keeps its promises."""

import os
import shutil
import signal
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from apollo.hosts import script
from apollo.hosts.answer import Answer, Verdict
from apollo.hosts.job import Hook, Job, Kill, Switch
from tests.hosts.script_host import Host, Release, next_attempt, next_turn, present_shells

RELEASES = [Release(str(number)) for number in range(1, 4)]
STEPS = ("install", "stop", "start", "validate", "undo-stop", "undo-start", "undo-validate")
FORWARD = ("stop", "start", "validate")
Key = tuple[str, int, str]


class OneHost(RuleBasedStateMachine):
    """Whatever comes in whatever order: rule 9, the truth of `current`, and no way back to forward."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="apollo-model-"))
        self.host = Host(self.folder, present_shells()[0])
        self.grant = 1
        self.target = RELEASES[0]
        self.opened = self.drained = self.decided = False
        self.may_run: Counter[Key] = Counter()
        self.verdicts: dict[tuple[str, int], Verdict] = {}
        self.reverting: set[tuple[str, int]] = set()

    @initialize()
    def first(self) -> None:
        """A host that serves something."""
        self.host.install()
        self.deploy(RELEASES[0], fail="")
        for rest in (self.stage, self.drain, self.activate):
            rest()
        self.settle()

    # A turn

    @rule(release=st.sampled_from(RELEASES), fail=st.sampled_from(["", "", *STEPS]))
    def deploy(self, release: Release, fail: str) -> None:
        """Another deployment takes the host over, wherever the one before has left it."""
        self.grant += 1
        self.host.caller = self.host.deployment(self.grant)
        self._open(release, fail)

    @rule(release=st.sampled_from(RELEASES))
    def roll_back(self, release: Release) -> None:
        """The deployment's next turn, to another release."""
        self.host.caller = next_turn(self.host.caller)
        self._open(release, "")

    def _open(self, release: Release, fail: str) -> None:
        self.target, self.fail = release, fail
        self.opened = self.drained = self.decided = False

    @rule()
    def stage(self) -> None:
        """Begin; staging goes to its end."""
        answer = self.host.begin(
            self.target, self._hook("install", self.target), redeploy=True, shared=("log/",)
        )
        assert answer.error is None
        self.opened = True
        self.previous = answer.previous
        self.staged = answer.staged
        self._check(answer)

    @precondition(lambda self: self.opened and self.staged and not self._verdict())
    @rule()
    def drain(self) -> None:
        """Before the balancer is asked."""
        self._check(self.host.call(script.drain(self.host.caller, "ready")))
        self.drained = True

    @precondition(lambda self: self.opened and self.staged)
    @rule()
    def activate(self) -> None:
        """Forward, as far as it goes."""
        job = self._activate()
        answer = self.host.run("activate", job)
        if self.decided and not self._verdict():
            assert answer.error
            assert answer.error.code == "Reverting"
        self._check(answer)

    @precondition(lambda self: self.drained and self.previous and not self._verdict())
    @rule()
    def revert(self) -> None:
        """Back, which is decided for good."""
        self.decided = True
        self.reverting.add(self._turn())
        self._check(self.host.run("revert", self._revert()))

    @precondition(lambda self: self.drained)
    @rule(wish=st.sampled_from(list(Verdict)))
    def settle(self, wish: Verdict = Verdict.VERIFIED) -> None:
        """The verdict, if the host agrees."""
        before = self._verdict()
        answer = self.host.call(script.settle(self.host.caller, wish.value, keep=2))
        if answer.error:
            assert answer.error.code in ("Settled", "Reverting", "NotCurrent")
            return
        assert before in (None, wish)
        assert not (wish is Verdict.VERIFIED and self.decided)
        assert answer.verdict is wish
        self.verdicts[self._turn()] = wish
        self._check(answer)

    # What goes wrong

    @rule()
    def another_attempt(self) -> None:
        """The worker dies; the next one is newer."""
        self.host.caller = next_attempt(self.host.caller)
        assert self.host.call(script.fence(self.host.caller)).error is None

    @rule(what=st.sampled_from(["activate", "revert", "drain", "settle"]))
    def stale(self, what: str) -> None:
        """An attempt of the past still talks."""
        assert self.host.call(script.fence(self.host.caller)).error is None
        old = replace(self.host.caller, attempt_ms=1)
        command = {
            "activate": script.run(old, "activate", self._activate()),
            "revert": script.run(old, "revert", self._activate()),
            "drain": script.drain(old),
            "settle": script.settle(old, "broken", keep=1),
        }[what]
        error = self.host.call(command).error
        assert error
        assert error.code == "Fenced"

    @precondition(lambda self: self.opened)
    @rule()
    def reboot(self) -> None:
        """Between two commands: only `start` is needed again."""
        self.host.reboot()
        for step in ("start", "undo-start"):
            if not self._verdict() and self._ran(step):
                self.may_run[self._key(step)] += 1

    @precondition(lambda self: self.opened and self.staged and not self._verdict())
    @rule(step=st.sampled_from(FORWARD), how=st.sampled_from(["caller", "runner", "host"]))
    def crash_in(self, step: str, how: str) -> None:
        """In the middle of a hook the caller is killed, or the runner too, or the host."""
        if self.decided or any(self._ran(name) for name in FORWARD[FORWARD.index(step) :]):
            return
        if self._broke_off(step):
            return
        self.host.hold(step)
        connection = self.host.connection(
            script.run(self.host.caller, "activate", self._activate(), poll=60)
        )
        self.host.reached(step)
        os.killpg(connection.pid, signal.SIGKILL)
        connection.communicate()
        if how == "runner":
            self.host.kill_runner()
        elif how == "host":
            self.host.reboot()
            self.may_run[self._key(step)] += 1
            if step == "validate":
                self.may_run[self._key("start")] += 1
        self.host.release(step)
        if how == "caller":
            self._check(self.host.run("activate", None))

    # What must hold

    @invariant()
    def current_is_finished(self) -> None:
        """`current` points to a release that was staged to its end."""
        folder = self.host.current()
        assert folder is None or (self.host.meta / "finished" / folder).exists()
        if folder:
            assert (self.host.root / "current" / "VERSION").read_bytes()

    @invariant()
    def hooks_ran_once(self) -> None:
        """Once per turn, and again only for a reboot."""
        for key, times in self._counts().items():
            assert times <= 1 + self.may_run[key], key

    def _check(self, answer: Answer) -> None:
        turn = self._turn()
        if answer.error is None:
            assert answer.verdict == self.verdicts.get(turn)
            assert answer.reverting == (turn in self.reverting)
            assert answer.running is None
        for name, record in answer.steps.items():
            if name in STEPS and record.succeeded:
                assert 1 <= self._counts()[self._key(name)] == record.attempts

    # Words

    def _turn(self) -> tuple[str, int]:
        return self.host.caller.deployment, self.host.caller.turn

    def _key(self, step: str) -> Key:
        return (*self._turn(), step)

    def _verdict(self) -> Verdict | None:
        return self.verdicts.get(self._turn())

    def _counts(self) -> Counter[Key]:
        lines = self.host.log.read_text().splitlines() if self.host.log.exists() else []
        words = (line.split() for line in lines if len(line.split()) == 3)
        return Counter((deployment, int(turn), step) for deployment, turn, step in words)

    def _ran(self, step: str) -> bool:
        return self._counts()[self._key(step)] > 0

    def _broke_off(self, step: str) -> bool:
        before = FORWARD[: FORWARD.index(step)]
        job = Job(steps=tuple(s for s in self._activate().steps if s.step in before))
        if self.fail in before or not job.steps:
            return self.fail in before
        return self.host.run("activate", job).outcome(job.names) != "done"

    def _hook(self, step: str, release: Release) -> Hook:
        deployment, turn = self._turn()
        run = f"echo {deployment} {turn} {step} >>{self.host.log}; exit {int(self.fail == step)}"
        gate = self.host.gate
        text = f": >{gate}/at.{step}; while [ -e {gate}/{step} ]; do sleep 0.02; done; "
        return Hook(step, f"{run.split(';')[0]}; {text}{run.split(';')[1]}", release.folder)

    def _activate(self) -> Job:
        stop, start, validate = (self._hook(step, self.target) for step in FORWARD)
        return Job(steps=(stop, Switch("switch", self.target.folder), start, validate))

    def _revert(self) -> Job:
        old = next(r for r in RELEASES if r.folder == self.previous)
        return Job(
            steps=(
                Kill(),
                self._hook("undo-stop", self.target),
                Switch("undo-switch", old.folder),
                self._hook("undo-start", old),
                self._hook("undo-validate", old),
            )
        )

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.host.close()
        shutil.rmtree(self.folder, ignore_errors=True)


OneHost.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
TestOneHost = OneHost.TestCase
