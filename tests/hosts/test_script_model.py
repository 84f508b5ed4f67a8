"""Deployments, crashes, stale attempts and reboots in any order: the host keeps its promises."""

import os
import shutil
import signal
import subprocess
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
    """Whatever comes: hooks run once, `current` is true, nothing turns forward again."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="apollo-model-"))
        self.host = Host(self.folder, present_shells()[0])
        (self.host.gate.parent / "boot").write_text("0")
        self.grant = 1
        self.target = RELEASES[0]
        self.fail = ""
        self.previous: str | None = None
        self.staged = self.vanished = False
        self.unseen = ""
        self.boot = 0
        self.may_run: Counter[Key] = Counter()
        self.verdicts: dict[tuple[str, int], Verdict] = {}
        self.reverting: set[tuple[str, int]] = set()

    @initialize()
    def first(self) -> None:
        """A host that serves something."""
        self.host.install()
        self.deploy(RELEASES[0], "")
        self.activate()
        self.settle(Verdict.VERIFIED)

    # A turn

    @rule(release=st.sampled_from(RELEASES), fail=st.sampled_from(["", "", "", *STEPS]))
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
        self.vanished, self.unseen = False, ""
        answer = self.host.begin(release, self._hook("install"), redeploy=True)
        assert answer.error is None
        self.previous, self.staged = answer.previous, answer.staged
        if self.staged:
            answer = self.host.call(script.drain(self.host.caller, "ready"))
        self._check(answer)

    @precondition(lambda self: self.staged)
    @rule()
    def activate(self) -> None:
        """Forward, as far as it goes."""
        job = self._activate()
        self.unseen = ""
        answer = self.host.run("activate", job)
        self._check(answer)
        if self._decided():
            assert answer.error
            assert answer.error.code == "Reverting"
        elif not self._verdict():
            failed = self.vanished or self.fail in FORWARD
            assert answer.outcome(job.names) == ("failed" if failed else "done")
            assert failed or self._boot_of("start") == self.boot

    @precondition(lambda self: self.staged and self.previous and not self._verdict())
    @rule(forward=st.booleans())
    def revert(self, forward: bool) -> None:
        """Back, which is decided for good."""
        self.reverting.add(self._turn())
        job = self._revert()
        self.unseen = ""
        answer = self.host.run("revert", job)
        self._check(answer)
        failed = self.fail.startswith("undo")
        assert answer.outcome(job.names) == ("failed" if failed else "done")
        if forward:
            self.activate()
            self.settle(Verdict.VERIFIED)

    @precondition(lambda self: self.staged)
    @rule(wish=st.sampled_from(list(Verdict)))
    def settle(self, wish: Verdict) -> None:
        """The verdict, if the host agrees."""
        before = self._verdict()
        answer = self.host.call(script.settle(self.host.caller, wish.value, keep=2))
        if answer.error:
            assert answer.error.code in ("Settled", "Reverting", "NotCurrent")
            return
        assert before in (None, wish)
        assert not (wish is Verdict.VERIFIED and self._decided())
        self.verdicts[self._turn()] = wish
        self._check(answer)

    # What goes wrong

    @rule(what=st.sampled_from(["activate", "revert", "drain", "settle"]))
    def stale(self, what: str) -> None:
        """The worker dies, the next attempt is newer, and the one of the past still talks."""
        self.host.caller = next_attempt(self.host.caller)
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

    @rule(resume=st.booleans())
    def reboot(self, resume: bool) -> None:
        """Between two commands: only `start` is needed again."""
        self._reboot()
        for step in ("start", "undo-start"):
            if not self._verdict() and self._ran(step):
                self.may_run[self._key(step)] += 1
        if resume and self.staged:
            self.activate()

    @rule(
        release=st.sampled_from(RELEASES),
        step=st.sampled_from(FORWARD),
        how=st.sampled_from(["caller", "runner", "host", "host between"]),
        resume=st.booleans(),
    )
    def crash(self, release: Release, step: str, how: str, resume: bool) -> None:
        """In the middle of a hook, or after it, the caller goes, or the runner, or the host."""
        self.deploy(release, "")
        if how == "host between":
            self.activate()
            self.reboot(resume)
            return
        self.host.hold(step)
        connection = self._following()
        self.host.reached(step)
        os.killpg(connection.pid, signal.SIGKILL)
        connection.communicate()
        if how == "caller":
            self.host.caller = next_attempt(self.host.caller)
            connection = self._following()
            self.host.release(step)
            connection.communicate()
        elif how == "runner":
            self.host.kill_runner()
            self.vanished, self.unseen = True, step
        else:
            self._reboot()
            self.may_run[self._key(step)] += 1
            if step == "validate":
                self.may_run[self._key("start")] += 1
        self.host.release(step)
        if resume or how == "caller":
            self.activate()

    def _following(self) -> "subprocess.Popen[bytes]":
        command = script.run(self.host.caller, "activate", self._activate(), poll=60)
        return self.host.connection(command)

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
        words = (line.split() for line in lines if line.strip())
        return Counter((deployment, int(turn), step) for deployment, turn, step, _ in words)

    def _ran(self, step: str) -> bool:
        return self._counts()[self._key(step)] > 0

    def _boot_of(self, step: str) -> int:
        key = " ".join(map(str, self._key(step)))
        lines = [line for line in self.host.log.read_text().splitlines() if line.startswith(key)]
        return int(lines[-1].split()[3])

    def _decided(self) -> bool:
        return self._turn() in self.reverting

    def _reboot(self) -> None:
        self.boot += 1
        if self.unseen:  # nobody saw that the runner was gone before the host went down
            self.may_run[self._key(self.unseen)] += 1
            self.vanished, self.unseen = False, ""
        (self.host.gate.parent / "boot").write_text(str(self.boot))
        self.host.reboot()

    def _hook(self, step: str, folder: str | None = None) -> Hook:
        deployment, turn = self._turn()
        gate, boot = self.host.gate, self.host.gate.parent / "boot"
        text = (
            f"echo {deployment} {turn} {step} $(cat {boot}) >>{self.host.log}; : >{gate}/at.{step};"
            f" while [ -e {gate}/{step} ]; do sleep 0.02; done; exit {int(self.fail == step)}"
        )
        return Hook(step, text, folder or self.target.folder)

    def _activate(self) -> Job:
        stop, start, validate = (self._hook(step) for step in FORWARD)
        return Job(steps=(stop, Switch("switch", self.target.folder), start, validate))

    def _revert(self) -> Job:
        assert self.previous
        back = Switch("undo-switch", self.previous)
        hooks = [self._hook(f"undo-{step}", self.previous) for step in FORWARD]
        return Job(steps=(Kill(), hooks[0], back, *hooks[1:]))

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.host.close()
        shutil.rmtree(self.folder, ignore_errors=True)


OneHost.TestCase.settings = settings(
    max_examples=35,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
TestOneHost = OneHost.TestCase
