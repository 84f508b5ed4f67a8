"""Health checks of real servers, through real SSH connections; each stands beside a weaker one."""

import asyncio
import os
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apollo.domain.fleet import Host
from apollo.domain.manifest import Manifest
from apollo.domain.release import Artifact
from apollo.domain.setup import Health
from apollo.hosts.health import Checker, soak
from apollo.hosts.session import SshHosts, SshSession
from apollo.ports import Probe, Reach
from apollo.testing.fleet import SshFleet
from tests.support.scene import eventually

Answer = tuple[int, str]
Behaviour = Callable[[dict[str, str], float], Awaitable[Answer]]
"""Headers of a request, and the seconds since the first one, in; what is answered out."""


@asynccontextmanager
async def application(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """An HTTP server that answers as told; its port."""
    first = 0.0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
        first = first or time.monotonic()
        status, body = await behave(
            {name.lower(): value for name, _, value in lines}, time.monotonic() - first
        )
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def certified(folder: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate that nobody signed."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=x",
        "-keyout",
    ]
    subprocess.run([*make, key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def checksum(text: str) -> str:
    done = subprocess.run(["cksum"], input=text, text=True, capture_output=True, check=True)
    return done.stdout.strip()


async def good(headers: dict[str, str], seconds: float) -> Answer:
    return 200, "version 2.0"


@asynccontextmanager
async def connected(folder: Path, **options: Any) -> AsyncIterator[SshSession]:
    async with SshFleet(folder, {"fra1": 1}, **options) as fleet:
        (found,) = fleet.hosts
        host = Host(
            name=found.name,
            location="fra1",
            address=found.address,
            port=found.port,
            user=found.user,
        )
        reach = Reach(host, (found.host_key,), False, "shop", "prod")
        async with SshHosts(key=fleet.client_key).connect(reach) as session:
            yield session


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[SshSession]:
    async with connected(tmp_path / "fleet") as session:
        yield session


def checker(session: SshSession, health: dict[str, Any], root: str = "/", **more: Any) -> Checker:
    manifest = Manifest(
        application="shop",
        environment="prod",
        release="2.0",
        artifact=Artifact(sha256="0" * 64, size=1),
        root=root,
        health=Health.model_validate(health),
    )
    return Checker(session, manifest, "127.0.0.1", **more)


async def ask(session: SshSession, http: dict[str, Any], **more: Any) -> Probe:
    return await checker(session, {"http": http, **more}).ask()


async def test_status_body_and_headers_are_what_is_asked_for(session: SshSession) -> None:
    async def behave(headers: dict[str, str], seconds: float) -> Answer:
        known = headers.get("host") == "shop.example" and headers.get("x-key") == "k"
        return (200, "version 2.0") if known else (404, "who?")

    async with application(behave) as port:
        headers = {"Host": "shop.example", "X-Key": "k"}
        asked = {"port": port, "headers": headers}
        assert (await ask(session, {**asked, "body": "version 2.0"})).good
        assert (await ask(session, {"port": port, "status": 404})).good

        weak, found = await ask(session, asked), await ask(session, {**asked, "body": "3.0"})
        assert weak.good
        assert not found.good
        assert found.found == "an answer without '3.0': 'version 2.0'"
        assert (await ask(session, {"port": port})).found == "status 404, expected 200"


async def test_https_is_spoken_through_the_connection_and_from_the_worker(
    session: SshSession, tmp_path: Path
) -> None:
    async with application(good, certified(tmp_path)) as port:
        asked = {"port": port, "scheme": "https", "body": "version"}
        assert (await ask(session, asked)).good
        assert (await ask(session, asked, **{"from": "worker"})).good
        assert not (await ask(session, {"port": port})).good
    async with application(good) as port:
        plain = {"port": port, "scheme": "https"}
        assert not (await ask(session, plain, timeout="500ms")).good


async def test_where_forwarding_is_off_the_worker_can_ask(tmp_path: Path) -> None:
    async with (
        connected(tmp_path, forwarding=False) as session,
        application(good) as port,
    ):
        refused = await ask(session, {"port": port})
        assert not refused.good
        assert "AllowTcpForwarding" in refused.found
        assert "from: worker" in refused.found
        assert (await ask(session, {"port": port}, **{"from": "worker"})).good
        tcp = {"tcp": {"port": port}}
        assert not (await checker(session, tcp).ask()).good
        assert (await checker(session, {**tcp, "from": "worker"}).ask()).good


async def test_a_slow_answer_is_a_bad_one(session: SshSession) -> None:
    async def slow(headers: dict[str, str], seconds: float) -> Answer:
        await asyncio.sleep(1)
        return 200, ""

    async with application(slow) as port:
        assert (await ask(session, {"port": port}, timeout="20s")).good
        found = await ask(session, {"port": port}, timeout="200ms")
        assert not found.good
        assert found.found == "no answer within 0.2s"


@pytest.mark.parametrize("kind", ["flaps", "dies"])
async def test_one_bad_answer_in_the_soak_is_caught(session: SshSession, kind: str) -> None:
    """A check that is content with its first good answer would let both pass."""
    answers = 0

    async def behave(headers: dict[str, str], seconds: float) -> Answer:
        nonlocal answers
        answers += 1
        bad = answers % 4 == 0 if kind == "flaps" else seconds > 1
        return (503 if bad else 200), ""

    for healthy_for, expected in ((timedelta(0), True), (timedelta(seconds=3), False)):
        async with application(behave) as port:
            asks = checker(session, {"http": {"port": port}})
            verdict = await soak(asks, timedelta(seconds=5), healthy_for=healthy_for)
            assert verdict.healthy is expected
    assert verdict.found


async def test_a_release_that_only_starts_slowly_passes(session: SshSession) -> None:
    async def behave(headers: dict[str, str], seconds: float) -> Answer:
        return (200 if seconds > 1 else 503), ""

    async with application(behave) as port:
        asks = checker(session, {"http": {"port": port}})
        verdict = await soak(asks, timedelta(seconds=60), healthy_for=timedelta(seconds=1))
    assert verdict.healthy


async def test_the_answer_of_an_old_process_is_told_by_its_version(session: SshSession) -> None:
    """The old process still has the port: status alone takes it for the new one."""

    async def old(headers: dict[str, str], seconds: float) -> Answer:
        return 200, "version 1.0"

    async with application(old) as port:
        assert (await ask(session, {"port": port})).good
        assert not (await ask(session, {"port": port, "body": "version 2.0"})).good


# Commands


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "srv" / "releases" / "r").mkdir(parents=True)
    (tmp_path / "srv" / "current").symlink_to("releases/r")
    return tmp_path / "srv"


async def run(session: SshSession, root: Path, command: str, **more: Any) -> Probe:
    health = {"command": command, "timeout": more.pop("timeout", "20s")}
    return await checker(session, health, str(root), **more).ask()


async def test_a_command_runs_in_the_release_with_its_variables(
    session: SshSession, root: Path
) -> None:
    values = {"PORT": "8080", "ODD": 'it\'s $HOME\n"two" lines', "KEY": "hunter22"}
    test = '[ "$PORT" = 8080 ] && [ "$(pwd -P)" = "$(cd releases/r 2>/dev/null; pwd -P)" ]'
    found = await run(session, root, test.replace("cd releases/r", f"cd {root}/releases/r"))
    assert not found.good

    command = test.replace("cd releases/r", f"cd {root}/releases/r")
    found = await run(session, root, command, variables=values)
    assert found.good, found

    odd = 'printf %s "$ODD" | cksum'
    expected = checksum(values["ODD"])
    found = await run(session, root, f"{odd}; exit 3", variables=values)
    assert found.found == f"exit code 3, expected 0: {expected}"

    told = await run(
        session, root, "echo key $KEY; exit 1", variables=values, secrets={"KEY": "hunter22"}
    )
    assert told.found == "exit code 1, expected 0: key [redacted]"
    bare = await run(session, root, "echo key $KEY; exit 1", variables=values)
    assert "hunter22" in bare.found


async def test_a_command_that_hangs_is_ended_with_what_it_started(
    session: SshSession, root: Path
) -> None:
    async def gone() -> bool:
        return str(pid) not in os.listdir("/proc")

    child = "sleep 4711 & echo $! >child; echo waits; wait"
    found = await run(session, root, child, timeout="500ms")
    assert not found.good
    assert found.found == "the command ran past its timeout: waits"
    pid = int((root / "current" / "child").read_text())
    await eventually(gone)


async def test_what_is_cut_does_not_begin_within_a_secret(session: SshSession, root: Path) -> None:
    key = "abcdefghijklmnopqrstuvwxyz"
    values = {"KEY": key}
    for more in range(len(key)):
        text = f'printf "%s%0{1900 + more}d\\n" "$KEY$KEY$KEY$KEY$KEY" 0; exit 1'
        told = await run(session, root, text, variables=values, secrets=values)
        assert not any(key[at : at + 4] in told.found for at in range(len(key) - 3))
        assert told.found.endswith("000")


async def test_what_a_command_says_does_not_pile_up(session: SshSession, root: Path) -> None:
    flood = "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo end; exit 1"
    found = await run(session, root, flood)
    assert found.found == "exit code 1, expected 0: end"
    assert not (await run(session, Path("/nowhere"), "true")).good
