"""A host pulls its artifact from a signed address."""

from pathlib import Path

from apollo.artifacts.objects import BucketStore
from apollo.balancers import build_balancer
from apollo.domain.fleet import Host
from apollo.domain.manifest import Manifest
from apollo.domain.status import Outcome
from apollo.hosts.secrets import ReferenceSecrets
from apollo.hosts.session import SshHosts
from apollo.hosts.turn import TurnRunner
from apollo.ports import Footing
from apollo.testing.fleet import SshFleet
from apollo.wiring import StoredManifests
from tests.support.bench import Bench


async def test_a_host_pulls_from_a_signed_address_that_stays_nowhere(
    bucket: str, tmp_path: Path
) -> None:
    """The control is the same turn where the bucket has lost the artifact: then it is pushed."""
    async with SshFleet(tmp_path / "fleet", {"fra1": 1}) as fleet:
        (found,) = fleet.hosts
        names = ("name", "location", "address", "port", "user")
        host = Host(**{name: getattr(found, name) for name in names})
        root = Path(found.folder) / "shop"
        desk = Bench(tmp_path, host, found.host_key, fleet.client_key, str(root))
        store = BucketStore(bucket, tmp_path / "cache")
        notes = []
        for version in ("1", "2"):
            digest = await desk.release(version, start="exit 0")
            manifest = Manifest.model_validate_json(await desk.store.get_bytes(digest))
            await store.put_bytes(manifest.canonical())
            artifact = await desk.store.path(manifest.artifact.sha256)
            if version == "1":
                await store.put_file(artifact)
            else:
                await store._cache.put_file(artifact)
            runner = TurnRunner(
                hosts=SshHosts(key=fleet.client_key),
                manifests=StoredManifests(store),
                secrets=ReferenceSecrets(()),
                build_balancer=build_balancer,
            )
            turn = desk.turn(digest, pull=True)
            record = await runner(turn, turn.granted_ms + 1, Footing())
            assert record.outcome is Outcome.UPDATED, record
            notes.append(record.note)

        assert notes[0] == ""
        assert "could not pull" in notes[1]
        assert "X-Amz" not in notes[1]
        left = [path for path in root.rglob("*") if path.is_file()]
        assert left
        assert [path for path in left if b"X-Amz-Signature" in path.read_bytes()] == []
