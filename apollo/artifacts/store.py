"""Where artifacts and manifests are kept: by their sha256, in a folder."""

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from apollo.domain.release import Artifact
from apollo.errors import NotFound, Unavailable

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 20


class Readable(Protocol):
    """Has content by its sha256. What it gives out is what was put in, or an error."""

    async def get_bytes(self, sha256: str) -> bytes:
        """The content of that digest.

        Raises:
            NotFound: The store does not have it.
            Unavailable: The store cannot be read, or what it holds is damaged.
        """

    async def path(self, sha256: str) -> Path:
        """A local file with the content of that digest; not to be written.

        Raises:
            NotFound: The store does not have it.
            Unavailable: The store cannot be read, or what it holds is damaged.
        """

    async def url(self, sha256: str) -> str | None:
        """Where anybody who knows the address finds the content, if there is such a place."""


class Store(Readable, Protocol):
    """One that can be written, too."""

    async def put_file(self, path: Path) -> Artifact:
        """Keep a file's content.

        Raises:
            Unavailable: The store cannot be written.
        """

    async def put_bytes(self, data: bytes) -> str:
        """Keep these bytes and return their sha256.

        Raises:
            Unavailable: The store cannot be written.
        """

    async def has(self, sha256: str) -> bool:
        """Whether the store has content of that digest."""


class FolderStore:
    """A store in a folder: `ab/abcd…`, each file written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, int, int]] = {}
        """Files whose digest was found right, as they were then."""

    async def put_file(self, path: Path) -> Artifact:
        """Keep a file's content.

        Raises:
            Unavailable: The store cannot be written.
        """
        return await asyncio.to_thread(self._put_file, path)

    async def put_bytes(self, data: bytes) -> str:
        """Keep these bytes and return their sha256.

        Raises:
            Unavailable: The store cannot be written.
        """
        return await asyncio.to_thread(self._put_bytes, data)

    async def get_bytes(self, sha256: str) -> bytes:
        """The content of that digest.

        Raises:
            NotFound: The store does not have it.
            Unavailable: The store cannot be read, or what it holds is damaged.
        """
        return await asyncio.to_thread(self._get_bytes, sha256)

    async def path(self, sha256: str) -> Path:
        """The file with the content of that digest; not to be written.

        Raises:
            NotFound: The store does not have it.
            Unavailable: The store cannot be read, or what it holds is damaged.
        """
        return await asyncio.to_thread(self._checked, sha256)

    async def has(self, sha256: str) -> bool:
        """Whether the store has content of that digest."""
        return await asyncio.to_thread(self._place(sha256).is_file)

    async def url(self, sha256: str) -> str | None:
        """None: the folder knows of no web server."""
        return None

    def _put_file(self, path: Path) -> Artifact:
        with path.open("rb") as source, self._writing(), self._incoming() as (target, part):
            sha256, size = copy(source, target)
            self._keep(part, target, sha256)
        return Artifact(sha256=sha256, size=size)

    def _put_bytes(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        with self._writing():
            if not self._is_whole(sha256):
                with self._incoming() as (target, part):
                    target.write(data)
                    self._keep(part, target, sha256)
        return sha256

    def _get_bytes(self, sha256: str) -> bytes:
        with self._reading(sha256):
            data = self._place(sha256).read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise self._damaged(sha256)
        return data

    def _checked(self, sha256: str) -> Path:
        with self._reading(sha256):
            if not self._is_whole(sha256):
                self._place(sha256).stat()
                raise self._damaged(sha256)
        return self._place(sha256)

    def _is_whole(self, sha256: str) -> bool:
        """Whether the file is there and right; a file that has not changed is read once."""
        place = self._place(sha256)
        try:
            with place.open("rb") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_ino, status.st_size, status.st_mtime_ns)
                if self._seen.get(sha256) == seen:
                    return True
                whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except FileNotFoundError:
            return False
        if whole:
            self._seen[sha256] = seen
        return whole

    def _keep(self, part: Path, target: BinaryIO, sha256: str) -> None:
        """Put a written file into its place, unless what lies there is whole."""
        if self._is_whole(sha256):
            return
        durable(target)
        place = self._place(sha256)
        place.parent.mkdir(exist_ok=True)
        part.replace(place)
        sync_folder(place.parent)
        sync_folder(self._folder)

    @contextmanager
    def _incoming(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A new file within the store; it is gone afterwards unless it was kept."""
        folder = self._folder / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        with temporary(folder) as (target, part):
            yield target, part

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"the store {self._folder} cannot be written: {error.strerror or error}",
                hint="see that there is room and that you may write there (APOLLO_STORE)",
            ) from error

    @contextmanager
    def _reading(self, sha256: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(
                f"the store {self._folder} does not have {sha256}",
                hint="was it put into another store? see APOLLO_STORE and APOLLO_HOME",
            ) from error
        except OSError as error:
            raise Unavailable(
                f"the store {self._folder} cannot be read: {error.strerror or error}",
                hint="see that you may read it (APOLLO_STORE)",
            ) from error

    def _damaged(self, sha256: str) -> Unavailable:
        return Unavailable(
            f"the store {self._folder} holds something else under the digest {sha256}",
            hint="restore it from a backup, or make the release again from the same files",
        )

    def _place(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"no sha256: {sha256!r}")
        return self._folder / sha256[:2] / sha256


def copy(source: BinaryIO, target: BinaryIO) -> tuple[str, int]:
    """Copy to the end; the sha256 and size of what was copied."""
    digest, size = hashlib.sha256(), 0
    while piece := source.read(_PIECE):
        digest.update(piece)
        target.write(piece)
        size += len(piece)
    return digest.hexdigest(), size


@contextmanager
def temporary(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file in the folder; it is gone afterwards unless it was moved away."""
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".part-")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as target:
            os.fchmod(target.fileno(), 0o644)
            yield target, part
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def durable(target: BinaryIO) -> None:
    """Make what was written survive the machine."""
    target.flush()
    os.fsync(target.fileno())


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
