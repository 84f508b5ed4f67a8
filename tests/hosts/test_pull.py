"""Hosts fetch artifacts themselves, whatever shell they have; the URL is a secret."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.answer import Answer
from apollo.hosts.job import Job, Source
from tests.hosts.script_host import SHELLS, Host, Release, command_lines, eventually
from tests.support.publisher import Publisher, publish

SECRET = "X-Signature=5ecret5ignature"
ONE = Release("1", files={"noise": random.Random(1).randbytes(400_000)})
SIZE = len(ONE.artifact)


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path, request.param)
    host.install()
    yield host
    host.close()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with all programs of this machine, but one of the two."""
    folders = {"curl": tmp_path_factory.mktemp("curl"), "wget": tmp_path_factory.mktemp("wget")}
    for place in reversed(os.environ["PATH"].split(":")):
        for name in os.listdir(place) if Path(place).is_dir() else ():
            for kept, folder in folders.items():
                if name not in {"curl", "wget"} - {kept}:
                    (folder / name).unlink(missing_ok=True)
                    (folder / name).symlink_to(f"{place}/{name}")
    return folders


@pytest.fixture(params=["curl", "wget"])
def program(
    request: pytest.FixtureRequest,
    host: Host,
    paths: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """What the host has to fetch with."""
    if shutil.which(request.param) is None:
        if request.param in os.environ.get("APOLLO_REQUIRE", ""):
            pytest.fail(f"no {request.param} here, and APOLLO_REQUIRE names it")
        pytest.skip(f"no {request.param} here")
    if request.param == "wget" and "busybox" in host.shell:
        pytest.skip("busybox sh takes its own wget, which wants the URL as a word")
    monkeypatch.setenv("PATH", str(paths[request.param]))
    return str(request.param)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / ONE.sha256).write_bytes(ONE.artifact)
    with publish(folder) as publisher:
        yield publisher


def begin(host: Host, publisher: Publisher, room: int = 1_000_000) -> Answer:
    """Open the turn with a URL to pull from."""
    return host.call(command(host, publisher, room))


def command(host: Host, publisher: Publisher, room: int = 1_000_000) -> script.RemoteCommand:
    source = Source(f"{publisher.url}/{ONE.sha256}?{SECRET}", SIZE, room)
    return script.begin(
        host.caller,
        manifest_digest=ONE.digest,
        folder=ONE.folder,
        artifact_sha256=ONE.sha256,
        job=Job(manifest=ONE.manifest, source=source),
    )


def cached(host: Host) -> list[str]:
    return os.listdir(host.meta / "cache")


def test_a_host_pulls_what_it_lacks(host: Host, publisher: Publisher, program: str) -> None:
    answer = begin(host, publisher)

    assert answer.staged, answer
    assert (answer.need_artifact, answer.pull_failed) == (False, None)
    assert publisher.sent == SIZE
    assert cached(host) == [ONE.sha256]


def test_after_a_cut_it_asks_for_the_rest(host: Host, publisher: Publisher, program: str) -> None:
    publisher.cut_after = SIZE // 2
    answer = begin(host, publisher)

    assert answer.staged, answer
    assert publisher.requests == ["", f"bytes={SIZE // 2}-"]
    assert publisher.sent == SIZE


def test_where_ranges_are_unknown_it_begins_anew(
    host: Host, publisher: Publisher, program: str
) -> None:
    """The control: then more than the rest is sent."""
    publisher.cut_after, publisher.ranges = SIZE // 2, False
    answer = begin(host, publisher)

    assert answer.staged, answer
    assert publisher.sent > SIZE


@pytest.mark.parametrize("wrong", ["403", "other", "more", "gone"])
def test_what_cannot_be_pulled_is_asked_for(
    host: Host, publisher: Publisher, program: str, wrong: str
) -> None:
    """It says why, without the URL, and does not try again in this turn."""
    published = publisher.folder / ONE.sha256
    if wrong == "403":
        publisher.status = 403
    elif wrong == "gone":
        publisher.url = "http://127.0.0.1:1"
    else:
        published.write_bytes(bytes(SIZE) + (b"more" if wrong == "more" else b""))
    first = begin(host, publisher)
    asked = len(publisher.requests)
    second = begin(host, publisher)

    assert first.pull_failed
    assert not first.staged
    assert SECRET not in first.pull_failed
    assert second.need_artifact
    assert len(publisher.requests) == asked
    assert cached(host) == []


def test_without_a_program_that_hides_the_url_it_asks(
    host: Host, publisher: Publisher, paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a host with busybox alone."""
    (paths["wget"] / "own").mkdir(exist_ok=True)
    own = paths["wget"] / "own" / "wget"
    if not own.exists():
        own.write_text("#!/bin/sh\necho BusyBox v1.35.0\n")
        own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{own.parent}:{paths['wget']}")

    assert begin(host, publisher).need_artifact
    assert publisher.requests == []


def test_room_is_looked_for_first(host: Host, publisher: Publisher) -> None:
    answer = begin(host, publisher, room=10**15)

    assert answer.pull_failed
    assert "kB are needed" in answer.pull_failed
    assert publisher.requests == []


def test_the_url_shows_nowhere(host: Host, publisher: Publisher, program: str) -> None:
    """Neither in a process list while it is fetched, nor in a file afterwards."""
    publisher.gate.clear()
    connection = host.connection(command(host, publisher))
    eventually(lambda: bool(publisher.requests))
    shown = [words for _, words in command_lines() if any(program.encode() in w for w in words)]
    lines = b"\n".join(b" ".join(words) for _, words in command_lines())
    publisher.gate.set()
    said, _ = connection.communicate()
    files = [each for each in host.root.rglob("*") if each.is_file()]

    assert shown  # it was looked at while it ran
    assert SECRET.encode() not in lines + said
    assert [each for each in files if SECRET.encode() in each.read_bytes()] == []
    assert (host.meta / "cache" / ONE.sha256) in files


def test_as_a_word_the_url_would_show(publisher: Publisher, program: str) -> None:
    """The control."""
    publisher.gate.clear()
    process = subprocess.Popen(
        [program, "-q", f"{publisher.url}/{ONE.sha256}?{SECRET}"],
        stdout=subprocess.DEVNULL,
        cwd=publisher.folder,
    )
    eventually(lambda: bool(publisher.requests))
    lines = b"\n".join(b" ".join(words) for _, words in command_lines())
    publisher.gate.set()
    process.wait()

    assert SECRET.encode() in lines
