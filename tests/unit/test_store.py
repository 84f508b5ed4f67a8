"""The store: what comes out is what was put in, or an error."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from apollo.artifacts.store import FolderStore, Store
from apollo.errors import NotFound, Unavailable

DATA = b"a release"
SHA256 = hashlib.sha256(DATA).hexdigest()


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def test_bytes_come_back(tmp_path: Path) -> None:
    store: Store = FolderStore(tmp_path / "some" / "store")
    assert not await store.has(SHA256)
    for _ in range(2):
        assert await store.put_bytes(DATA) == SHA256

    assert await store.has(SHA256)
    assert await store.get_bytes(SHA256) == DATA
    assert (await FolderStore(tmp_path / "some" / "store").path(SHA256)).read_bytes() == DATA
    assert _files(tmp_path) == [SHA256]


async def test_a_file_is_kept_apart_from_the_one_that_was_put(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    given = tmp_path / "given"
    given.write_bytes(DATA * 300_000)
    artifact = await store.put_file(given)
    assert artifact == await store.put_file(given)
    given.write_bytes(b"another")

    assert len(DATA) * 300_000 == artifact.size
    assert await store.get_bytes(artifact.sha256) == DATA * 300_000
    kept = await store.path(artifact.sha256)
    assert kept.stat().st_mode & 0o777 == 0o644
    assert [artifact.sha256] == _files(tmp_path / "store")


async def test_what_it_does_not_have_is_not_found(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    for ask in (store.get_bytes, store.path):
        with pytest.raises(NotFound, match=f"does not have {SHA256}"):
            await ask(SHA256)
    for no_digest in ("../../etc/passwd", SHA256.upper(), ""):
        with pytest.raises(ValueError, match="no sha256"):
            await store.get_bytes(no_digest)


async def test_damage_is_never_given_out_and_can_be_mended(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    await store.put_bytes(DATA)
    place = await store.path(SHA256)
    status = place.stat()
    place.write_bytes(DATA[:-1] + b"!")
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    for ask in (store.get_bytes, store.path):
        with pytest.raises(Unavailable, match="holds something else"):
            await ask(SHA256)
    assert await store.put_bytes(DATA) == SHA256

    assert await store.get_bytes(SHA256) == DATA
    assert place == await store.path(SHA256)


async def test_many_put_the_same_at_once(tmp_path: Path) -> None:
    stores = [FolderStore(tmp_path) for _ in range(8)]
    data = DATA * 10_000
    names = set(await asyncio.gather(*(store.put_bytes(data) for store in stores)))

    assert len(names) == 1
    assert data == await stores[0].get_bytes(names.pop())


async def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file", encoding="utf-8")
    store = FolderStore(tmp_path / "store")
    with pytest.raises(Unavailable, match="cannot be written: "):
        await store.put_bytes(DATA)
    with pytest.raises(Unavailable, match="cannot be read: "):
        await store.get_bytes(SHA256)


async def test_a_file_that_cannot_be_read_is_not_the_stores_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await FolderStore(tmp_path / "store").put_file(tmp_path / "missing")
