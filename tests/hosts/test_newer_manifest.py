"""A worker gives a host a manifest that a newer Apollo has made."""

import asyncio
import hashlib
import json
from datetime import timedelta
from pathlib import Path

from apollo.domain.fleet import Host
from apollo.domain.setup import Health
from apollo.domain.status import Outcome
from apollo.testing.fleet import SshFleet
from tests.support.bench import Bench


async def test_the_host_gets_what_the_digest_is_of(tmp_path: Path) -> None:
    """Also what this worker does not read of it: the digest would not be that of what it gives."""
    async with SshFleet(tmp_path / "fleet", {"fra1": 1}) as fleet:
        (found,) = fleet.hosts
        names = ("name", "location", "address", "port", "user")
        host = Host(**{name: getattr(found, name) for name in names})
        health = Health(command="true", healthy_for=timedelta(0))
        root, hooks = f"{found.folder}/shop", {"install": "bin/install", "start": "bin/start"}
        key = found.host_key
        desk = Bench(tmp_path, host, key, fleet.client_key, root, None, health, hooks)
        known = await desk.release("1", install="true", start="true")
        newer = json.loads(await desk.store.get_bytes(known)) | {"unheard_of": "yes"}
        written = json.dumps(newer, sort_keys=True, separators=(",", ":")).encode()
        digest = await desk.store.put_bytes(written)

        record = await desk.run(desk.turn(digest))

        assert record.outcome is Outcome.UPDATED
        kept = await asyncio.to_thread(Path(root, "current/.apollo-manifest.json").read_bytes)
        assert kept == written
        assert record.manifest == digest == hashlib.sha256(kept).hexdigest()
        assert (await desk.run(desk.turn(digest))).outcome is Outcome.CURRENT
