"""A store in a bucket, against a server that speaks S3."""

import asyncio
import hashlib
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from apollo.artifacts.objects import BucketStore
from apollo.artifacts.store import Store
from apollo.errors import NotFound, Unavailable
from apollo.settings import Settings
from apollo.wiring import StoredManifests, open_store
from tests.support.bucket import SECRET, client

DATA = bytes(range(256)) * 50_000
SHA256 = hashlib.sha256(DATA).hexdigest()
KEY = f"a/prefix/{SHA256[:2]}/{SHA256}"


def a_store(bucket: str, folder: Path) -> Store:
    return open_store(Settings(home=folder, store=bucket))


async def test_what_one_machine_puts_another_gets(bucket: str, tmp_path: Path) -> None:
    one, two = a_store(bucket, tmp_path / "one"), a_store(bucket, tmp_path / "two")
    assert isinstance(one, BucketStore)
    (tmp_path / "file").write_bytes(DATA)

    assert not await two.has(SHA256)
    for _ in range(2):
        artifact = await one.put_file(tmp_path / "file")
        assert (artifact.sha256, artifact.size) == (SHA256, len(DATA))
    assert await two.has(SHA256)
    assert (await two.path(SHA256)).read_bytes() == DATA
    assert await two.get_bytes(await one.put_bytes(b"manifest")) == b"manifest"


async def test_what_it_does_not_have_is_not_found(bucket: str, tmp_path: Path) -> None:
    store = a_store(bucket, tmp_path)

    with pytest.raises(NotFound, match="does not have"):
        await store.path("0" * 64)
    with pytest.raises(NotFound):
        await store.get_bytes("0" * 64)


async def test_damage_is_never_given_out(bucket: str, tmp_path: Path) -> None:
    await a_store(bucket, tmp_path / "one").put_bytes(DATA)
    client().put_object(Bucket="apollo", Key=KEY, Body=b"something else")

    with pytest.raises(Unavailable, match="something else"):
        await a_store(bucket, tmp_path / "two").get_bytes(SHA256)


async def test_a_bucket_that_is_not_there_says_so_and_shows_no_key(
    bucket: str, tmp_path: Path
) -> None:
    store = a_store("s3://nobody/here", tmp_path)

    with pytest.raises((Unavailable, NotFound)) as caught:
        await store.put_bytes(DATA)
    assert "s3://nobody/here" in caught.value.message
    assert SECRET not in caught.value.message


async def test_a_signed_address_needs_no_credentials(bucket: str, tmp_path: Path) -> None:
    store = a_store(bucket, tmp_path)
    await store.put_bytes(DATA)

    url = await StoredManifests(store).url(SHA256)

    assert url
    assert SECRET not in url
    assert "X-Amz-Signature=" in url
    assert "X-Amz-Expires=3600" in url
    assert await asyncio.to_thread(fetched, url) == DATA
    with pytest.raises(urllib.error.HTTPError):
        await asyncio.to_thread(fetched, url.replace(SHA256, "0" * 64))


def fetched(url: str) -> bytes:
    """What anybody gets there."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        content: bytes = answer.read()
        return content


async def test_a_published_folder_goes_before_a_signed_address(bucket: str, tmp_path: Path) -> None:
    store = a_store(bucket, tmp_path)

    url = await StoredManifests(store, "https://releases.example").url(SHA256)

    assert url == f"https://releases.example/{SHA256[:2]}/{SHA256}"
