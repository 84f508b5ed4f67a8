"""What hooks print is read while they run: on the real script, and cleaned on the worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.answer import Answer, StepRecord, StepStatus
from apollo.hosts.job import Hook, Job
from apollo.hosts.printed import HELD_BACK, part_of
from apollo.hosts.secrets import REDACTED
from tests.hosts.script_host import SHELLS, Host, Release, eventually

ONE = Release("1")
SECRET = "hunter2-hunter2"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A host with an empty root."""
    host = Host(tmp_path, request.param)
    yield host
    host.close()


def read(host: Host, seen: dict[str, int] | None = None, poll: int = 0) -> Answer:
    turn = 1 if seen else None
    command = script.printed(
        str(host.root), host.caller.deployment, turn, seen, poll=poll, shell=host.shell
    )
    return host.call(command)


def test_what_came_since_is_read_while_the_hook_runs(host: Host) -> None:
    """Each byte once; also when nobody has brought the script, or the turn has not begun."""
    assert read(host).steps == {}
    host.begin(ONE)
    text = f"echo one; : >{host.gate}/at.start; while [ -e {host.gate}/start ]; do sleep 0.05; done"
    job = Job(steps=(Hook("start", f"{text}; echo two", ONE.folder),))
    host.hold("start")
    connection = host.connection(script.run(host.caller, "activate", job))
    host.reached("start")
    first = read(host)
    nothing = read(host, {"start": 4}, poll=1)
    other = host.call(script.printed(str(host.root), "another", shell=host.shell))
    host.release("start")
    connection.communicate()
    rest = read(host, {"start": 4})

    assert (first.turn, first.running, first.manifest) == (1, "activate", None)
    assert first.new_manifest == ONE.manifest
    assert first.steps["start"].status is StepStatus.RUNNING
    assert (first.steps["start"].output, first.steps["start"].cut) == (b"one\n", 0)
    assert (nothing.steps["start"].output, nothing.steps["start"].cut) == (b"", 4)
    assert other.steps == {}
    assert (rest.steps["start"].output, rest.steps["start"].cut) == (b"two\n", 4)
    assert (rest.steps["start"].exit, rest.running) == (0, None)


def test_whoever_waits_hears_of_what_comes(host: Host) -> None:
    """The answer comes with the first new byte, not when the wait is over."""
    host.begin(ONE)
    run = f"echo one; while [ ! -e {host.gate}/go ]; do sleep 0.05; done; echo two; sleep 300"
    job = Job(steps=(Hook("start", run, ONE.folder),))
    host.call(script.run(host.caller, "activate", job, poll=0))
    eventually(lambda: "start" in read(host).steps and read(host).steps["start"].output != b"")
    command = script.printed(
        str(host.root), host.caller.deployment, 1, {"start": 4}, poll=300, shell=host.shell
    )
    waiting = host.connection(command)
    (host.gate / "go").touch()
    output, _ = waiting.communicate(timeout=60)

    assert b"apollo:" in output
    assert read(host, {"start": 4}).steps["start"].output == b"two\n"


def test_of_very_much_only_the_end_is_read(host: Host) -> None:
    host.begin(ONE)
    run = "head -c 200000 /dev/zero | tr '\\0' x; echo; echo the end"
    host.run("activate", Job(steps=(Hook("start", run, ONE.folder),)))
    record = read(host).steps["start"]
    again = read(host, {"start": 200000}).steps["start"]

    assert record.output.endswith(b"x\nthe end\n")
    assert (len(record.output), record.cut) == (65536, 200009 - 65536)
    assert again.output == b"\nthe end\n"


def step(output: bytes, *, begin: int = 0, running: bool = True) -> StepRecord:
    status = StepStatus.RUNNING if running else StepStatus.ENDED
    return StepRecord("start", status, cut=begin, size=len(output), output=output)


def test_a_line_without_an_end_waits_for_it() -> None:
    """Or the beginning of a secret would be shown; at the hook's end it is shown."""
    part = part_of(step(b"one\ntwo hunter2-"), 0, [SECRET])
    ended = part_of(step(b"two hunter2-hunter2", begin=4, running=False), 4, [SECRET])

    assert (part.text, part.begin, part.end) == ("one\n", 0, 4)
    assert (ended.text, ended.end) == (f"two {REDACTED}", 23)


@pytest.mark.parametrize("cut", range(1, len(SECRET)))
def test_a_very_long_line_is_shown_without_the_beginning_of_a_secret(cut: int) -> None:
    output = b"x" * (HELD_BACK + 100) + SECRET[:cut].encode()
    part = part_of(step(output), 0, [SECRET])
    rest = part_of(
        step((output + SECRET[cut:].encode())[part.end :], begin=part.end), part.end, [SECRET]
    )

    assert "h" not in part.text
    assert (part.end + len(SECRET) - 1, rest.text) == (len(output), "")


def test_where_some_is_missing_nothing_begins_within_a_secret() -> None:
    """The control: where nothing is missing, all of it is shown."""
    output = b"ter2-hunter2\n" + b"-" * 20 + b"\n"

    assert "ter2" not in part_of(step(output, begin=500), 100, [SECRET]).text
    assert "ter2" in part_of(step(output, begin=500), 500, [SECRET]).text
