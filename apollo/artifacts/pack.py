"""Packs a release: the same files give the same bytes, wherever and whenever they are packed."""

import gzip
import hashlib
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from apollo.artifacts.sources import entries_of
from apollo.artifacts.store import durable, sync_folder, temporary
from apollo.artifacts.tree import Entry, checked
from apollo.domain.release import Artifact
from apollo.errors import InvalidFiles

_LEVEL = 6
_BLOCK = 4096
"""Bytes that a disk gives out at a time."""
_TYPES = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}


def pack(source: Path, destination: Path, exclude: Sequence[str] = ()) -> Artifact:
    """Pack a folder, a file, an archive (.tar.gz, .tar.zst, .tar, .zip) as a .tar.gz. Blocks.

    Names are sorted, times and owners are left out, and of the modes only whether the owner may
    execute is kept; `.git` is never packed. The destination is written whole or not at all.

    Args:
        source: What to pack. An archive is packed as what it holds.
        destination: The .tar.gz to write; not within the source.
        exclude: Patterns of what is left out: `*.pyc`, `docs/*.md`, `node_modules/`.

    Raises:
        NotFound: There is nothing at the source.
        InvalidFiles: It holds nothing, or what no release may hold: a name that is absolute or
            goes up, a link that leaves the release, a device, a name that Apollo uses itself.
    """
    source, destination = source.resolve(), destination.absolute()
    if source in (destination, *destination.resolve().parents):
        raise InvalidFiles(
            f"{destination} lies in what is packed", hint="write the artifact somewhere else"
        )
    try:
        return _pack(source, destination, exclude)
    except OSError as error:
        raise InvalidFiles(
            f"{error.filename or source} cannot be packed: {error.strerror or error}",
            hint="see that it may be read, and that there is room to write",
        ) from error


def _pack(source: Path, destination: Path, exclude: Sequence[str]) -> Artifact:
    destination.parent.mkdir(parents=True, exist_ok=True)
    with entries_of(source, exclude) as entries:
        tree = checked(entries, str(source))
        with temporary(destination.parent) as (target, part):
            artifact = _write(tree, target, str(source))
            durable(target)
            part.replace(destination)
    sync_folder(destination.parent)
    return artifact


def _write(tree: Sequence[Entry], target: BinaryIO, where: str) -> Artifact:
    hashing = _Hashing(target)
    with (
        gzip.GzipFile("", "wb", _LEVEL, cast(BinaryIO, hashing), mtime=0) as zipped,
        # GNU's format: busybox reads its long names, and no others.
        tarfile.open(
            fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8"
        ) as archive,
    ):
        unpacked = sum(_add(archive, entry, where) for entry in tree)
    return Artifact(sha256=hashing.digest.hexdigest(), size=hashing.size, unpacked=unpacked)


def _add(archive: tarfile.TarFile, entry: Entry, where: str) -> int:
    """Add an entry; how much of a disk it takes, in bytes."""
    header = tarfile.TarInfo(entry.path)
    header.type = _TYPES[entry.kind]
    header.linkname = entry.target
    header.mode = 0o777 if entry.kind == "link" else 0o755
    if entry.content is None:
        archive.addfile(header)
        return _BLOCK
    if not entry.executable:
        header.mode = 0o644
    with entry.content() as (content, header.size):
        try:
            archive.addfile(header, cast(BinaryIO, content))
        except OSError as error:
            if error.errno is not None:
                raise
            raise _changed(entry, where) from error
        if content.read(1):
            raise _changed(entry, where)
    return -(-header.size // _BLOCK) * _BLOCK


def _changed(entry: Entry, where: str) -> InvalidFiles:
    return InvalidFiles(
        f"{where}: {entry.path!r} changed while it was packed",
        hint="pack again when nothing writes there",
    )


class _Hashing:
    """Hashes and counts what is written through it."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._target.write(data)

    def flush(self) -> None:
        self._target.flush()
