"""A store in a bucket: `s3://`, `gs://`, `az://`, through obstore."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from apollo.artifacts.store import FolderStore, temporary
from apollo.domain.release import Artifact
from apollo.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

SCHEMES = ("s3://", "gs://", "az://")
SIGNED_FOR = timedelta(hours=1)
"""How long a host may take to begin its download."""
_PIECE = 4 * 1024 * 1024


class BucketStore:
    """Keeps content in a bucket as `ab/abcd…`, and in a folder of this machine what was read.

    Credentials are the provider's own: `AWS_*`, `GOOGLE_*`, `AZURE_*`, or the machine's role.
    """

    def __init__(self, url: str, cache: Path) -> None:
        self._url = url
        self._cache = FolderStore(cache)
        self._folder = cache
        self._bucket = _open(url)

    async def put_file(self, path: Path) -> Artifact:
        """Keep a file's content.

        Raises:
            Unavailable: The bucket cannot be written.
        """
        artifact = await self._cache.put_file(path)
        await self._upload(artifact.sha256)
        return artifact

    async def put_bytes(self, data: bytes) -> str:
        """Keep these bytes and return their sha256.

        Raises:
            Unavailable: The bucket cannot be written.
        """
        sha256 = await self._cache.put_bytes(data)
        await self._upload(sha256)
        return sha256

    async def get_bytes(self, sha256: str) -> bytes:
        """The content of that digest.

        Raises:
            NotFound: The bucket does not have it.
            Unavailable: The bucket cannot be read, or what it holds is damaged.
        """
        await self._fetch(sha256)
        return await self._cache.get_bytes(sha256)

    async def path(self, sha256: str) -> Path:
        """A local file with the content of that digest; not to be written.

        Raises:
            NotFound: The bucket does not have it.
            Unavailable: The bucket cannot be read, or what it holds is damaged.
        """
        await self._fetch(sha256)
        return await self._cache.path(sha256)

    async def has(self, sha256: str) -> bool:
        """Whether the bucket has content of that digest."""
        import obstore

        try:
            with self._reading(sha256):
                await obstore.head_async(self._bucket, _key(sha256))
        except NotFound:
            return False
        return True

    async def url(self, sha256: str) -> str | None:
        """A presigned address of the content, good for an hour: a secret.

        Raises:
            Unavailable: There are no credentials to sign with.
        """
        import obstore

        with self._reading(sha256):
            signed = await obstore.sign_async(self._bucket, "GET", _key(sha256), SIGNED_FOR)
        return signed

    async def _upload(self, sha256: str) -> None:
        import obstore

        if await self.has(sha256):
            return
        source = await self._cache.path(sha256)
        with self._reading(sha256):
            await obstore.put_async(self._bucket, _key(sha256), source)

    async def _fetch(self, sha256: str) -> None:
        """Have it in this machine's folder."""
        import obstore

        if await self._cache.has(sha256):
            return
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        with temporary(self._folder) as (target, part):
            with self._reading(sha256):
                found = await obstore.get_async(self._bucket, _key(sha256))
                async for piece in found.stream(min_chunk_size=_PIECE):
                    await asyncio.to_thread(target.write, bytes(piece))
            await asyncio.to_thread(target.flush)
            artifact = await self._cache.put_file(part)
        if artifact.sha256 != sha256:
            raise Unavailable(
                f"{self._url} holds something else under the digest {sha256}",
                hint="restore it from a backup, or make the release again from the same files",
            )

    @contextmanager
    def _reading(self, sha256: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(
                f"the store {self._url} does not have {sha256}",
                hint="was it put into another store? see APOLLO_STORE",
            ) from error
        except (BaseError, OSError) as error:
            kind = type(error).__name__  # its text may hold credentials
            raise Unavailable(
                f"the store {self._url} does not answer as it should ({kind})",
                hint="see APOLLO_STORE and the provider's credentials (AWS_*, GOOGLE_*, AZURE_*)",
            ) from None


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def _open(url: str) -> "S3Store | GCSStore | AzureStore":
    try:
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError as error:
        raise Unavailable(
            f"the store {url} needs obstore", hint='pip install "apollo-deploy[stores]"'
        ) from error
    if url.startswith("s3:"):
        return S3Store.from_url(url)
    return GCSStore.from_url(url) if url.startswith("gs:") else AzureStore.from_url(url)
