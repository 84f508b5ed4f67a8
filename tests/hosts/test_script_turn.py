"""The host script through whole turns: stage, drain, activate, revert, settle, prune."""

import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.answer import Status, Verdict
from apollo.hosts.job import Hook, Job, ReleaseFile, Switch
from tests.hosts.script_host import SHELLS, Host, Release, next_attempt, next_turn, pack

ONE, TWO, THREE = Release("1"), Release("2"), Release("3")


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A host with an empty root."""
    host = Host(tmp_path, request.param)
    yield host
    host.close()


def test_first_turn(host: Host) -> None:
    """A turn on a fresh host stages, switches, starts, and leaves the release serving."""
    looked = host.call(script.look(str(host.root), shell=host.shell))
    begun = host.begin(
        ONE,
        host.hook("install", ONE, 'cat VERSION config/x; echo "$WORD"', timeout=60),
        new={"WORD": 'it\'s "so" $HOME\nindeed'},
        files=(ReleaseFile("config/x", b"\0\xff\n", "0640"),),
        shared=("log/", "etc/keys"),
    )
    host.call(script.drain(host.caller, '{"web": "ready"}'))
    job = Job(
        steps=host.activate_job(ONE).steps,
        env_file=("env", b"PASSWORD=x\n"),
    )
    activated = host.run("activate", job)
    settled = host.call(script.settle(host.caller, "verified", keep=5))
    folder = host.root / "releases" / ONE.folder

    assert looked.current is None
    assert looked.state.status is Status.NONE
    assert begun.staged
    assert begun.previous is None
    assert begun.steps["install"].output == b'1\0\xff\nit\'s "so" $HOME\nindeed\n'
    assert stat.S_IMODE((folder / "config/x").stat().st_mode) == 0o640
    assert (folder / "log").resolve() == (host.root / "shared/log").resolve()
    assert (host.root / "shared/log").is_dir()
    assert os.readlink(folder / "etc/keys") == str(host.root.resolve() / "shared/etc/keys")
    assert stat.S_IMODE((host.root / "env").stat().st_mode) == 0o600
    assert stat.S_IMODE(host.meta.stat().st_mode) == 0o700
    assert activated.outcome(job.names) == "done"
    assert settled.verdict is Verdict.VERIFIED
    assert settled.state.status is Status.SERVING
    assert settled.state.manifest_digest == ONE.digest
    assert settled.manifest == ONE.manifest
    assert settled.balancer == '{"web": "ready"}'
    assert settled.current == ONE.folder == host.current()
    assert [host.count(step) for step in ("install", "start", "validate")] == [1, 1, 1]


def test_every_command_again_changes_nothing(host: Host) -> None:
    """Each command of a turn may be sent twice."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    job = host.activate_job(TWO, old=ONE)
    for _ in range(2):
        assert host.begin(TWO, host.hook("install", TWO)).staged
        host.caller = next_attempt(host.caller)
    for _ in range(2):
        assert host.call(script.drain(host.caller, "ready")).error is None
    for _ in range(2):
        assert host.run("activate", job).outcome(job.names) == "done"
    for _ in range(2):
        settled = host.call(script.settle(host.caller, "verified", keep=5))

    assert settled.verdict is Verdict.VERIFIED
    assert settled.previous == ONE.folder
    assert host.begin(TWO).verdict is Verdict.VERIFIED
    assert [host.count(step) for step in ("install", "stop")] == [1, 1]
    assert host.count("start") == 2


def test_same_manifest_is_left_alone(host: Host) -> None:
    """A host that serves the manifest answers `same`, unless it is told to do it again."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    same = host.begin(replace(ONE, files={"other": b""}))
    again = host.begin(ONE, redeploy=True)

    assert same.same
    assert not same.need_artifact
    assert same.steps == {}
    assert not again.same
    assert again.staged
    assert again.folder == ONE.folder


def test_half_done_host_is_not_the_same(host: Host) -> None:
    """What a dead turn has drained is no longer `same`, and its balancer state is passed on."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    host.begin(TWO)
    host.call(script.drain(host.caller, "found before"))
    host.run("activate", Job(steps=(Switch("switch", TWO.folder),)))
    host.caller = host.deployment(3)
    begun = host.begin(ONE)

    assert not begun.same
    assert begun.state.status is Status.CHANGING
    assert begun.current == TWO.folder
    assert begun.previous == ONE.folder
    assert begun.balancer_before == "found before"
    assert begun.staged


def test_finished_release_is_used_again(host: Host) -> None:
    """Going back to a release that is still there unpacks and installs nothing."""
    host.deploy(ONE, 1)
    host.deploy(TWO, 2)
    (host.meta / "cache" / ONE.sha256).unlink()
    host.caller = host.deployment(3)
    host.log.unlink()
    begun = host.begin(ONE, host.hook("install", ONE))

    assert begun.staged
    assert begun.folder == ONE.folder
    assert begun.steps == {}
    assert host.count("install") == 0


def test_finished_folder_is_never_overwritten(host: Host) -> None:
    """A folder name that another manifest has is refused."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    command = script.begin(
        host.caller,
        manifest_digest=TWO.digest,
        folder=ONE.folder,
        artifact_sha256=TWO.sha256,
        job=Job(),
    )

    error = host.call(command).error

    assert error
    assert error.code == "FolderTaken"


def test_failed_hook_stops_the_phase(host: Host) -> None:
    """A failed step is the last of its phase, and its exit code and output come back."""
    host.begin(ONE)
    job = Job(
        steps=(
            Switch("switch", ONE.folder),
            host.hook("start", ONE, "echo sorry >&2; exit 7"),
            host.hook("validate", ONE),
        )
    )
    first, second = host.run("activate", job), host.run("activate", job)
    failure = second.failure(job.names)

    assert first.outcome(job.names) == "failed"
    assert failure
    assert (failure.name, failure.exit, failure.output) == ("start", 7, b"sorry\n")
    assert (host.count("start"), host.count("validate")) == (1, 0)


def test_failed_install_leaves_the_release_unfinished(host: Host) -> None:
    """A release whose `install` failed is not staged, and another turn begins it anew."""
    failed = host.begin(ONE, host.hook("install", ONE, "exit 3"))
    host.caller = next_turn(host.caller)
    staged = host.begin(ONE, host.hook("install", ONE))

    assert not failed.staged
    assert failed.outcome(("unpack", "install")) == "failed"
    assert staged.staged
    assert host.count("install") == 2


def test_retries_are_the_users_word_for_more(host: Host) -> None:
    """A hook with retries runs until it succeeds."""
    host.begin(ONE)
    job = Job(steps=(host.hook("validate", ONE, f"[ $(wc -l <{host.log}) = 3 ]", retries=5),))
    answer = host.run("activate", job)

    assert answer.outcome(job.names) == "done"
    assert answer.steps["validate"].attempts == 3
    assert host.count("validate") == 3


def test_put_back(host: Host) -> None:
    """A failed turn kills what it started, switches back, and serves the old release again."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    host.begin(TWO)
    host.call(script.drain(host.caller, "ready"))
    job = host.activate_job(TWO, old=ONE, run="setsid sleep 300 & exit 1")
    failed = host.run("activate", job)
    daemons = len(host.hooks())
    revert = host.revert_job(ONE, TWO)
    reverted = host.run("revert", revert)
    settled = host.call(script.settle(host.caller, "reverted", keep=5))

    assert failed.outcome(job.names) == "failed"
    assert daemons == 1
    assert host.hooks() == []
    assert reverted.outcome(revert.names) == "done"
    assert settled.state.status is Status.SERVING
    assert settled.state.manifest_digest == ONE.digest
    assert host.current() == ONE.folder


def test_decision_to_put_back_never_returns(host: Host) -> None:
    """After `revert` nothing goes forward: neither activate nor the verdict."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    host.begin(TWO)
    host.call(script.drain(host.caller, "ready"))
    host.run("revert", Job(steps=(host.hook("undo-stop", TWO),)))
    forward = host.run("activate", host.activate_job(TWO, old=ONE))
    verified = host.call(script.settle(host.caller, "verified", keep=5))
    reverted = host.call(script.settle(host.caller, "reverted", keep=5))
    again = host.call(script.settle(host.caller, "broken", keep=5))

    assert forward.error
    assert forward.error.code == "Reverting"
    assert verified.error
    assert verified.error.code == "Reverting"
    assert reverted.verdict is Verdict.REVERTED
    assert again.error
    assert again.error.code == "Settled"
    assert host.count("stop") == 0


def test_put_back_waits_for_the_hook_at_work(host: Host) -> None:
    """A revert asked for in the middle of activate lets the hook end, and begins no other."""
    host.deploy(ONE, 1)
    host.log.unlink()
    host.caller = host.deployment(2)
    host.begin(TWO)
    host.hold("start")
    follower = host.connection(script.run(host.caller, "activate", host.activate_job(TWO)))
    host.reached("start")
    threading.Timer(0.3, host.release, ["start"]).start()
    revert = host.revert_job(ONE, TWO)
    answer = host.run("revert", revert)
    follower.communicate()

    assert answer.attached == "activate"
    assert answer.outcome(revert.names) == "done"
    assert host.log.read_text().split() == ["start", "undo-stop", "undo-start", "undo-validate"]


def test_verdict_wants_current_where_it_belongs(host: Host) -> None:
    """`verified` is refused while `current` points elsewhere."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    host.begin(TWO)
    error = host.call(script.settle(host.caller, "verified", keep=5)).error

    assert error
    assert error.code == "NotCurrent"


def test_broken_keeps_what_served_last(host: Host) -> None:
    """A broken host knows which release served before, and that none does now."""
    host.deploy(ONE, 1)
    (host.root / "online").touch()
    host.caller = host.deployment(2)
    host.begin(TWO)
    host.call(script.drain(host.caller, offline="online"))
    host.run("activate", Job(steps=(Switch("switch", TWO.folder),)))
    broken = host.call(script.settle(host.caller, "broken", keep=5, online="online"))
    was_online = (host.root / "online").exists()
    host.caller = host.deployment(3)
    host.begin(ONE, redeploy=True)
    host.call(script.drain(host.caller, offline="online"))
    host.run("activate", Job(steps=(Switch("switch", ONE.folder),)))
    settled = host.call(script.settle(host.caller, "verified", keep=5, online="online"))

    assert broken.state.status is Status.BROKEN
    assert broken.state.folder == ONE.folder
    assert not was_online
    assert settled.state.status is Status.SERVING
    assert (host.root / "online").exists()


@pytest.mark.parametrize("found", [True, False])
def test_file_balancer_restores_what_it_found(host: Host, found: bool) -> None:
    """The balancer's file is taken away, and comes back only if it was there."""
    host.deploy(ONE, 1)
    if found:
        (host.root / "online").touch()
    host.caller = host.deployment(2)
    host.begin(TWO)
    host.call(script.drain(host.caller, offline="online"))
    during = (host.root / "online").exists()
    host.call(script.drain(host.caller, offline="online"))
    host.run("activate", host.activate_job(TWO, old=ONE))
    host.call(script.settle(host.caller, "verified", keep=5, online="online"))

    assert not during
    assert (host.root / "online").exists() == found


def test_fresh_host_goes_online(host: Host) -> None:
    """On a host that never served there is no file to find, yet it is made in the end."""
    host.begin(ONE)
    host.call(script.drain(host.caller, offline="online"))
    host.run("activate", host.activate_job(ONE))
    host.call(script.settle(host.caller, "verified", keep=5, online="online"))

    assert (host.root / "online").exists()


def test_prune(host: Host) -> None:
    """The newest are kept, and current, previous and what a process is in; nothing else is."""
    releases = [Release(str(number)) for number in range(1, 8)]
    host.deploy(releases[0], 1, keep=9)
    inside = subprocess.Popen(["sleep", "300"], cwd=host.root / "releases" / releases[0].folder)
    for number, release in enumerate(releases[1:], 2):
        host.deploy(release, number, keep=9)
    before = os.listdir(host.meta / "journal")
    (host.root / "releases" / "20250101T000000Z-torn").mkdir()
    (host.root / "releases" / "mine").mkdir()
    host.deploy(releases[1], 9, keep=3, redeploy=True)
    after = sorted(os.listdir(host.root / "releases"))
    inside.kill()
    inside.wait()
    host.deploy(releases[6], 10, keep=1)

    kept = [releases[i].folder for i in (0, 1, 4, 5, 6)]
    assert len(before) == 7
    assert after == [*kept, "mine"]
    assert host.current() == releases[6].folder
    assert sorted(os.listdir(host.root / "releases")) == [kept[1], kept[4], "mine"]
    assert sorted(os.listdir(host.meta / "finished")) == [kept[1], kept[4]]
    assert sorted(os.listdir(host.meta / "cache")) == sorted(
        [releases[1].sha256, releases[6].sha256]
    )
    assert len(os.listdir(host.meta / "journal")) == 3


def test_a_release_with_a_file_that_a_process_reads_is_kept(host: Host) -> None:
    """A program may have gone to another folder, and still need its release."""
    for number in range(1, 4):
        host.deploy(Release(str(number)), number, keep=9)
    old = host.root / "releases" / Release("1").folder
    with (old / "VERSION").open("rb") as used:
        reader = subprocess.Popen(["sleep", "300"], cwd="/", stdin=used)
    host.deploy(Release("4"), 4, keep=1)
    kept = old.exists()
    reader.kill()
    reader.wait()
    host.deploy(Release("5"), 5, keep=1)

    assert kept
    assert not old.exists()  # the control


def test_current_is_never_absent(host: Host) -> None:
    """Who looks at `current` all the time always finds a finished release there."""
    host.deploy(ONE, 1)
    seen: set[str] = set()
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            try:
                seen.add((host.root / "current" / "VERSION").read_text())
            except OSError as error:
                seen.add(str(error))

    watcher = threading.Thread(target=poll)
    watcher.start()
    for number in range(2, 8):
        host.deploy(TWO if number % 2 == 0 else ONE, number)
    over.set()
    watcher.join()

    assert seen == {"1", "2"}


def test_unfinished_release_is_not_switched_to(host: Host) -> None:
    """A switch to a release that was never staged to its end fails."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    host.begin(TWO, host.hook("install", TWO, "exit 1"))
    job = Job(steps=(Switch("switch", TWO.folder),))

    assert host.run("activate", job).outcome(job.names) == "failed"
    assert host.current() == ONE.folder


def test_artifact_that_cannot_be_unpacked(host: Host) -> None:
    """A bad archive fails the staging, and is not kept in the cache."""

    class Bad(Release):
        @property
        def artifact(self) -> bytes:
            return b"no archive"

    answer = host.begin(Bad("1"))

    assert answer.outcome(("unpack",)) == "failed"
    assert os.listdir(host.meta / "cache") == []


def test_links_and_files_replace_what_the_artifact_brings(host: Host) -> None:
    """A configured file is not written through a link of the artifact, nor into a shared folder."""
    release = Release("1", {"log/kept": b"x", "config/a": b"old"})
    answer = host.begin(
        release,
        shared=("log/",),
        files=(ReleaseFile("config/a", b"new"), ReleaseFile("b c/d", b"")),
    )
    folder = host.root / "releases" / release.folder

    assert answer.staged
    assert (folder / "log").is_symlink()
    assert (folder / "config/a").read_bytes() == b"new"
    assert (folder / "b c/d").read_bytes() == b""


def test_once_hooks_run_in_a_phase_of_their_own(host: Host) -> None:
    """A phase with another name runs its hooks once, before the drain or after the verdict."""
    host.begin(ONE)
    before = Job(steps=(host.hook("once-before", ONE),))
    host.run("once", before)
    host.run("once", before)
    host.call(script.drain(host.caller))
    host.run("activate", host.activate_job(ONE))
    host.call(script.settle(host.caller, "verified", keep=5))
    after = Job(steps=(host.hook("once-after", ONE),))

    assert host.run("once", after).outcome(after.names) == "done"
    assert (host.count("once-before"), host.count("once-after")) == (1, 1)


def test_old_scope_has_the_old_variables(host: Host) -> None:
    """`stop` runs in the old release's folder, with the old release's variables and no others."""
    host.deploy(ONE, 1)
    host.caller = host.deployment(2)
    host.begin(TWO)
    job = Job(
        steps=(
            Hook("stop", "env; pwd", ONE.folder, "old"),
            Hook("start", "env; pwd", TWO.folder),
        ),
        new={"WHICH": "new", "SECRET": "s"},
        old={"WHICH": "old"},
    )
    answer = host.run("activate", job)
    stop = answer.steps["stop"].output.decode().split("\n")
    start = answer.steps["start"].output.decode().split("\n")
    own = {"PATH", "HOME", "USER", "LANG", "APOLLO_STEP", "PWD", "SHLVL", "_", "OLDPWD"}

    assert "WHICH=old" in stop
    assert "WHICH=new" in start
    assert stop[-2].endswith(ONE.folder)
    assert {line.split("=")[0] for line in stop if "=" in line} - own == {"WHICH"}


def test_packing_is_reproducible() -> None:
    """The tests' own archives have one digest."""
    assert pack({"a": b"b"}) == pack({"a": b"b"})
