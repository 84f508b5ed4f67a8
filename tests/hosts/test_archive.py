"""Whoever made an archive: nothing of it lands outside the release, or is more than a file."""

import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from apollo.hosts import script
from apollo.hosts.job import Job
from tests.hosts.script_host import SHELLS, Host, Release

FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@dataclass(frozen=True)
class Member:
    """A member of an archive, with a word in it when it is a file."""

    name: str
    kind: bytes = FILE
    target: str = ""
    mode: int = 0o644

    def add(self, archive: tarfile.TarFile) -> None:
        """Add it as it is, whatever it is."""
        info = tarfile.TarInfo(self.name)
        info.type, info.linkname, info.mode = self.kind, self.target, self.mode
        info.uname = "a b"  # an owner may be called anything
        info.devmajor, info.devminor = 1, 3
        info.size = 4 if self.kind == FILE else 0
        archive.addfile(info, io.BytesIO(b"word"))


@dataclass(frozen=True)
class Archive(Release):
    """A release of these members."""

    members: tuple[Member, ...] = ()

    @property
    def artifact(self) -> bytes:
        """The archive, the same each time."""
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for member in self.members:
                member.add(archive)
        return subprocess.run(
            ["gzip", "-nc"], input=raw.getvalue(), check=True, capture_output=True
        ).stdout


# `releases/<folder>` lies five folders beneath the test's own, where `outside` is.
OUT = "../../../../outside"
SAFE = Member("safe")
HOSTILE = {
    "up": (SAFE, Member(f"{OUT}/x")),
    "up-in-the-middle": (SAFE, Member(f"a/../{OUT}/x")),
    "link-up": (SAFE, Member("l", LINK, OUT)),
    "link-absolute": (SAFE, Member("l", LINK, "/tmp")),
    "link-to-itself": (SAFE, Member("l", LINK, "m"), Member("m", LINK, "l")),
    "link-over-link": (Member("d/f"), Member("d/x", LINK, ".."), Member("l", LINK, "d/x/../..")),
    "through-a-link": (Member("l", LINK, OUT), Member("l/x")),
    "through-a-link-inside": (Member("d/f"), Member("l", LINK, "d"), Member("l/x")),
    "through-a-link-by-another-name": (Member("l", LINK, OUT), Member("./l/x")),
    "link-under-a-files-name": (Member("l"), Member("l", LINK, OUT)),
    "two-links-of-a-name": (SAFE, Member("l", LINK, "safe"), Member("l", LINK, OUT)),
    "hard-link": (SAFE, Member("h", HARD, "safe")),
    "hard-link-out": (SAFE, Member("h", HARD, f"{OUT}/there")),
    "device": (SAFE, Member("null", tarfile.CHRTYPE)),
    "pipe": (SAFE, Member("pipe", tarfile.FIFOTYPE)),
    "setuid": (SAFE, Member("s", mode=0o4755)),
    "setgid": (SAFE, Member("s", mode=0o2755)),
    "newline": (SAFE, Member("a\n- b"), Member("l\nl", LINK, OUT)),
}
HARMLESS = {
    "links": (
        Member("a/b/f"),
        Member("l", LINK, "a/b"),
        Member("a/up", LINK, "../l/f"),
        Member("gone", LINK, "a/./nothing//yet"),
    ),
    "names": (
        *(Member(name) for name in ("a b", "-rf", "é", "x -> y", "*", "$(id)", "a\\b", "l.x")),
        Member("l", LINK, "l.x"),
        Member("d", tarfile.DIRTYPE, mode=0o755),
        Member("./e/f"),
    ),
}


@pytest.fixture(params=["tar", "busybox"])
def tar(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which `tar` the host has."""
    if request.param == "busybox":
        busybox = shutil.which("busybox")
        if busybox is None:
            if "busybox" in os.environ.get("APOLLO_REQUIRE", ""):
                pytest.fail("no busybox here, and APOLLO_REQUIRE names it")
            pytest.skip("no busybox here")
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "tar").symlink_to(busybox)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return str(request.param)


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "there").write_text("there")
    host = Host(tmp_path, request.param)
    yield host
    host.close()


def harm(folder: Path, outside: Path) -> list[str]:
    """What is there that must not be: an own look, that asks no tar and no script."""
    found = [] if os.listdir(outside) == ["there"] else ["outside was written"]
    for at in folder.rglob("*"):
        status = at.lstat()
        if at.is_symlink():
            there = os.path.realpath(at)
            if not f"{there}/".startswith(f"{folder.resolve()}/") or there == str(at):
                found.append(f"{at.name} leads to {there}")
        elif stat.S_ISREG(status.st_mode):
            found += [f"{at.name} has another name"] if status.st_nlink > 1 else []
            found += [f"{at.name} is setuid"] if status.st_mode & 0o6000 else []
        elif not at.is_dir():
            found.append(f"{at.name} is no file")
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(host: Host, tar: str, name: str, tmp_path: Path) -> None:
    if name == "device" and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    release = Archive("1", members=HOSTILE[name])
    answer = host.begin(release)

    assert not answer.staged
    unpack = answer.steps["unpack"]
    assert unpack.exit == 1
    assert b"the archive is refused: " in unpack.output, unpack.output
    assert not (host.root / "releases" / release.folder).exists()
    assert harm(host.root, tmp_path / "outside") == []


SLIPS = ("up", "up-in-the-middle", "through-a-link-inside", "link-under-a-files-name", "newline")
"""What GNU tar itself keeps inside, or what is refused for what it may hide."""


@pytest.mark.parametrize("name", sorted({*HOSTILE} - {*SLIPS, "hard-link-out"}))
def test_without_the_look_it_would_have_done_harm(name: str, tmp_path: Path) -> None:
    """The control: tar as it was called before, told nothing of what it must not do."""
    if name == "device" and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    outside, folder = tmp_path / "outside", tmp_path / "srv/shop/releases/1"
    outside.mkdir()
    (outside / "there").write_text("there")
    folder.mkdir(parents=True)
    artifact = Archive("1", members=HOSTILE[name]).artifact
    command = ["tar", "-xzo", "-p", "-C", str(folder)]
    subprocess.run(command, input=artifact, check=False, capture_output=True)

    assert harm(folder, outside) != []


@pytest.mark.parametrize(
    "name", ["up", "through-a-link", "through-a-link-by-another-name", "hard-link-out"]
)
def test_names_would_have_led_outside(name: str, tmp_path: Path) -> None:
    """The control for names: with tar's own guards off too, another folder is written."""
    outside, folder = tmp_path / "outside", tmp_path / "srv/shop/releases/1"
    outside.mkdir()
    (outside / "there").write_text("there")
    folder.mkdir(parents=True)
    artifact = Archive("1", members=HOSTILE[name]).artifact
    command = ["tar", "-xzoP", "-C", str(folder)]
    subprocess.run(command, input=artifact, check=False, capture_output=True)

    wanted = "h has another name" if name == "hard-link-out" else "outside was written"
    assert wanted in harm(folder, outside)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_archive_is_unpacked_as_it_is(host: Host, tar: str, name: str) -> None:
    release = Archive("1", members=HARMLESS[name])
    answer = host.begin(release)

    assert answer.staged, answer.steps["unpack"].output
    folder = host.root / "releases" / release.folder
    for member in release.members:
        at = folder / member.name
        if member.kind == LINK:
            assert os.readlink(at) == member.target
        elif member.kind == FILE:
            assert at.read_text() == "word"


def test_a_damaged_artifact_in_the_cache_is_fetched_again(host: Host) -> None:
    release = Archive("1", members=(SAFE,))
    job = Job(manifest=release.manifest)
    host.begin(Archive("2", members=(SAFE,)))
    cached = host.meta / "cache" / release.sha256
    cached.write_bytes(release.artifact[:-8] + b"\0" * 8)
    host.caller = host.deployment(2)
    answer = host.begin(release)
    again = script.begin(
        host.deployment(3),
        manifest_digest=release.digest,
        folder=release.folder,
        artifact_sha256=release.sha256,
        job=job,
    )

    assert b"damaged" in answer.steps["unpack"].output
    assert host.call(again).need_artifact
