"""A turn that nobody ends any more is put back by hand over real OpenSSH, and then reported."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from apollo.artifacts.pack import pack
from apollo.artifacts.store import FolderStore
from apollo.balancers import build_balancer
from apollo.domain.balancer import BalancerSpec
from apollo.domain.fleet import Host
from apollo.domain.manifest import Manifest
from apollo.domain.setup import Hooks
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnInput
from apollo.hosts.secrets import ReferenceSecrets
from apollo.hosts.session import SshHosts
from apollo.hosts.turn import TurnRunner
from apollo.ports import Footing
from apollo.wiring import StoredManifests
from tests.hosts.script_host import eventually, is_free
from tests.support.openssh import OpenSshHost, openssh_fleet

SECRET = "hunter2 'quoted'"
START = {
    "1": 'printf %s "$PASSWORD" >"$APOLLO_ROOT/seen"; echo 1 >>"$APOLLO_ROOT/started"',
    "2": 'cd "$APOLLO_ROOT"; touch there; while [ ! -e go ]; do sleep 0.1; done; '
    'echo "no database"; exit 3',
}
ONLINE = {"drain": {"wait": "0s"}, "file": {"path": "online", "wait": "0s"}}
BY_HAND = "sh /srv/shop/.apollo/apollo"


class Desk:
    """A worker's turns on one host."""

    def __init__(self, folder: Path, host: OpenSshHost, key: Path) -> None:
        self.host = host
        self.folder = folder
        self.store = FolderStore(folder / "store")
        self.hosts = SshHosts(key=key)
        self.run = TurnRunner(
            hosts=self.hosts,
            manifests=StoredManifests(self.store, ""),
            secrets=ReferenceSecrets(("env:APOLLO_SECRET_",)),
            build_balancer=build_balancer,
        )

    async def turn(self, version: str, number: int) -> TurnInput:
        """The turn of a deployment that brings that release."""
        source = self.folder / version
        source.mkdir(exist_ok=True)
        (source / "VERSION").write_text(version)
        artifact = pack(source, self.folder / "packed.tar.gz")
        await self.store.put_file(self.folder / "packed.tar.gz")
        manifest = Manifest(
            application="shop",
            environment="prod",
            release=version,
            artifact=artifact,
            root="/srv/shop",
            env_file="env",
            secrets={"PASSWORD": "env:APOLLO_SECRET_PASSWORD"},
            hooks=Hooks.model_validate({"start": [START[version]]}),
        )
        return TurnInput(
            deployment=f"deployment-{number}",
            label=f"shop/prod#{number}",
            owner="catalog/shop/prod",
            application="shop",
            environment="prod",
            release=version,
            granted_ms=number,
            host=Host(name="web1", location="lab1", address=self.host.address, user="root"),
            host_keys=(self.host.host_key,),
            manifest=await self.store.put_bytes(manifest.canonical()),
            folder=f"20260101T00000{number}Z-{version}",
            balancer=BalancerSpec.model_validate(ONLINE),
        )

    async def typed(self, given: TurnInput, line: str) -> str:
        """What a person sees who logs in and types a line."""
        async with self.hosts.connect(given) as session:
            return (await session.run(f"{line}; echo exit=$?")).decode()


async def test_put_back_by_hand_and_reported(
    tmp_path: Path, program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies in the middle of `start`; a person ends the turn; a worker comes back."""
    monkeypatch.setenv("APOLLO_SECRET_PASSWORD", SECRET)
    with openssh_fleet(tmp_path / "hosts", ["web1"], program) as fleet:
        host = fleet.hosts["web1"]
        disk = host.disk / "shop"
        desk = Desk(tmp_path, host, fleet.key)
        first = await desk.run(await desk.turn("1", 1), 1, Footing())
        (disk / "online").touch()
        given = await desk.turn("2", 2)
        attempt = asyncio.create_task(desk.run(given, 2, Footing()))
        await asyncio.to_thread(eventually, (disk / "there").exists)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        busy = await desk.typed(given, f"{BY_HAND} put-back")
        (disk / "go").touch()
        journal = disk / ".apollo" / "journal" / "deployment-2" / "1"
        await asyncio.to_thread(
            eventually, lambda: b"ended 3" in (journal / "step.start").read_bytes()
        )
        await asyncio.to_thread(eventually, lambda: is_free(disk / ".apollo" / "lock"))
        status = await desk.typed(given, f"{BY_HAND} status")
        drained = not (disk / "online").exists()
        (disk / "env").rename(disk / "env.away")
        refused = await desk.typed(given, f"{BY_HAND} put-back")
        (disk / "env.away").rename(disk / "env")
        put_back = await desk.typed(given, f"{BY_HAND} put-back")
        again = await desk.run(given, 3, Footing())
        later = await desk.run(await desk.turn("1", 3), 3, Footing())

        assert first.outcome is Outcome.UPDATED
        assert "A runner is at work in activate" in busy
        assert drained
        assert "shop/prod#2, turn 1: unfinished" in status
        assert "  | no database" in status
        assert "export PASSWORD" in refused
        assert "1 is put back." in put_back
        assert put_back.endswith("exit=0\n")
        assert (disk / "online").exists()
        assert (disk / "seen").read_text() == SECRET
        assert (disk / "started").read_text() == "1\n1\n"
        assert again.outcome is Outcome.REVERTED
        assert again.note.startswith("put back by hand at 2")
        assert again.note.endswith(" by root")
        assert later.outcome is Outcome.CURRENT
        assert later.note.startswith("the turn before this one was put back by hand at ")
        kept = [file for file in (disk / ".apollo").rglob("*") if file.is_file()]
        assert [file for file in kept if SECRET.encode() in file.read_bytes()] == []
