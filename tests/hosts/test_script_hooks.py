"""Hooks on the real script: several to a step, and those that nobody would wish for."""

import os
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.answer import StepStatus, parse
from apollo.hosts.job import Hook, Job, Silent, Switch
from tests.hosts.script_host import SHELLS, Host, Release, eventually, present_shells

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


# The port that must fall silent


ADDRESSES = ("127.0.0.1", "0.0.0.0", "127.0.0.9", "::1", "::")


def test_a_port_is_not_silent_on_any_address(host: Host) -> None:
    """The error says which port it is, and who listens there."""
    host.begin(ONE)
    tried = []
    for address in ADDRESSES:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
            try:
                server.bind((address, 0))
            except OSError:  # there may be no IPv6 here
                continue
            server.listen()
            tried.append(address)
            port, name = server.getsockname()[1], f"silent.{len(tried)}"
            failed = host.run(f"p{len(tried)}", Job(steps=(Silent(name, port, 0),))).steps[name]
            told = f"port {port} still answers after 0 s: pid {os.getpid()} ("

            assert failed.exit == 1
            assert told.encode() in failed.output
    assert "127.0.0.1" in tried


def test_a_connection_is_no_listener(host: Host) -> None:
    """What the old process was asked last may still be open, or in TIME_WAIT."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
    host.begin(ONE)
    job = Job(steps=(Silent("silent", port, 1),))
    answer = host.run("activate", job)
    client.close()
    accepted.close()

    assert answer.outcome(job.names) == "done"


READ_LINES = "while read -r _ local _ state _; do :; done </proc/net/tcp; exit 1"


def test_many_connections_do_not_keep_the_turn(host: Host) -> None:
    """The control reads the same table line by line, which these shells do byte by byte."""
    if host.shell.startswith("bash"):
        pytest.skip("bash reads more at once")
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        for _ in range(3000):  # each is in the table for a minute
            with socket.create_connection(server.getsockname()):
                server.accept()[0].close()
    steps = resources.files("apollo.hosts").joinpath("remote", "steps.sh").read_text("utf-8")

    def seconds(text: str) -> float:
        began = time.monotonic()
        run = subprocess.run([*host.shell.split(), "-c", text], check=False)
        assert run.returncode == 1
        return time.monotonic() - began

    looked = min(seconds(f"{steps}\nhex=:FFFFF; listens") for _ in range(3))
    assert looked < min(seconds(READ_LINES) for _ in range(3)) / 2


# Hooks that nobody would wish for


WELL = {
    "closes-its-output": "exec >&- 2>&-; sleep 0.1",
    "closes-everything": "exec <&- >&- 2>&-; sleep 0.1",
    "reads-its-input": '[ "$(cat | wc -c)" -eq 0 ] && ! read -r line',
    "changes-folder": "cd / && rm -rf /nowhere-at-all",
    "has-a-daemon-in-a-session-of-its-own": "setsid sleep 300 >/dev/null 2>&1 & exit 0",
    "has-quotes": """[ "$(printf '%s' 'a "b" $c')" = "a \\"b\\" \\$c" ]""",
}
BADLY = {
    "kills-its-process-group": ("kill -KILL 0; sleep 300", 137),
    "kills-itself": ("kill -KILL $$", 137),
    "is-no-command": ("/no/such/command", 127),
    "ends-with-a-strange-code": ("exit 255", 255),
}


def test_nasty_hooks_that_go_well(host: Host) -> None:
    """Their runner sees each of them through, and the lock is free."""
    host.begin(ONE)
    job = Job(steps=tuple(Hook(name, run, ONE.folder) for name, run in WELL.items()))
    steps = host.run("activate", job).steps
    looked = host.call(script.look(str(host.root), shell=host.shell))

    assert {name: steps[name].exit for name in WELL} == dict.fromkeys(WELL, 0)
    assert looked.running is None
    assert len(host.hooks()) == 1


def test_nasty_hooks_that_fail(host: Host) -> None:
    """Each has its exit code, and nothing comes after it."""
    host.begin(ONE)
    for name, (run, code) in BADLY.items():
        job = Job(steps=(Hook(name, run, ONE.folder), host.hook(f"after-{name}", ONE)))
        record = host.run(name, job).steps[name]

        assert (record.status, record.exit, record.timed_out) == (StepStatus.ENDED, code, False)
    assert not host.log.exists()


def test_a_hook_that_kills_its_parent_is_lost(host: Host) -> None:
    """The runner is its parent. What is left of the hook is killed; it does not run again."""
    host.begin(ONE)
    hook = host.hook("start", ONE, "kill -KILL $PPID; sleep 300")
    record = host.run("activate", Job(steps=(hook,))).steps["start"]
    again = host.run("activate", Job(steps=(Hook("start", "exit 1", ONE.folder),)))

    assert record.status is StepStatus.LOST
    assert again.steps["start"].status is StepStatus.LOST
    assert host.count("start") == 1
    assert (host.hooks(), host.runners()) == ([], [])


FORKS = """
f() { while :; do sleep 300 & wait $!; done; }
hop='trap "" TERM; sleep 0.3; setsid sh -c "$0" "$0" &'
i=0
while [ $i -lt 50 ]; do
  f &
  [ $((i % 5)) -gt 0 ] || setsid sh -c "$hop" "$hop" &
  i=$((i + 1))
done
wait
"""


def test_a_hook_that_forks_wildly_is_ended(tmp_path: Path) -> None:
    """Hundreds of children, some of which hop from process to process in sessions of their own."""
    ran = []
    for number, shell in enumerate(present_shells()):
        host = Host(tmp_path / f"{number}", shell)
        host.begin(ONE)
        job = Job(steps=(Hook("start", FORKS, ONE.folder, timeout=4),))
        command = script.run(host.caller, "activate", job, poll=60)
        ran.append((host, command.nonce, host.connection(command)))
    eventually(lambda: all(len(host.hooks()) >= 90 for host, _, _ in ran))
    answers = [parse(nonce, connection.communicate()[0]) for _, nonce, connection in ran]
    left = [pid for host, _, _ in ran for pid in host.hooks()]
    for host, _, _ in ran:
        host.close()

    assert all(answer.steps["start"].timed_out for answer in answers)
    assert left == []


def test_a_hook_that_deletes_current(host: Host) -> None:
    """It is switched again, and no hook runs again."""
    host.begin(ONE)
    start = host.hook("start", ONE, f"rm {host.root}/current")
    job = Job(steps=(Switch("switch", ONE.folder), start))
    answer = host.run("activate", job)
    settled = host.call(script.settle(host.caller, "verified", keep=5))

    assert answer.steps["switch"].attempts == 2
    assert answer.outcome(job.names) == "done"
    assert (host.current(), host.count("start")) == (ONE.folder, 1)
    assert settled.verdict == "verified"


def test_a_hook_that_deletes_its_release(host: Host) -> None:
    """The release is not there any more, and what was before can still be started."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    host.begin(TWO)
    gone = host.hook("start", TWO, f"rm -rf {host.root}/releases/{TWO.folder}")
    job = Job(steps=(Switch("switch", TWO.folder), gone))
    answer = host.run("activate", job)
    revert = host.revert_job(ONE, TWO)  # but for the stop of what is not there any more
    host.run("revert", replace(revert, steps=revert.steps[:1] + revert.steps[2:]))

    assert not answer.staged
    assert host.current() == ONE.folder
    assert host.count("undo-start") == 1


def test_a_user_without_sudo(host: Host, tmp_path: Path) -> None:
    """The error says what is missing."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in ("/bin", "/usr/bin"):
        for tool in Path(folder).iterdir():
            if tool.name != "sudo" and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    host.begin(ONE)
    job = Job(steps=(Hook("start", ":", ONE.folder, user="nobody"),))
    command = script.run(host.caller, "activate", job)
    record = host.call(command, {"PATH": str(tools)}).steps["start"]

    assert record.exit == 126
    assert record.output == b"apollo: user nobody needs sudo, which this host does not have\n"


# The environment file


def test_the_environment_file_is_for_its_owner_only(host: Host) -> None:
    """Whatever was there before; it changes with the switch, and comes back with the old one."""
    (host.root / "conf").mkdir(parents=True)
    file = host.root / "conf" / "env"
    file.write_text("old")
    file.chmod(0o666)
    host.begin(ONE)
    before = file.read_text()
    steps = (Switch("switch", ONE.folder), host.hook("start", ONE))
    host.run("activate", Job(steps=steps, env_file=("conf/env", b'PASSWORD="x"\n')))

    assert before == "old"
    assert file.read_text() == 'PASSWORD="x"\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_uid == os.geteuid()
    assert not (host.meta / "env").exists()


def test_its_folder_is_made(host: Host) -> None:
    host.begin(ONE)
    steps = (Switch("switch", ONE.folder),)
    host.run("activate", Job(steps=steps, env_file=("made/for/env", b"")))

    assert (host.root / "made" / "for" / "env").read_text() == ""


@pytest.mark.parametrize("gone", ["conf/env", None])
def test_the_file_of_a_release_that_had_another_goes_with_the_switch(
    host: Host, gone: str | None
) -> None:
    (host.root / "conf").mkdir(parents=True)
    (host.root / "conf" / "env").write_text("PASSWORD=old")
    host.begin(ONE)
    steps = (Switch("switch", ONE.folder),)
    host.run("activate", Job(steps=steps, env_file=("env", b""), env_gone=gone))

    assert (host.root / "env").exists()
    assert (host.root / "conf" / "env").exists() is (gone is None)
