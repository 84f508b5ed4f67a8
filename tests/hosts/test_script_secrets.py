"""What hooks print of secrets does not stay on the host."""

import base64
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.answer import Answer
from apollo.hosts.job import Job
from tests.hosts.script_host import SHELLS, Host, Release, eventually

ONE = Release("1")
ODD = r"a.*[b]^$/\&-{x}"
LINES = "pem-begins-here\npem-ends-here\nx"
VALUES = {"PASSWORD": "hunter2-dont-look", "ODD": ODD, "PEM": LINES}
PRINTED = [b"hunter2-dont-look", ODD.encode(), b"pem-begins-here", b"pem-ends-here"]


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path, request.param)
    yield host
    host.close()


def leaks(host: Host) -> set[bytes]:
    """The values that are anywhere below the root."""
    files = [path.read_bytes() for path in host.root.rglob("*") if path.is_file()]
    return {value for value in PRINTED if any(value in content for content in files)}


def run(host: Host, text: str, *, hide: bool = True) -> Answer:
    secrets = tuple(VALUES.values()) if hide else ()
    job = Job(steps=(host.hook("start", ONE, text),), new=VALUES, secrets=secrets)
    host.begin(ONE, new=VALUES)
    host.call(script.drain(host.caller, "ready"))
    return host.run("activate", job)


SAY = 'echo "is $PASSWORD, $PASSWORD!"; echo "<$ODD>"; echo "$PEM"; printf "\\377\\000x\\n"; exit 3'


def test_values_are_taken_out_of_what_was_printed(host: Host) -> None:
    answer = run(host, SAY)

    assert leaks(host) == set()
    step = answer.steps["start"]
    assert step.exit == 3
    said = step.output.splitlines()
    assert said[0] == b"is [redacted], [redacted]!"
    assert said[1:4] == [b"<[redacted]>", b"[redacted]", b"[redacted]"]
    assert said[4] == b"x"
    assert said[5].startswith(b"\xff")


def test_the_control_with_nothing_hidden_they_are_there(host: Host) -> None:
    run(host, SAY, hide=False)

    assert leaks(host) == set(PRINTED)


def test_output_without_values_stays_as_it_is(host: Host) -> None:
    answer = run(host, 'printf "\\000\\001 plain \\033[31m\\n"')

    assert answer.steps["start"].output == b"\x00\x01 plain \x1b[31m\n"


def test_a_cut_leaves_no_half_of_a_value(host: Host) -> None:
    """The output is trimmed above 16 MiB, and the cut falls into a value."""
    long = base64.b64encode(bytes(range(256)) * 6).decode()
    text = 'i=0; while [ $i -lt 9000 ]; do echo "$LONG"; i=$((i+1)); done'
    job = Job(
        steps=(host.hook("start", ONE, text),),
        new={"LONG": long},
        secrets=(long,),
    )
    host.begin(ONE)
    host.call(script.drain(host.caller, "ready"))
    host.run("activate", job)

    output = (host.journal() / "out.start").read_bytes()
    assert (host.journal() / "cut.start").exists()
    assert b"[redacted]" in output
    assert output.replace(b"[redacted]", b"").strip() == b""


def test_what_a_lost_runner_left_is_cleaned_by_the_next(host: Host) -> None:
    host.begin(ONE, new=VALUES)
    host.call(script.drain(host.caller, "ready"))
    gate = f"while [ -e {host.gate}/later ]; do sleep 0.05; done"
    text = f'echo "$PASSWORD"; : >{host.gate}/said; {gate}'
    hook = host.hook("start", ONE, text)
    job = Job(steps=(hook,), new=VALUES, secrets=tuple(VALUES.values()))
    (host.gate / "later").touch()
    connection = host.connection(script.run(host.caller, "activate", job))
    eventually(lambda: (host.gate / "said").exists())
    os.killpg(connection.pid, signal.SIGKILL)
    connection.communicate()
    host.kill_runner()
    assert leaks(host) == {PRINTED[0]}

    answer = host.run("activate", job)
    assert answer.steps["start"].status == "lost"
    host.run("revert", Job(secrets=job.secrets))
    assert leaks(host) == set()
