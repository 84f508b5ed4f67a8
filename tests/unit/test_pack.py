"""Packing: the same files are the same bytes, and nothing hostile gets in."""

import gzip
import io
import os
import random
import socket
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo.artifacts.pack import pack
from apollo.domain.release import Artifact
from apollo.errors import InvalidFiles, NotFound

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAMES = st.text("ab-.é é", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    st.tuples(st.binary(max_size=40), st.booleans()),
    min_size=1,
    max_size=6,
)


def _write(folder: Path, tree: dict[str, str]) -> Path:
    for path, content in tree.items():
        at = folder / path
        at.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            at.symlink_to(content.removeprefix("-> "))
        else:
            at.write_text(content, encoding="utf-8")
            at.chmod(0o755 if content.startswith("#!") else 0o644)
    return folder


def _names(packed: Path) -> list[str]:
    with tarfile.open(packed) as archive:
        return archive.getnames()


def _tar(file: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


SMALL = {
    "bin/start": "#!/bin/sh\n",
    "app/main.py": "print()\n",
    "app/main.pyc": "compiled",
    "current.py": "-> app/main.py",
    ".git/HEAD": "ref",
    "vendor/.git": "gitdir: ..",
    "vendor/lib": "content",
}


def test_a_folder_is_packed_with_nothing_of_its_time_and_place(tmp_path: Path) -> None:
    source = _write(tmp_path / "dist", SMALL)
    (source / "empty").mkdir(mode=0o700)
    artifact = pack(source, tmp_path / "out" / "shop.tar.gz", ["*.pyc"])
    packed = tmp_path / "out" / "shop.tar.gz"

    with tarfile.open(packed) as archive:
        members = {member.name: member for member in archive}
    assert list(members) == [
        "app",
        "app/main.py",
        "bin",
        "bin/start",
        "current.py",
        "empty",
        "vendor",
        "vendor/lib",
    ]
    assert {(0, 0, 0, "", "")} == {
        (m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members.values()
    }
    assert (
        members["bin/start"].mode,
        members["app/main.py"].mode,
        members["empty"].mode,
        members["current.py"].linkname,
    ) == (0o755, 0o644, 0o755, "app/main.py")
    assert packed.read_bytes()[4:8] == b"\0\0\0\0"
    assert artifact.sha256 == sha256(packed.read_bytes()).hexdigest()
    assert artifact.size == packed.stat().st_size
    assert os.listdir(tmp_path / "out") == ["shop.tar.gz"]


@settings(max_examples=40, deadline=None)
@given(tree=TREES, order=st.randoms(use_true_random=False))
def test_packing_is_reproducible(
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[tuple[str, ...], tuple[bytes, bool]],
    order: random.Random,
) -> None:
    """Whatever the order of the files, their times and the umask."""
    paths = [
        path for path in tree if not any(path[:length] in tree for length in range(1, len(path)))
    ]
    folder = tmp_path_factory.mktemp("packs")
    packed = []
    for number, umask in enumerate((0o022, 0o077, 0o000)):
        top = folder / str(number)
        order.shuffle(paths)
        before = os.umask(umask)
        try:
            for path in paths:
                content, executable = tree[path]
                at = top.joinpath(*path)
                at.parent.mkdir(parents=True, exist_ok=True)
                at.write_bytes(content)
                at.chmod((0o777 if executable else 0o666) & ~umask)
                os.utime(at, (order.randrange(2**31), order.randrange(2**31)))
            artifact = pack(top, folder / f"{number}.tar.gz")
        finally:
            os.umask(before)
        packed.append((artifact, (folder / f"{number}.tar.gz").read_bytes()))

    assert packed[0] == packed[1] == packed[2]


def test_an_archive_is_packed_as_what_it_holds(tmp_path: Path) -> None:
    source = _write(tmp_path / "dist", SMALL)
    wanted = pack(source, tmp_path / "wanted.tar.gz", ["*.pyc"])
    archives = [tmp_path / "a.tar.gz", tmp_path / "a.tgz", tmp_path / "a.tar", tmp_path / "a.zip"]
    for archive, mode in zip(archives[:3], ("w:gz", "w:gz", "w"), strict=True):
        with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
            for name in sorted(SMALL, reverse=True):
                tar.add(source / name, f"./{name}")
    with zipfile.ZipFile(archives[3], "w") as zipped:
        for name in sorted(SMALL, reverse=True):
            status = (source / name).lstat()
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.external_attr = status.st_mode << 16
            content = SMALL[name].removeprefix("-> ")
            zipped.writestr(info, content, zipfile.ZIP_DEFLATED)

    for name in ("a.tar.zst", "a.tzst"):
        with zstd.open(tmp_path / name, "wb") as packed:
            packed.write(archives[2].read_bytes())
        archives.append(tmp_path / name)

    assert [wanted] * 6 == [pack(a, tmp_path / "out.tar.gz", ["*.pyc"]) for a in archives]
    assert wanted == pack(tmp_path / "wanted.tar.gz", tmp_path / "again.tar.gz")


def test_the_room_that_a_release_takes_is_counted_in_blocks_of_a_disk(tmp_path: Path) -> None:
    source = _write(tmp_path / "dist", {"bin/start": "x", "big": "x" * 4097, "empty": ""})
    artifact = pack(source, tmp_path / "out.tar.gz")

    assert artifact.unpacked == 4096 * (1 + 1 + 2)
    assert artifact.room == artifact.unpacked
    assert artifact.model_copy(update={"unpacked": 0}).room == 3 * artifact.size


def test_an_artifact_of_unknown_room_has_the_digest_it_always_had() -> None:
    old = Artifact(sha256="0" * 64, size=1)

    assert old.model_dump() == {"sha256": "0" * 64, "size": 1}
    assert Artifact.model_validate(old.model_dump()) == old


def test_a_file_is_packed_alone(tmp_path: Path) -> None:
    program = _write(tmp_path, {"shop.jar": "#! a program"}) / "shop.jar"
    pack(program, tmp_path / "out.tar.gz")

    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        assert [(m.name, m.mode) for m in archive] == [("shop.jar", 0o755)]


@pytest.mark.parametrize(
    ("mode", "packed"), [(0o700, 0o755), (0o4711, 0o755), (0o666, 0o644), (0o455, 0o644)]
)
def test_of_a_mode_only_the_owners_right_to_execute_counts(
    tmp_path: Path, mode: int, packed: int
) -> None:
    source = _write(tmp_path / "dist", {"f": "content"})
    (source / "f").chmod(mode)
    pack(source, tmp_path / "out.tar.gz")

    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        assert [member.mode for member in archive] == [packed]


def test_what_is_packed_can_be_unpacked_by_tar(tmp_path: Path) -> None:
    names = [
        "x" * 180 + "/" + "y" * 180,
        "naïve café/ünï",
        "a b\tc",
        b"\xff\xfe".decode("utf-8", "surrogateescape"),
    ]
    source = _write(
        tmp_path / "dist", {**dict.fromkeys(names, "content"), "l" * 150: f"-> {names[0]}"}
    )
    pack(source, tmp_path / "out.tar.gz")
    (tmp_path / "there").mkdir()
    command = ["tar", "-xzof", str(tmp_path / "out.tar.gz"), "-C", str(tmp_path / "there")]
    subprocess.run(command, check=True)

    for name in names:
        assert (tmp_path / "there" / name).read_text(encoding="utf-8") == "content"
    assert (tmp_path / "there" / ("l" * 150)).read_text(encoding="utf-8") == "content"


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["*.pyc"], ["a", "a/b.py", "docs", "docs/deep", "docs/deep/x.md", "docs/x.md"]),
        (["docs/*.md"], ["a", "a/b.py", "a/b.pyc", "docs", "docs/deep"]),
        (["docs/"], ["a", "a/b.py", "a/b.pyc"]),
        (["b.py/"], ["a", "a/b.py", "a/b.pyc", "docs", "docs/deep", "docs/deep/x.md", "docs/x.md"]),
        (["/a/b.py*", "deep"], ["a", "docs", "docs/x.md"]),
        (["**/x.md", "./a"], ["docs", "docs/deep"]),
    ],
)
@pytest.mark.parametrize("archived", [False, True])
def test_patterns_leave_out(
    tmp_path: Path, patterns: list[str], left: list[str], archived: bool
) -> None:
    files = ["a/b.py", "a/b.pyc", "docs/x.md", "docs/deep/x.md"]
    source = _write(tmp_path / "dist", dict.fromkeys([*files, "kept"], "content"))
    if archived:
        with tarfile.open(tmp_path / "dist.tar", "w") as tar:
            tar.add(source, ".")
        source = tmp_path / "dist.tar"
    pack(source, tmp_path / "out.tar.gz", patterns)

    assert [*left, "kept"] == sorted(
        _names(tmp_path / "out.tar.gz"), key=lambda n: (n == "kept", n)
    )


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ([_member("/etc/passwd")], "'/etc/passwd' is an absolute path"),
        ([_member("a/../../b")], "'a/../../b' goes up with `..`"),
        ([_member("dev", tarfile.CHRTYPE)], "'dev' is a device"),
        ([_member("dev", tarfile.BLKTYPE)], "'dev' is a device"),
        ([_member("pipe", tarfile.FIFOTYPE)], "'pipe' is a named pipe"),
        ([_member("./.apollo-manifest.json")], "is a name that Apollo uses itself"),
        ([_member(".apollo-manifest.json/x")], "is a name that Apollo uses itself"),
        ([_member("l", tarfile.SYMTYPE, "/etc")], "'l' is a link to an absolute path: '/etc'"),
        ([_member("l", tarfile.SYMTYPE, "..")], "'l' is a link that leaves the release: '..'"),
        ([_member("a/l", tarfile.SYMTYPE, "../../x")], "'a/l' is a link that leaves the release"),
        (
            [
                _member("p/q/up", tarfile.SYMTYPE, "../.."),
                _member("p/l", tarfile.SYMTYPE, "q/up/.."),
            ],
            "'p/l' is a link that leaves the release",
        ),
        (
            [_member("l", tarfile.SYMTYPE, "m"), _member("m", tarfile.SYMTYPE, "l")],
            "'l' is a link that goes in circles",
        ),
        (
            [_member("l", tarfile.SYMTYPE, "d"), _member("l/x"), _member("d/y")],
            "'l/x' lies beneath 'l', which is a link",
        ),
        ([_member("f"), _member("f/x")], "'f/x' lies beneath 'f', which is a file"),
        ([_member("h", tarfile.LNKTYPE, "/etc/passwd")], "'/etc/passwd' is an absolute path"),
        ([_member("h", tarfile.LNKTYPE, "no")], "'h' is a hard link to 'no', no file of"),
    ],
)
def test_hostile_archives_are_refused(
    tmp_path: Path, members: list[tarfile.TarInfo], complaint: str
) -> None:
    archive = _tar(tmp_path / "a.tar.gz", *((m, b"") for m in [_member("good"), *members]))
    with pytest.raises(InvalidFiles) as caught:
        pack(archive, tmp_path / "out.tar.gz")

    assert complaint in caught.value.message
    assert caught.value.message.startswith(str(archive))
    assert os.listdir(tmp_path) == ["a.tar.gz"]


@pytest.mark.parametrize(
    ("name", "mode", "complaint"),
    [
        ("/etc/passwd", stat.S_IFREG, "is an absolute path"),
        ("../x", stat.S_IFREG, "goes up with `..`"),
        ("pipe", stat.S_IFIFO, "is a named pipe"),
        ("link", stat.S_IFLNK, "is a link to an absolute path: '/etc'"),
    ],
)
def test_hostile_zips_are_refused(tmp_path: Path, name: str, mode: int, complaint: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good", "content")
        info = zipfile.ZipInfo(name)
        info.external_attr = (mode | 0o644) << 16
        archive.writestr(info, "/etc")
    with pytest.raises(InvalidFiles, match=complaint):
        pack(tmp_path / "a.zip", tmp_path / "out.tar.gz")


def _pipe(at: Path) -> None:
    os.mkfifo(at)


def _socket(at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(at))


def _link_out(at: Path) -> None:
    at.symlink_to("../../secret")


def _reserved(at: Path) -> None:
    (at.parent / ".apollo-manifest.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (_pipe, "'x' is a named pipe"),
        (_socket, "'x' is a socket"),
        (_link_out, "'x' is a link that leaves the release: '../../secret'"),
        (_reserved, "'.apollo-manifest.json' is a name that Apollo uses itself"),
    ],
)
def test_hostile_folders_are_refused(
    tmp_path: Path, make: Callable[[Path], None], complaint: str
) -> None:
    source = _write(tmp_path / "dist", {"good": "content"})
    make(source / "x")
    with pytest.raises(InvalidFiles) as caught:
        pack(source, tmp_path / "out.tar.gz")

    assert complaint in caught.value.message
    pack(source, tmp_path / "out.tar.gz", ["x", ".apollo-manifest.json"])
    assert _names(tmp_path / "out.tar.gz") == ["good"]


def test_links_that_stay_within_are_kept(tmp_path: Path) -> None:
    links = {
        "a/up": "-> ../b/file",
        "a/deep/top": "-> ../..",
        "a/through": "-> deep/top/b/file",
        "dangling": "-> made/later",
        "itself": "-> .",
    }
    source = _write(tmp_path / "dist", {"b/file": "content", **links})
    pack(source, tmp_path / "out.tar.gz")

    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        packed = {m.name: f"-> {m.linkname}" for m in archive if m.issym()}
    assert links == packed


def test_hard_links_become_files_and_the_last_of_a_name_holds(tmp_path: Path) -> None:
    archive = _tar(
        tmp_path / "a.tar",
        (_member("f"), b"old"),
        (_member("f"), b"content"),
        (_member("h", tarfile.LNKTYPE, "./f"), b""),
        mode="w",
    )
    pack(archive, tmp_path / "out.tar.gz")

    with tarfile.open(tmp_path / "out.tar.gz") as packed:
        found = {m.name: packed.extractfile(m) for m in packed}
        assert {n: f.read() for n, f in found.items() if f} == {"f": b"content", "h": b"content"}


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.zst", "a.zip"])
def test_damaged_archives_are_refused(tmp_path: Path, name: str) -> None:
    source = _write(tmp_path / "dist", {"f": "content" * 5000, "g": "-> f"})
    (source / "r").write_bytes(random.Random(1).randbytes(200_000))
    if name.endswith("zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.write(source / "r", "r")
    elif name.endswith("zst"):
        pack(source, tmp_path / "plain.tar.gz")
        plain = gzip.decompress((tmp_path / "plain.tar.gz").read_bytes())
        checked = {int(zstd.CompressionParameter.checksum_flag): 1}
        (tmp_path / name).write_bytes(zstd.compress(plain, options=checked))
    else:
        pack(source, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    for damaged in (whole[:middle], flipped, b"", b"no archive"):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(InvalidFiles, match="cannot be read"):
            pack(tmp_path / name, tmp_path / "out.tar.gz")

    assert not (tmp_path / "out.tar.gz").exists()


def test_nothing_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing to pack at"):
        pack(tmp_path / "dist", tmp_path / "out.tar.gz")
    (tmp_path / "dist" / "folder").mkdir(parents=True)
    with pytest.raises(InvalidFiles, match="holds no file to deploy"):
        pack(tmp_path / "dist", tmp_path / "out.tar.gz")
    _write(tmp_path / "dist", {"f": "content"})
    for inside in (tmp_path / "dist" / "out.tar.gz", tmp_path / "dist"):
        with pytest.raises(InvalidFiles, match="lies in what is packed"):
            pack(tmp_path / "dist", inside)


def test_files_that_change_meanwhile_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _write(tmp_path / "dist", {"log": "line\n"})

    class Shown:
        def __init__(self, size: int) -> None:
            self.st_size = size

    for wrong in (1, 100):
        with monkeypatch.context() as patch:
            patch.setattr("apollo.artifacts.sources.os.fstat", lambda _, size=wrong: Shown(size))
            with pytest.raises(InvalidFiles, match="'log' changed while it was packed"):
                pack(source, tmp_path / "out.tar.gz")


def test_a_large_file_is_streamed(tmp_path: Path) -> None:
    """200 MB of zeros are packed in much less memory."""
    source = tmp_path / "dist"
    source.mkdir()
    with (source / "zeros").open("wb") as file:
        file.truncate(200 << 20)
    script = (
        "import resource, sys; from pathlib import Path; from apollo.artifacts.pack import pack\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "pack(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", script, str(source), str(tmp_path / "out.tar.gz")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert int(done.stdout) < 50 << 10
    with gzip.open(tmp_path / "out.tar.gz") as packed:
        total = sum(map(len, iter(lambda: packed.read(1 << 20), b"")))
    assert total > 200 << 20
