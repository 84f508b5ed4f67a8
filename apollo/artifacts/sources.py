"""What is packed: a folder, a file or an archive, read as entries."""

import gzip
import os
import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Literal

from apollo.artifacts.tree import Entry, Excluded, Readable, clean_path, refusal
from apollo.errors import InvalidFiles, NotFound

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_ZSTD = (".tar.zst", ".tzst")
_TAR = (".tar.gz", ".tgz", ".tar", *_ZSTD)
_KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


@contextmanager
def entries_of(source: Path, exclude: Sequence[str]) -> Iterator[list[Entry]]:
    """What a folder, file or archive holds; entries can be opened until the end.

    Raises:
        NotFound: There is no such folder or file.
        InvalidFiles: It holds something that no release may hold, or is damaged.
    """
    if not source.exists():
        raise NotFound(
            f"nothing to pack at {source}", hint="see release.artifact, and run the build first"
        )
    if source.is_dir():
        yield list(_folder(source, source, Excluded(exclude)))
    elif source.name.endswith(_TAR):
        with _readable(source), TemporaryFile() as spool:
            yield list(_tar(source, spool, Excluded(exclude)))
    elif source.name.endswith(".zip"):
        with _readable(source), zipfile.ZipFile(source) as archive:
            yield list(_zip(source, archive, Excluded(exclude)))
    else:
        yield [_file(source, source.name, str(source.parent))]


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    try:
        yield
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        zstd.ZstdError,
        EOFError,
        gzip.BadGzipFile,
        NotImplementedError,
        RuntimeError,
        UnicodeDecodeError,
    ) as error:
        raise InvalidFiles(
            f"{source} cannot be read: {error}", hint="is it whole, and without a password?"
        ) from error


def _folder(top: Path, folder: Path, excluded: Excluded) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        for each in found:
            at = Path(each.path)
            path = at.relative_to(top).as_posix()
            if excluded(path, folder=each.is_dir(follow_symlinks=False)):
                continue
            if each.is_symlink():
                yield Entry(path, "link", target=os.readlink(at))
            elif each.is_dir():
                yield Entry(path, "folder")
                yield from _folder(top, at, excluded)
            else:
                yield _file(at, path, str(top))


def _file(at: Path, path: str, where: str) -> Entry:
    mode = at.stat().st_mode
    if not stat.S_ISREG(mode):
        raise refusal(where, path, f"is {_KINDS.get(stat.S_IFMT(mode), 'no ordinary file')}")

    @contextmanager
    def opened() -> Iterator[tuple[Readable, int]]:
        # What was a file a moment ago may have become a link or a pipe.
        descriptor = os.open(at, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            yield file, os.fstat(descriptor).st_size

    return Entry(path, "file", executable=_executable(mode), content=opened)


def _tar(source: Path, spool: BinaryIO, excluded: Excluded) -> Iterable[Entry]:
    """Read the archive once, front to back; contents go to the spool, names never to a disk."""
    entries: dict[str, Entry] = {}
    where = str(source)
    with _opened(source) as archive:
        for member in archive:
            path = clean_path(member.name, where)
            if not path or excluded(path, folder=member.isdir()):
                continue
            kind = _kind(member, where)
            if kind == "folder":
                entries[path] = Entry(path, "folder")
            elif kind == "link":
                entries[path] = Entry(path, "link", target=member.linkname)
            elif member.islnk():
                entries[path] = replace(_linked(member, entries, where), path=path)
            else:
                content = archive.extractfile(member)
                assert content is not None
                start = spool.tell()
                shutil.copyfileobj(content, spool)
                part = _Part(spool, start, spool.tell())
                runs = _executable(member.mode)
                entries[path] = Entry(path, "file", executable=runs, content=part.opened)
        # A checksum comes at the very end, behind what tar reads.
        while archive.fileobj.read(1 << 20):
            pass
    return entries.values()


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    if not source.name.endswith(_ZSTD):
        with tarfile.open(source, "r:*") as archive:
            yield archive
        return
    with zstd.open(source, "rb") as plain, tarfile.open(fileobj=plain, mode="r:") as archive:
        yield archive


@dataclass
class _Part:
    """A part of the spool, read from its start whenever it is opened."""

    spool: BinaryIO
    start: int
    end: int
    at: int = 0

    @contextmanager
    def opened(self) -> Iterator[tuple[Readable, int]]:
        self.at = self.start
        yield self, self.end - self.start

    def read(self, size: int, /) -> bytes:
        self.spool.seek(self.at)
        piece = self.spool.read(min(size, self.end - self.at))
        self.at += len(piece)
        return piece


def _kind(member: tarfile.TarInfo, where: str) -> Literal["file", "folder", "link"]:
    if member.isdir():
        return "folder"
    if member.issym():
        return "link"
    if member.isreg() or member.islnk():
        return "file"
    what = "a named pipe" if member.isfifo() else "a device" if member.isdev() else "unknown"
    raise refusal(where, member.name, f"is {what}")


def _linked(member: tarfile.TarInfo, entries: dict[str, Entry], where: str) -> Entry:
    target = entries.get(clean_path(member.linkname, where))
    if target is None or target.kind != "file":
        raise refusal(
            where, member.name, f"is a hard link to {member.linkname!r}, no file of the archive"
        )
    return target


def _zip(source: Path, archive: zipfile.ZipFile, excluded: Excluded) -> Iterable[Entry]:
    entries: dict[str, Entry] = {}
    for member in archive.infolist():
        path = clean_path(member.filename, str(source))
        if path and not excluded(path, folder=member.is_dir()):
            entries[path] = _zipped(source, archive, member, path)
    return entries.values()


def _zipped(source: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str) -> Entry:
    mode = member.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if kind in _KINDS:
        raise refusal(str(source), member.filename, f"is {_KINDS[kind]}")
    if member.is_dir():
        return Entry(path, "folder")
    if kind == stat.S_IFLNK:
        return Entry(path, "link", target=os.fsdecode(archive.read(member)))

    @contextmanager
    def opened() -> Iterator[tuple[Readable, int]]:
        with archive.open(member) as file:
            yield file, member.file_size

    return Entry(path, "file", executable=_executable(mode), content=opened)


def _executable(mode: int) -> bool:
    """Only the owner's bit counts: a umask takes the others away."""
    return bool(mode & stat.S_IXUSR)
