"""Hooks on the real script: several to a step, and those that nobody would wish for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.job import Hook, Job, Switch
from tests.hosts.script_host import SHELLS, Host, Release

ONE, TWO = Release("1"), Release("2")


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A host with an empty root."""
    host = Host(tmp_path, request.param)
    yield host
    host.close()


def several(host: Host, *runs: str) -> Job:
    """A start of several hooks, after the switch."""
    names = ("start", *(f"start.{number}" for number in range(2, len(runs) + 1)))
    hooks = [host.hook(name, ONE, run) for name, run in zip(names, runs, strict=True)]
    return Job(steps=(Switch("switch", ONE.folder), *hooks))


def test_each_of_several_hooks_runs_once(host: Host) -> None:
    """Also when the command is sent again; the first that fails is the last."""
    host.begin(ONE)
    job = several(host, ":", "exit 7", ":")
    host.run("activate", job)
    answer = host.run("activate", job)

    assert host.log.read_text().split() == ["start", "start.2"]
    assert answer.failure(job.names) == answer.steps["start.2"]
    assert answer.steps["start.2"].exit == 7
    assert "start.3" not in answer.steps


@pytest.mark.parametrize("ignored", [True, False])
def test_a_stop_that_may_fail(host: Host, ignored: bool) -> None:
    """The turn goes on, and its output says so; the control ends there."""
    host.begin(ONE)
    stop = host.hook("stop", ONE, "echo no; exit 7", ignored=ignored)
    job = Job(steps=(stop, Switch("switch", ONE.folder)))
    answer = host.run("activate", job)

    assert host.current() == (ONE.folder if ignored else None)
    assert answer.steps["stop"].exit == (0 if ignored else 7)
    told = b"apollo: stop exit 7, which is ignored\n" if ignored else b""
    assert answer.steps["stop"].output == b"no\n" + told


def test_a_stop_that_may_hang(host: Host) -> None:
    """What ran past its timeout is ended, and the turn goes on."""
    host.begin(ONE)
    stop = Hook("stop", "sleep 300", ONE.folder, timeout=1, ignored=True)
    job = Job(steps=(stop, Switch("switch", ONE.folder)))
    answer = host.run("activate", job)

    assert answer.outcome(job.names) == "done"
    assert host.hooks() == []


def test_a_reboot_makes_every_start_necessary_again(host: Host) -> None:
    """What `start.2` began is gone too, and each is run again, once."""
    host.begin(ONE)
    job = several(host, ":", ":")
    host.run("activate", job)
    host.reboot()
    host.run("activate", job)
    answer = host.run("activate", job)

    assert answer.outcome(job.names) == "done"
    assert host.log.read_text().split() == ["start", "start.2"] * 2


@pytest.mark.parametrize("allocated", [True, False])
def test_the_drain_makes_room_for_all_of_them(host: Host, allocated: bool) -> None:
    """A disk that fills after the drain keeps no step from being written; without it, it does."""
    host.begin(ONE)
    job = several(host, ":", ":")
    steps = job.names if allocated else ("switch",)
    host.call(script.drain(host.caller, steps=steps))
    (host.journal() / ".new").rmdir()
    (host.journal() / ".new").write_bytes(b"no folder can be made here")
    answer = host.run("activate", job)

    assert (answer.error is None) is allocated
    assert host.count("start.2") == (1 if allocated else 0)
