"""How alarms are read: quiet, firing, or unreadable, and never quiet for want of an answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from apollo.alarms import AlarmReader
from apollo.alarms.documents import Unreadable
from apollo.alarms.judging import judge_document, judge_series
from apollo.domain.alarms import Alarm, HttpAlarm, Reading, Standing
from apollo.hosts.secrets import ReferenceSecrets
from tests.support.prometheus import PrometheusServer
from tests.support.stage import until

READER = AlarmReader(
    ReferenceSecrets(("env:APOLLO_SECRET_",)),
    allowed_commands=("sh", "true", "true/", "true;"),
    pause=0.01,
)


@dataclass
class Web:
    """A server that answers with what a test has put there, in order; the last holds on."""

    answers: list[bytes] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    url: str = ""

    def say(self, *bodies: Any, status: int = 200) -> None:
        self.answers = [
            b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (status, len(raw), raw)
            for body in bodies
            for raw in [body if isinstance(body, bytes) else json.dumps(body).encode()]
        ]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        await writer.drain()
        writer.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    web = Web()
    server = await asyncio.start_server(web.answer, "127.0.0.1", 0)
    web.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield web
    server.close()


def document(web: Web, **more: Any) -> Alarm:
    http = {"url": f"{web.url}/status", "json": "checks.0.state", "expect": ["ok", "warn"], **more}
    return Alarm.model_validate({"name": "status", "http": http})


def prometheus(url: str, query: str) -> Alarm:
    return Alarm.model_validate({"name": "errors", "prometheus": {"url": url, "query": query}})


def command(run: str, **more: Any) -> Alarm:
    return Alarm.model_validate({"name": "probe", "command": {"run": run, **more}})


async def test_a_real_prometheus(tmp_path: Path, program: Callable[[str], str]) -> None:
    """Quiet, firing, a query that is wrong, and no Prometheus any more."""
    program("prometheus")
    async with PrometheusServer(tmp_path) as server:
        server.metrics = {"errors": 0.5}
        await until(lambda: server.has("errors"), "it is scraped")
        port = server.url
        quiet = await READER(prometheus(port, "errors > 1"))
        firing = await READER(prometheus(f"{port}/", "errors > 0.1"))
        wrong = await READER(prometheus(port, "errors >"))
        matrix = await READER(prometheus(port, "errors[1m]"))
        scalar = await READER(prometheus(port, "scalar(errors)"))
        await server.stop()
        gone = await READER(prometheus(port, "errors > 0.1"))
    assert quiet == Reading(alarm="errors", standing="quiet")
    assert firing.standing == "firing"
    assert firing.says.startswith('errors{instance="127.0.0.1:')
    assert firing.says.endswith('", job="shop"} is 0.5')
    assert (wrong.standing, wrong.says[:32]) == ("unreadable", "Prometheus says: invalid paramet")
    assert matrix.says == "the query gives a matrix, expected a vector"
    assert (scalar.standing, scalar.says) == ("firing", "it is 0.5")
    assert (gone.standing, gone.says[:12]) == ("unreadable", "ConnectError")


@pytest.mark.parametrize(
    ("found", "standing", "says"),
    [
        ({"checks": [{"state": "ok"}]}, "quiet", ""),
        ({"checks": [{"state": "warn"}]}, "quiet", ""),
        ({"checks": [{"state": "down"}]}, "firing", "checks.0.state is down, expected ok or warn"),
        ({"checks": [{"state": None}]}, "firing", "checks.0.state is null, expected ok or warn"),
        ({"checks": []}, "unreadable", "checks.0.state is not in the document"),
        ({"checks": [{"state": {}}]}, "unreadable", "checks.0.state is a mapping"),
        (b"<html>", "unreadable", "it answered 200 and no JSON"),
        (b"[" * 100_000, "unreadable", "it answered 200 and no JSON"),
        (b'"' + b"x" * 2_000_000 + b'"', "unreadable", "it answered more than 1048576 bytes"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_document(web: Web, found: Any, standing: Standing, says: str) -> None:
    web.say(found)
    assert await READER(document(web)) == Reading(alarm="status", standing=standing, says=says)


async def test_two_lost_answers_are_no_reason_to_hold_anything(web: Web) -> None:
    """Three are."""
    good = {"checks": [{"state": "ok"}]}
    web.say(b"", b"", good)
    assert (await READER(document(web))).standing == "quiet"
    web.say(b"", b"", b"", good)
    assert (await READER(document(web))).standing == "unreadable"


async def test_a_bad_status_is_no_answer(web: Web) -> None:
    web.say({"checks": [{"state": "ok"}]}, status=503)
    assert (await READER(document(web))).says == "it answered 503"


async def test_its_token_is_a_reference_and_is_in_no_reading(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APOLLO_SECRET_TOKEN", "hunter2-dont-look")
    web.say({"checks": [{"state": "down"}]})
    reading = await READER(document(web, token="env:APOLLO_SECRET_TOKEN"))
    assert b"Authorization: Bearer hunter2-dont-look\r\n" in web.asked[0]
    assert "hunter2" not in reading.model_dump_json()
    refused = await READER(document(web, token="env:HOME"))
    assert refused.standing == "unreadable"
    assert "APOLLO_ALLOW_SECRETS" in refused.says
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("run", "standing", "says"),
    [
        ("true", "quiet", ""),
        ("sh -c 'echo fine; exit 0'", "quiet", ""),
        ("sh -c 'echo a; echo 3 errors; exit 1'", "firing", "3 errors"),
        ("sh -c 'exit 1'", "firing", "exit code 1"),
        ("sh -c 'echo oops >&2; exit 2'", "unreadable", "exit code 2, expected 0 or 1: oops"),
        ("true/no-such-file", "unreadable", "it cannot be run: [Errno 2]"),
        ("sh -c 'unclosed", "unreadable", "it cannot be run: No closing quotation"),
        ("true; sh -c 'exit 1'", "unreadable", "it cannot be run: [Errno 2]"),
        ("sh -c 'head -c 9000000 /dev/zero | tr \"\\0\" x; exit 1'", "firing", "xxxx"),
    ],
)
async def test_a_command(run: str, standing: str, says: str) -> None:
    reading = await READER(command(run))
    assert reading.standing == standing
    assert reading.says.startswith(says)
    assert len(reading.text) < 400


async def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    run = f"sh -c 'sleep 300 & echo $! >{tmp_path}/pid; wait'"
    reader = AlarmReader(ReferenceSecrets(()), ("sh ",), pause=0)
    reading = await reader(command(run, timeout="500ms"))
    assert (reading.standing, reading.says) == ("unreadable", "it ran past 0.5 s")
    pid = int((tmp_path / "pid").read_text())

    def state() -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return "gone"

    await until(lambda: state() in ("gone", "Z"), "what it started is gone")


async def test_a_command_that_the_worker_does_not_allow_is_not_run(tmp_path: Path) -> None:
    """The control is the reader that does."""
    ran, run = tmp_path / "ran", f"touch {tmp_path}/ran"
    refused = await AlarmReader(ReferenceSecrets(()), ())(command(run))
    assert not ran.exists()
    assert (refused.standing, "APOLLO_ALLOW_COMMANDS" in refused.says) == ("unreadable", True)
    assert (await AlarmReader(ReferenceSecrets(()), ("touch ",))(command(run))).standing == "quiet"
    assert ran.exists()


@pytest.mark.parametrize("run", ["/opt/bin/../../bin/sh -c true", "/opt/bin2/x", "truer", "tru"])
async def test_a_command_that_only_begins_like_an_allowed_one_is_not_run(run: str) -> None:
    reading = await AlarmReader(ReferenceSecrets(()), ("/opt/bin/", "true"))(command(run))
    assert "may not run it" in reading.says


@pytest.mark.parametrize(
    "nonsense",
    [None, [], {}, {"status": "success"}, {"status": "success", "data": {"result": []}}, "x"],
)
def test_what_is_no_answer_of_prometheus_is_not_quiet(nonsense: Any) -> None:
    with pytest.raises(Unreadable):
        judge_series(nonsense)


def test_series_are_named_but_not_all() -> None:
    series = [{"metric": {"host": f"web{n}"}, "value": [0, str(n)]} for n in range(5)]
    answer = {"status": "success", "data": {"resultType": "vector", "result": series}}
    assert judge_series(answer) == (
        '{host="web0"} is 0, {host="web1"} is 1, {host="web2"} is 2 and 2 more'
    )


@pytest.mark.parametrize(("value", "expect"), [(True, "true"), (3, "3"), (0.5, "0.5"), ("x", "x")])
def test_plain_values_are_compared_as_users_write_them(value: Any, expect: str) -> None:
    alarm = HttpAlarm.model_validate({"url": "http://x", "json": "a", "expect": expect})
    assert judge_document({"a": value}, alarm) == ""
    assert judge_document({"a": "other"}, alarm) == f"a is other, expected {expect}"
