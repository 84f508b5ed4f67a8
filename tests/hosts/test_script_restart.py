"""The host script in a restart: what served last is stopped and started; nothing is staged."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.answer import Status, Verdict
from apollo.hosts.job import Hook, Job, Kill, Switch
from tests.hosts.script_host import SHELLS, Host, Release, next_attempt, next_turn

ONE, TWO = Release("1"), Release("2")


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A host on which ONE and then TWO were deployed."""
    host = Host(tmp_path, request.param)
    host.deploy(ONE, 1)
    host.deploy(TWO, 2)
    host.caller = host.deployment(3)
    yield host
    host.close()


def restart_job(host: Host, run: str = ":") -> Job:
    stop, start = host.hook("stop", TWO, scope="old"), host.hook("start", TWO, run)
    return Job(steps=(stop, start, host.hook("validate", TWO)))


def link(host: Host) -> int:
    return os.lstat(host.root / "current").st_ino


def test_what_runs_is_stopped_and_started_once(host: Host) -> None:
    """Each command is sent twice, as an attempt does that lost its answer."""
    before = link(host)
    host.log.unlink()
    for _ in range(2):
        begun = host.call(script.restart(host.caller))
        host.caller = next_attempt(host.caller)
    host.call(script.drain(host.caller, "ready"))
    job = restart_job(host)
    for _ in range(2):
        assert host.run("activate", job).outcome(job.names) == "done"
    for _ in range(2):
        settled = host.call(script.settle(host.caller, "verified", keep=5))

    assert (begun.folder, begun.previous, begun.previous_manifest) == (
        TWO.folder,
        TWO.folder,
        TWO.manifest,
    )
    assert begun.staged
    assert not begun.need_artifact
    assert settled.verdict is Verdict.VERIFIED
    assert settled.state.manifest_digest == TWO.digest
    assert host.log.read_text().split() == ["stop", "start", "validate"]
    assert link(host) == before


def test_one_that_fails_is_started_once_more_and_reverted(host: Host) -> None:
    host.call(script.restart(host.caller))
    host.call(script.drain(host.caller, "ready"))
    job = restart_job(host, "exit 3")
    assert host.run("activate", job).outcome(job.names) == "failed"
    undo = Job(
        steps=(host.hook("undo-stop", TWO), Kill(), host.hook("undo-start", TWO, scope="old"))
    )
    for _ in range(2):
        assert host.run("revert", undo).outcome(undo.names) == "done"
    settled = host.call(script.settle(host.caller, "reverted", keep=5))

    assert settled.verdict is Verdict.REVERTED
    assert settled.state.status is Status.SERVING
    assert settled.state.manifest_digest == TWO.digest
    assert (host.count("undo-stop"), host.count("undo-start")) == (1, 1)


def test_a_host_that_a_dead_turn_left_half_way_starts_what_served_last(host: Host) -> None:
    """Not what `current` happens to point to."""
    host.begin(ONE)
    host.call(script.drain(host.caller, "found before"))
    host.run("activate", Job(steps=(Switch("switch", ONE.folder),)))
    host.caller = host.deployment(4)
    begun = host.call(script.restart(host.caller))
    host.call(script.drain(host.caller, begun.balancer_before or ""))
    steps = (Switch("switch", TWO.folder), *restart_job(host).steps)
    assert host.run("activate", Job(steps=steps)).outcome(["start"]) == "done"
    settled = host.call(script.settle(host.caller, "verified", keep=5))

    assert (begun.current, begun.folder) == (ONE.folder, TWO.folder)
    assert (settled.current, settled.balancer) == (TWO.folder, "found before")


@pytest.mark.parametrize("gone", ["", ".apollo/finished", "releases"])
def test_where_nothing_is_left_nothing_is_changed(host: Host, gone: str) -> None:
    shutil.rmtree(host.root / gone)
    host.install()
    answer = host.call(script.restart(host.caller))

    assert answer.error
    assert answer.error.code == "NothingRuns"
    assert not host.journal().exists()


def test_only_its_owner_and_the_newest_turn_may(host: Host) -> None:
    host.call(script.restart(next_turn(host.caller)))
    fenced = host.call(script.restart(host.caller)).error

    assert fenced
    assert fenced.code == "Fenced"


def test_a_turn_that_began_otherwise_stays_what_it_is(host: Host) -> None:
    """Nothing of a turn that was opened changes when it is opened again."""
    host.begin(ONE, Hook("install", ":", ONE.folder))
    again = host.call(script.restart(host.caller))

    assert (again.folder, again.previous) == (ONE.folder, TWO.folder)
