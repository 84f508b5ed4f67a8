"""What the host script does when callers, runners and hosts die, and when two come at once."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.answer import Answer, StepStatus, Truncated, parse
from apollo.hosts.job import Hook, Job, Silent, Switch
from tests.hosts.script_host import (
    SHELLS,
    Host,
    Release,
    command_lines,
    environments,
    eventually,
    next_attempt,
    next_turn,
    present_shells,
)

ONE, TWO = Release("1"), Release("2")


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A host with an empty root."""
    host = Host(tmp_path, request.param)
    yield host
    host.close()


def cut(process: "subprocess.Popen[bytes]") -> None:
    """Kill a connection's whole session, as sshd would, and worse."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def in_the_middle(host: Host, step: str, job: Job) -> "subprocess.Popen[bytes]":
    """A connection whose `activate` has reached a hook and waits there."""
    host.hold(step)
    connection = host.connection(script.run(host.caller, "activate", job, poll=60))
    host.reached(step)
    return connection


def code(answer: Answer) -> str | None:
    """The name of the error."""
    return answer.error.code if answer.error else None


# Callers


@pytest.mark.parametrize(("journal", "times"), [("kept", 1), ("removed", 2)])
def test_hook_goes_on_without_its_caller(host: Host, journal: str, times: int) -> None:
    """The hook outlives its caller and the next one attaches; without the journal it runs twice."""
    host.begin(ONE)
    job = host.activate_job(ONE)
    cut(in_the_middle(host, "start", job))
    if journal == "kept":
        looked = host.call(script.look(str(host.root), shell=host.shell))
        threading.Timer(0.2, host.release, ["start"]).start()
        host.caller = next_attempt(host.caller)
        answer = host.run("activate", job)

        assert looked.running == "activate"
        assert answer.attached == "activate"
    else:
        host.release("start")
        eventually(lambda: not host.runners())
        host.log.write_text("start\n")
        for record in host.journal().glob("step.*"):
            record.unlink()
        answer = host.run("activate", job)

    assert answer.outcome(job.names) == "done"
    assert host.count("start") == times


def test_two_callers_start_one_runner(host: Host) -> None:
    """Two callers of the same turn at the same moment: one starts the runner, one attaches."""
    host.begin(ONE)
    job = host.activate_job(ONE)
    commands = [script.run(host.caller, "activate", job) for _ in range(2)]
    connections = [host.connection(command) for command in commands]
    answers = [
        parse(command.nonce, connection.communicate()[0])
        for command, connection in zip(commands, connections, strict=True)
    ]

    assert [answer.outcome(job.names) for answer in answers] == ["done", "done"]
    assert (host.count("start"), host.count("validate")) == (1, 1)


def test_following_only_starts_nothing(host: Host) -> None:
    """Without a job nothing is started."""
    host.begin(ONE)
    answer = host.run("activate", None)

    assert answer.error is None
    assert answer.running is None
    assert host.call(script.run(host.caller, "activate", host.activate_job(ONE))).current


def test_poll_ends_while_the_phase_goes_on(host: Host) -> None:
    """A poll that is over says what runs."""
    host.begin(ONE)
    job = host.activate_job(ONE)
    host.hold("start")
    polled = host.call(script.run(host.caller, "activate", job, poll=1))
    host.release("start")
    ended = host.run("activate", None)

    assert polled.running == "activate"
    assert polled.steps["start"].status is StepStatus.RUNNING
    assert polled.outcome(job.names) == "running"
    assert ended.outcome(job.names) == "done"


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_torn_input_does_nothing(host: Host, keep: float) -> None:
    """A job that was cut off on its way starts nothing and journals nothing."""
    host.install()
    job = host.activate_job(ONE)
    command = script.begin(
        host.caller,
        manifest_digest=ONE.digest,
        folder=ONE.folder,
        artifact_sha256=ONE.sha256,
        job=job,
    )
    torn = replace(command, stdin=command.stdin[: int(len(command.stdin) * keep)])
    begun = host.call(torn)
    journal = os.listdir(host.meta / "journal")
    host.begin(ONE)
    command = script.run(host.caller, "activate", job)
    ran = host.call(replace(command, stdin=command.stdin[: int(len(command.stdin) * keep)]))

    assert (code(begun), journal) == ("TornInput", [])
    assert code(ran) == "TornInput"
    assert not host.log.exists()
    assert list(host.journal().glob("step.st*")) == []


def test_torn_artifact(host: Host) -> None:
    """An artifact that was cut off is not kept; nor is one of another digest."""
    host.install()
    command = script.put(host.caller, ONE.sha256, ONE.artifact)
    torn = host.call(replace(command, stdin=command.stdin[:-1]))
    other = host.call(replace(command, stdin=command.stdin[:-1] + b"x"))

    assert (code(torn), code(other)) == ("DigestMismatch", "DigestMismatch")
    assert os.listdir(host.meta / "cache") == []


def test_no_room_for_an_artifact(host: Host) -> None:
    """Room is looked for before the transfer."""
    host.install()
    answer = host.call(script.put(host.caller, ONE.sha256, ONE.artifact, room=10**15))

    assert code(answer) == "DiskFull"
    assert os.listdir(host.meta / "cache") == []


# Fence and owner


def test_fence(host: Host) -> None:
    """Older grants, turns and attempts are refused; the turn's next attempt is not."""
    host.begin(ONE)
    newer = next_attempt(next_turn(replace(host.caller, grant_ms=host.caller.grant_ms + 1)))
    assert host.call(script.fence(newer)).error is None
    stale = [
        host.caller,
        replace(newer, attempt_ms=newer.attempt_ms - 1),
        replace(newer, turn=newer.turn - 1, attempt_ms=newer.attempt_ms + 9),
        replace(newer, grant_ms=newer.grant_ms - 1, turn=9),
    ]
    job = host.activate_job(ONE)

    assert [code(host.call(script.fence(caller))) for caller in stale] == ["Fenced"] * 4
    assert code(host.run("activate", job, stale[0])) == "Fenced"
    assert code(host.call(script.drain(stale[0]))) == "Fenced"
    assert code(host.call(script.settle(stale[0], "verified", keep=5))) == "Fenced"
    assert code(host.call(script.put(stale[0], ONE.sha256, ONE.artifact))) == "Fenced"
    assert host.call(script.fence(next_attempt(newer))).error is None
    assert not host.log.exists()


def test_other_turns_runner_makes_the_host_busy(host: Host) -> None:
    """While another turn's runner works, nobody begins, drains, runs or settles here."""
    host.begin(ONE)
    connection = in_the_middle(host, "start", host.activate_job(ONE))
    newer = host.deployment(2)
    command = script.begin(
        newer, manifest_digest="x", folder="20260101T000000Z-9", artifact_sha256="y", job=Job()
    )
    busy = host.call(command)
    looked = host.call(script.look(str(host.root), deployment=newer.deployment, turn=1))
    host.release("start")
    connection.communicate()

    assert busy.error
    assert busy.error.code == "HostBusy"
    assert host.caller.deployment in busy.error.found
    assert looked.running == "other"
    assert host.call(command).need_artifact


def test_own_runner_must_end_before_the_verdict(host: Host) -> None:
    """No verdict while a hook of the turn is at work."""
    host.begin(ONE)
    connection = in_the_middle(host, "start", host.activate_job(ONE))
    settled = host.call(script.settle(host.caller, "verified", keep=5))
    host.release("start")
    connection.communicate()

    assert code(settled) == "HostBusy"


def test_foreign_root(host: Host) -> None:
    """Another owner is refused until the root is adopted."""
    host.begin(ONE)
    other = replace(host.deployment(2), owner="other/shop/prod")
    refused = host.call(script.fence(other))
    adopted = host.call(script.adopt(other))

    assert refused.error
    assert (refused.error.code, refused.error.found) == ("ForeignRoot", host.caller.owner)
    assert adopted.error is None
    assert host.call(script.fence(other)).error is None
    assert code(host.call(script.fence(host.deployment(3)))) == "ForeignRoot"


# Runners


def test_lost_runner(host: Host) -> None:
    """A runner that vanished: its hook is killed and lost, nothing goes on, and revert works."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    host.begin(TWO)
    host.call(script.drain(host.caller))
    host.log.unlink()
    job = host.activate_job(TWO, old=ONE)
    cut(in_the_middle(host, "stop", job))
    before = host.hooks()
    host.kill_runner()
    looked = host.call(script.look(str(host.root), shell=host.shell))
    answer = host.run("activate", job)
    after = host.hooks()
    again = host.run("activate", job)
    revert = host.revert_job(ONE, TWO)
    reverted = host.run("revert", revert)

    assert before
    assert looked.steps["stop"].status is StepStatus.LOST
    assert answer.steps["stop"].status is StepStatus.LOST
    assert answer.outcome(job.names) == "failed"
    assert again.outcome(job.names) == "failed"
    assert after == []
    assert reverted.outcome(revert.names) == "done"
    assert host.log.read_text().split() == ["stop", "undo-stop", "undo-start", "undo-validate"]


def test_follower_of_a_lost_runner(host: Host) -> None:
    """A caller who follows while the runner vanishes hears that the hook is lost."""
    host.begin(ONE)
    job = host.activate_job(ONE)
    command = script.run(host.caller, "activate", job, poll=60)
    host.hold("start")
    connection = host.connection(command)
    host.reached("start")
    host.kill_runner()
    answer = parse(command.nonce, connection.communicate()[0])

    assert answer.steps["start"].status is StepStatus.LOST
    assert answer.outcome(job.names) == "failed"
    assert host.hooks() == []


def test_next_turn_kills_what_a_lost_runner_left(host: Host) -> None:
    """Another deployment's turn ends the leftovers of a hook whose runner vanished."""
    host.begin(ONE)
    cut(in_the_middle(host, "start", host.activate_job(ONE)))
    host.kill_runner()
    before = host.hooks()
    host.caller = host.deployment(2)
    host.begin(TWO, host.hook("install", TWO))

    assert before
    assert host.hooks() == []


def test_runner_lost_while_it_unpacks(host: Host) -> None:
    """Unpacking is Apollo's own work: it begins anew."""
    job = Job(steps=(host.hook("install", ONE),), manifest=ONE.manifest)
    host.begin(ONE, host.hook("install", ONE))
    shutil.rmtree(host.root / "releases" / ONE.folder)
    (host.meta / "finished" / ONE.folder).unlink()
    (host.journal() / "step.install").unlink()
    record = host.journal() / "step.unpack"
    record.write_bytes(record.read_bytes()[:512] + b" " * 511 + b"\n")
    answer = host.run("stage", job)

    assert answer.staged
    assert answer.steps["unpack"].attempts == 2


# Reboots


@pytest.mark.parametrize("step", ["start", "validate"])
def test_reboot_in_the_middle_of_a_hook(host: Host, step: str) -> None:
    """Only the hook in whose middle the host went down runs again; and `start`, which is needed."""
    host.begin(ONE)
    job = host.activate_job(ONE)
    cut(in_the_middle(host, step, job))
    host.reboot()
    looked = host.call(script.look(str(host.root), shell=host.shell))
    host.release(step)
    answer = host.run("activate", job)

    assert looked.steps[step].status is StepStatus.DOWN
    assert answer.outcome(job.names) == "done"
    assert answer.steps[step].attempts == 2
    assert host.count(step) == 2
    assert host.count("start") == 2
    assert host.count("validate") == (2 if step == "validate" else 1)


@pytest.mark.parametrize(("reboots", "starts"), [(0, 1), (1, 2), (2, 3)])
def test_reboot_after_start(host: Host, reboots: int, starts: int) -> None:
    """A start that ended before a reboot is needed again, and nothing else is."""
    host.deploy(ONE, 1)
    host.log.unlink()
    host.caller = host.deployment(2)
    host.begin(TWO)
    job = host.activate_job(TWO, old=ONE)
    host.run("activate", job)
    for _ in range(reboots):
        host.reboot()
        answer = host.run("activate", job)
        assert answer.outcome(job.names) == "done"
    host.run("activate", job)

    assert host.count("start") == starts
    assert (host.count("stop"), host.count("validate")) == (1, 1)


def test_reboot_that_forgets_the_switch(host: Host) -> None:
    """A switch that the disk forgot is done again."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    host.begin(TWO)
    job = host.activate_job(TWO)
    host.run("activate", job)
    (host.root / "current").unlink()
    (host.root / "current").symlink_to(f"releases/{ONE.folder}")
    host.reboot()
    host.run("activate", job)

    assert host.current() == TWO.folder


def test_reboot_does_not_undo_a_failure(host: Host) -> None:
    """A phase that failed has failed, whatever the host does after."""
    host.begin(ONE)
    job = Job(steps=(host.hook("start", ONE), host.hook("validate", ONE, "exit 1")))
    host.run("activate", job)
    host.reboot()
    answer = host.run("activate", job)

    assert answer.outcome(job.names) == "failed"
    assert (host.count("start"), host.count("validate")) == (1, 1)


# Torn records


@pytest.mark.parametrize(
    "torn",
    [
        b"",
        b"start 1 17",
        b"start 1 1 x hook - end".ljust(511) + b"\n" + b"ended 0 1",
        b"start 1 1 x hook - end".ljust(511) + b"\n" + b"ended 0 1 x".ljust(511) + b"\n",
        b"\0" * 1024,
        bytes(range(256)) * 4,
    ],
)
def test_torn_record_is_never_success(host: Host, torn: bytes) -> None:
    """A record that is not whole means unknown: the hook is lost, and does not run again."""
    host.begin(ONE)
    job = host.activate_job(ONE)
    host.run("activate", job)
    (host.journal() / "step.start").write_bytes(torn)
    looked = host.call(script.look(str(host.root), deployment=host.caller.deployment, turn=1))
    first, second = host.run("activate", job), host.run("activate", job)

    assert not looked.steps["start"].succeeded
    assert first.outcome(job.names) == second.outcome(job.names) == "failed"
    assert second.steps["start"].status is StepStatus.LOST
    assert host.count("start") == 1


def test_torn_finished_record(host: Host) -> None:
    """A release whose record is torn is not finished: it is staged anew, and not switched to."""
    host.begin(ONE)
    (host.meta / "finished" / ONE.folder).write_bytes(b"finished abc")
    looked = host.call(script.look(str(host.root), deployment=host.caller.deployment, turn=1))
    job = host.activate_job(ONE)

    assert not looked.staged
    assert host.run("activate", job).outcome(job.names) == "failed"


def test_full_disk_does_not_begin_a_hook(host: Host) -> None:
    """A hook whose start cannot be journalled is not begun, nor does the drain succeed."""
    host.begin(ONE)
    (host.journal() / ".new").rmdir()
    (host.journal() / ".new").write_bytes(b"no folder can be made here")
    drained = host.call(script.drain(host.caller))
    ran = host.run("activate", host.activate_job(ONE))

    assert code(drained) == code(ran) == "DiskFull"
    assert host.count("start") == 0


# Hooks


def test_timeout_kills_group_and_those_who_left_it(host: Host) -> None:
    """A hook's deadline ends its group, and the children that have a session of their own."""
    host.begin(ONE)
    run = "setsid sleep 300 & (env -i sleep 300) & sleep 300"
    job = Job(
        steps=(Hook("start", run, ONE.folder, timeout=1), host.hook("validate", ONE)),
        new={"SECRET": "x"},
    )
    answer = host.run("activate", job)
    record = answer.steps["start"]

    assert (record.exit, record.timed_out) == (124, True)
    assert host.hooks() == []
    assert answer.outcome(job.names) == "failed"
    cwd = str(host.root / "releases" / ONE.folder)
    assert [p for p, _ in command_lines() if _cwd(p) == cwd] == []


def test_timeout_of_one_that_does_not_listen(tmp_path: Path) -> None:
    """Ten seconds after TERM comes KILL, to whom has left the group too."""
    run = "trap '' TERM; while :; do sleep 0.2; done"
    runs = (run, f"setsid sh -c {shlex.quote(run)} & sleep 300")
    ran = []
    for number, (shell, text) in enumerate(product(present_shells(), runs)):
        host = Host(tmp_path / f"{number}", shell)
        host.begin(ONE)
        job = Job(steps=(Hook("start", text, ONE.folder, timeout=1),))
        command = script.run(host.caller, "activate", job, poll=60)
        ran.append((host, command.nonce, host.connection(command)))
    answers = [parse(nonce, connection.communicate()[0]) for _, nonce, connection in ran]

    assert [answer for answer in answers if not answer.steps["start"].timed_out] == []
    assert [pid for host, _, _ in ran for pid in host.hooks()] == []


def test_timeout_spares_the_daemon_of_the_hook_before(host: Host) -> None:
    """The deadline of `validate` does not end what `start` has started."""
    host.begin(ONE)
    job = Job(
        steps=(
            Hook("start", "sleep 300 >/dev/null 2>&1 &", ONE.folder),
            Hook("validate", "sleep 300", ONE.folder, timeout=1),
        )
    )
    host.run("activate", job)

    assert len(host.hooks()) == 1


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def test_daemon_may_keep_output_but_not_the_lock(host: Host) -> None:
    """A daemon that holds the hook's output is no error, and holds neither lock nor channel."""
    host.begin(ONE)
    job = Job(steps=(Hook("start", "(while :; do echo on; sleep 0.1; done) &", ONE.folder),))
    answer = host.run("activate", job)
    daemons = host.hooks()
    descriptors = [os.readlink(f) for d in daemons for f in Path(f"/proc/{d}/fd").iterdir()]

    assert answer.outcome(job.names) == "done"
    assert answer.running is None
    assert daemons
    assert not [f for f in descriptors if f.endswith(("/lock", "/fence", "step.start"))]
    host.caller = host.deployment(2)
    assert host.begin(TWO).staged


def test_interrupts_reach_a_daemon(host: Host) -> None:
    """Hooks are not started as a background job is, which would ignore INT and QUIT for ever."""
    host.begin(ONE)
    job = Job(steps=(Hook("start", "grep SigIgn /proc/self/status", ONE.folder),))
    answer = host.run("activate", job)
    ignored = int(answer.steps["start"].output.split()[1], 16)

    assert ignored & (1 << (signal.SIGINT - 1)) == 0
    assert ignored & (1 << (signal.SIGQUIT - 1)) == 0


def test_huge_output_is_trimmed(host: Host) -> None:
    """Of more than 100 MB whole lines of the end are kept, and how much was cut is said."""
    host.begin(ONE)
    lines = "yes 0123456789012345678 | head -n 30000"
    run = f"head -c 110000000 /dev/zero | tr '\\0' x; echo; {lines}; echo the end; exit 1"
    job = Job(steps=(Hook("start", run, ONE.folder, timeout=300),))
    record = host.run("activate", job).steps["start"]
    size = (host.journal() / "out.start").stat().st_size

    assert record.output.endswith(b"0123456789012345678\nthe end\n")
    assert len(record.output) == 65536
    assert size < 17 << 20
    assert record.cut + size == 110000000 + 30000 * 20 + len(b"\nthe end\n")


def test_binary_output(host: Host) -> None:
    """Whatever a hook writes comes back byte by byte, and does not disturb the answer."""
    host.begin(ONE)
    run = "printf '\\000\\377\\r\\nstep x ended\\napollo:>>>\\033[2J'"
    job = Job(steps=(Hook("start", run, ONE.folder),))
    record = host.run("activate", job).steps["start"]

    assert record.output == b"\0\xff\r\nstep x ended\napollo:>>>\x1b[2J"


def test_secrets_are_nowhere(host: Host) -> None:
    """Secrets are in the hook's environment; not in a command line, the journal or a release."""
    secret = "hunter2-dont-look"
    job = Job(
        steps=(host.hook("start", ONE, '[ "$(printf %s "$PASSWORD" | wc -c)" = 17 ]'),),
        new={"PASSWORD": secret},
    )
    host.begin(ONE, new={"PASSWORD": secret})
    connection = in_the_middle(host, "start", job)
    lines = [words for _, words in command_lines() if secret.encode() in b" ".join(words)]
    carriers = [p for p, env in environments() if f"PASSWORD={secret}".encode() in env]
    host.release("start")
    output, _ = connection.communicate()
    files = [path for path in host.root.rglob("*") if path.is_file()]

    assert carriers
    assert lines == []
    assert files
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
    assert secret.encode() not in output
    assert secret not in repr(job)
    assert secret not in repr(script.run(host.caller, "activate", job))


def test_hooks_user(host: Host, tmp_path: Path) -> None:
    """A hook with a user goes through sudo, which gets no value on its command line."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sudo").write_text('#!/bin/sh\necho "$*" >>"$0.log"; shift 4; exec "$@"\n')
    (tools / "sudo").chmod(0o755)
    host.begin(ONE)
    job = Job(
        steps=(Hook("start", 'echo "$USER $HOME $PASSWORD"', ONE.folder, user="nobody"),),
        new={"PASSWORD": "hunter2"},
    )
    command = script.run(host.caller, "activate", job)
    answer = host.call(command, {"PATH": f"{tools}:{os.environ['PATH']}"})
    log = (tools / "sudo.log").read_text()

    assert answer.steps["start"].output.startswith(b"nobody /")
    assert answer.steps["start"].output.endswith(b" hunter2\n")
    assert log.startswith("-n -u nobody -- env -i ")
    assert "hunter2" not in log


def test_port_must_fall_silent(host: Host) -> None:
    """`silent` waits for a listener to go, and fails when it does not."""
    host.begin(ONE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        loud = Job(steps=(Silent("silent", port, 1), Switch("switch", ONE.folder)))
        failed = host.run("activate", loud)
        waits = Job(steps=(Silent("other", port, 60),))
        threading.Timer(0.5, server.close).start()
        silent = host.run("other", waits)

    assert failed.outcome(loud.names) == "failed"
    assert b"still answers" in failed.steps["silent"].output
    assert silent.outcome(waits.names) == "done"
    assert host.current() is None


# The wire


def test_answer_that_was_cut_off(host: Host) -> None:
    """An answer without its closing mark is no answer."""
    host.install()
    command = script.fence(host.caller)
    output = b"Welcome!\n" + host.raw(command) + b"Bye!\n"

    assert parse(command.nonce, output).error is None
    with pytest.raises(Truncated):
        parse(command.nonce, output[:-20])
    with pytest.raises(Truncated):
        parse("other", output)


def test_root_that_cannot_be_written(host: Host) -> None:
    """A root that cannot be made says so."""
    blocked = host.root.parent
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("not a folder")
    answer = host.call(script.install(str(host.root)))

    assert answer.error
    assert answer.error.code == "RootNotWritable"
    assert answer.error.found


def test_torn_script_is_not_kept(host: Host) -> None:
    """A script that was cut off on its way is not installed."""
    command = script.install(str(host.root))
    answer = host.call(replace(command, stdin=command.stdin[:-100]))

    assert code(answer) == "DigestMismatch"
    assert os.listdir(host.meta / "bin") == []
    assert host.call(script.fence(host.caller)).need_script


def test_other_shells_at_login(host: Host) -> None:
    """The line works in whatever shell the login gives."""
    host.install()
    command = script.fence(host.caller)
    for shell in ("sh", "bash", "tcsh", "fish", "zsh"):
        if shutil.which(shell):
            done = subprocess.run([shell, "-c", command.line], capture_output=True, check=True)
            assert parse(command.nonce, done.stdout).error is None
