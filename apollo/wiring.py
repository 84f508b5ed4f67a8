"""Settings → adapters: what workers, the client and the command line have in common."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temporalio.client import Client, GrpcCompression
from temporalio.common import HeaderCodecBehavior
from temporalio.envconfig import ClientConfig

from apollo.artifacts.objects import SCHEMES, BucketStore
from apollo.artifacts.store import FolderStore, Readable, Store
from apollo.catalog.catalog import Catalog
from apollo.codec import data_converter
from apollo.domain.manifest import KEPT, Manifest, read_manifest
from apollo.errors import Unavailable
from apollo.settings import LENT, Settings

if TYPE_CHECKING:
    from temporalio.runtime import Runtime


@dataclass(frozen=True)
class StoredManifests:
    """Manifests and artifacts from the store."""

    store: Readable
    public_url: str = field(default="", repr=False)
    """Under which a web server publishes the store's folder."""
    _read: dict[str, bytes] = field(default_factory=dict, init=False, repr=False)

    async def manifest(self, digest: str) -> Manifest:
        """The manifest of that digest."""
        return read_manifest(await self.canonical(digest))

    async def canonical(self, digest: str) -> bytes:
        """The bytes of that digest, which never change: hosts alike share what was read."""
        canonical = self._read.pop(digest, None)
        if canonical is None:
            canonical = await self.store.get_bytes(digest)
        self._read[digest] = canonical  # the one that was used last comes last
        while len(self._read) > KEPT:
            del self._read[next(iter(self._read))]
        return canonical

    async def artifact(self, sha256: str) -> Path:
        """A local file with the artifact of that digest; not to be written."""
        return await self.store.path(sha256)

    async def url(self, sha256: str) -> str | None:
        """Where a host finds that artifact, if the store is published or signs addresses."""
        if self.public_url:
            return f"{self.public_url}/{sha256[:2]}/{sha256}"
        return await self.store.url(sha256)


def open_store(settings: Settings) -> Store:
    """The store of artifacts and manifests.

    Raises:
        Unavailable: It is a bucket, and what reads buckets is not installed; or it is only lent.
    """
    if settings.store == LENT:
        raise Unavailable(
            "APOLLO_STORE=lent is for workers of hosts alone",
            hint="apollo worker --role hosts, or name the store in APOLLO_STORE",
        )
    if settings.store.startswith(SCHEMES):
        return BucketStore(settings.store, settings.home / "store-cache")
    return FolderStore(settings.store_folder)


@asynccontextmanager
async def open_catalog(settings: Settings) -> AsyncIterator[Catalog]:
    """The catalog, with its tables made or upgraded.

    A worker that has a build ends what has begun on it, also after a newer one has come.
    """
    async with Catalog.open(settings.catalog_url) as catalog:
        await catalog.migrate(newer=bool(settings.build_id))
        yield catalog


async def connect_temporal(
    settings: Settings, namespace: str | None = None, runtime: "Runtime | None" = None
) -> Client:
    """A client as `TEMPORAL_*` says, else of the server that `apollo up` runs.

    `namespace` goes before what `TEMPORAL_NAMESPACE` says. Everything in Apollo that speaks to
    Temporal does so through this client, and so encrypts as `APOLLO_ENCRYPTION_KEY` says.

    Raises:
        BadEncryptionKey: That holds something that is no key.
        Unavailable: No server answers there.
    """
    config: dict[str, Any] = dict(ClientConfig.load_client_connect_config())
    if not config.get("target_host"):
        config["target_host"] = _local_address(settings) or "localhost:7233"
    if namespace:
        config["namespace"] = namespace
    config["data_converter"] = data_converter(settings.encryption_key)
    config["header_codec_behavior"] = HeaderCodecBehavior.CODEC
    if runtime:
        config["runtime"] = runtime
    if _is_here(config["target_host"]):  # nothing is gained where no line is crossed
        config["grpc_compression"] = GrpcCompression.NONE
    try:
        return await Client.connect(**config)
    except RuntimeError as error:
        raise Unavailable(
            f"no Temporal server answers at {config['target_host']}",
            hint="start one with apollo up, or set TEMPORAL_ADDRESS",
        ) from error


def _is_here(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _local_address(settings: Settings) -> str | None:
    try:
        found = json.loads(settings.temporal_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    address: str = found["address"]
    return address
