"""The last part of a turn, put back by hand: Temporal, catalog and workers are gone."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.answer import Status, Verdict
from apollo.hosts.job import Job, Kill, Switch, encode
from tests.hosts.script_host import SHELLS, Host, Release, next_attempt

ONE, TWO = Release("1"), Release("2")
SECRET = 'it\'s "so" $HOME `x` \\ secret'


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A host that serves ONE, and whose turn to TWO has drained it."""
    host = Host(tmp_path, request.param)
    host.deploy(ONE, 1)
    (host.root / "online").touch()
    host.caller = host.deployment(2)
    host.begin(TWO)
    drained = script.drain(host.caller, "web ready", offline="online", by_hand=by_hand(host))
    assert host.call(drained).error is None
    host.log.unlink()
    yield host
    host.close()


def by_hand(host: Host, *, secrets: str = "", env_file: bool = False, undo: str = ":") -> bytes:
    """The job that the drain carries."""
    steps = (
        host.hook("undo-stop", TWO),
        Kill(),
        Switch("undo-switch", ONE.folder),
        host.hook("undo-start", ONE, undo, scope="old"),
    )
    lines = ["hand shop/prod#2 " + encode("online") + " file", "only-begun"]
    if secrets:
        lines += [f"secrets old {secrets}", "hide"]
    job = Job(steps=steps, env_file=("env", b'PORT="8080"\n') if env_file else None)
    return "".join(f"{line}\n" for line in lines).encode() + job.encode()


def typed(host: Host, word: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """What a person types on the host, and sees."""
    done = subprocess.run(
        [*host.shell.split(), str(host.meta / "apollo"), word],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], **(env or {})},
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def in_the_middle(host: Host, run: str = "exit 3") -> None:
    """The turn's `start` has failed, and nobody comes to put the host back."""
    host.run("activate", host.activate_job(TWO, old=ONE, run=run))


def rows(text: str) -> dict[str, str]:
    """The words at the beginning of lines, and what stands after them."""
    return {line[:11].strip(): line[12:] for line in text.splitlines() if line[:1] != " "}


def test_a_host_says_how_it_stands(host: Host) -> None:
    in_the_middle(host, "echo no database; exit 3")
    code, text = typed(host, "status")
    shown = rows(text)

    assert code == 0
    assert shown["root"].startswith(f"{host.root} belongs to shop/prod")
    assert shown["runs"].startswith("2 (releases/")
    assert shown["last turn"] == "shop/prod#2, turn 1: unfinished"
    assert shown["start"] == "exit 3"
    assert "  | no database" in text
    assert shown["at work"] == "nobody"
    assert shown["balancer"] == "the file online is away; found before the turn: there"
    assert f"sh {host.root}/.apollo/apollo put-back (to 1)" in shown["next"]


def test_what_was_put_back_by_hand_is_what_the_next_attempt_reports(host: Host) -> None:
    in_the_middle(host)
    code, text = typed(host, "put-back")
    again = typed(host, "put-back")
    shown = rows(typed(host, "status")[1])
    host.caller = next_attempt(host.caller)
    begun = host.begin(TWO)

    assert (code, host.current()) == (0, ONE.folder), text
    assert host.log.read_text().split() == ["stop", "start", "undo-stop", "undo-start"]
    assert (host.root / "online").exists()
    assert again == (1, "Nothing to put back: no turn is unfinished here.\n")
    assert shown["runs"].startswith("1, serving since")
    assert " reverted, by hand at " in shown["last turn"]
    assert begun.verdict is Verdict.REVERTED
    assert begun.state.status is Status.SERVING
    assert begun.state.manifest_digest == ONE.digest
    assert begun.by_hand
    assert (begun.by_hand.who, begun.by_hand.before) == ("root", False)


def test_the_next_deployment_reports_it_once(host: Host) -> None:
    """Whose turn then changes the host: all its answers say so, and the deployment after is new."""
    in_the_middle(host)
    typed(host, "put-back")
    host.caller = host.deployment(3)
    begun = host.begin(TWO)
    drained = host.call(script.drain(host.caller, "ready"))
    host.deploy(ONE, 4)
    last = host.call(script.look(str(host.root)))

    assert begun.by_hand
    assert begun.by_hand.before
    assert drained.by_hand == begun.by_hand
    assert last.by_hand is None


def test_a_start_that_never_began_is_not_stopped(host: Host) -> None:
    code, text = typed(host, "put-back")

    assert code == 0, text
    assert host.log.read_text().split() == ["undo-start"]


def test_not_while_a_runner_works(host: Host) -> None:
    host.hold("start")
    connection = host.connection(script.run(host.caller, "activate", host.activate_job(TWO)))
    host.reached("start")
    refused = typed(host, "put-back")
    shown = rows(typed(host, "status")[1])
    host.release("start")
    connection.communicate()

    assert refused == (1, "A runner is at work in activate: wait for it, then look again.\n")
    assert shown["at work"] == "a runner, in activate"
    assert host.count("undo-start") == 0


def test_nothing_goes_forward_after_it_was_decided_by_hand(host: Host) -> None:
    """A worker that was only away finds the decision, and cannot verify any more."""
    in_the_middle(host, ":")
    typed(host, "put-back")
    forward = host.run("activate", host.activate_job(TWO))
    settled = host.call(script.settle(host.caller, "verified", keep=5))

    assert forward.error
    assert forward.error.code == "Reverting"
    assert settled.error
    assert settled.error.code == "Settled"


def test_one_that_fails_is_begun_anew_when_it_is_typed_again(host: Host) -> None:
    in_the_middle(host)
    mended = host.root / "mended"
    (host.journal() / "put-back").write_bytes(by_hand(host, undo=f"[ -e {mended} ]"))
    code, text = typed(host, "put-back")
    state = host.call(script.look(str(host.root)))
    mended.touch()
    again, _ = typed(host, "put-back")

    assert (code, again) == (1, 0)
    assert "undo-start  exit 1" in text
    assert "It is not put back. Mend what failed" in text
    assert state.state.status is Status.CHANGING
    assert state.reverting
    assert host.count("undo-start") == 2


def test_a_broken_host_can_be_put_back(host: Host) -> None:
    in_the_middle(host)
    job = host.revert_job(ONE, TWO)
    host.run("revert", job)
    host.call(script.settle(host.caller, "broken", keep=5))
    host.log.unlink()
    code, text = typed(host, "put-back")
    looked = host.call(script.look(str(host.root)))

    assert code == 0, text
    assert host.log.read_text().split() == ["undo-stop", "undo-start"]
    assert looked.state.status is Status.SERVING
    assert looked.verdict is Verdict.REVERTED


@pytest.mark.parametrize("where", ["environment", "file", "nowhere"])
def test_secrets_come_from_who_types(host: Host, where: str) -> None:
    """They are nowhere in the journal; without them nothing is begun, and the answer names them."""
    in_the_middle(host)
    seen = host.root / "seen"
    job = by_hand(
        host, secrets="PASSWORD", env_file=True, undo=f'printf %s "$PASSWORD" >{seen}; cat {seen}'
    )
    (host.journal() / "put-back").write_bytes(job)
    if where == "file":
        quoted = SECRET.replace("\\", "\\\\").replace('"', '\\"')
        quoted = quoted.replace("$", "\\$").replace("`", "\\`")
        (host.root / "env").write_text(f'PASSWORD="{quoted}"\n')
    code, text = typed(host, "put-back", {"PASSWORD": SECRET} if where == "environment" else {})

    if where == "nowhere":
        assert (code, host.count("undo-start")) == (1, 0)
        assert "export PASSWORD" in text
        return
    assert code == 0, text
    assert seen.read_text() == SECRET
    values = subprocess.run(
        ["sh", "-c", f'. {host.root}/env; printf "%s %s" "$PORT" "$PASSWORD"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert values.stdout == f"8080 {SECRET}"
    kept = [file for file in host.meta.rglob("*") if file.is_file()]
    assert [file for file in kept if SECRET in file.read_text(errors="replace")] == []
    assert (host.journal() / "out.undo-start").read_text() == "[redacted]"


def test_without_an_earlier_release_there_is_nothing_to_put_back(
    host: Host, tmp_path: Path
) -> None:
    fresh = Host(tmp_path / "fresh", host.shell)
    fresh.begin(ONE)
    fresh.call(script.drain(fresh.caller))
    refused = typed(fresh, "put-back")

    assert refused == (1, "Nothing to put back: there is no earlier release.\n")


def test_a_reboot_in_the_middle_of_it_is_gone_on_from(host: Host) -> None:
    in_the_middle(host)
    host.hold("undo-start")
    command = [*host.shell.split(), str(host.meta / "apollo"), "put-back"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as person:
        host.reached("undo-start")
        os.killpg(person.pid, signal.SIGKILL)
        person.communicate()
    host.reboot()
    host.release("undo-start")
    code, text = typed(host, "put-back")

    assert code == 0, text
    assert (host.count("undo-stop"), host.count("undo-start")) == (1, 2)
