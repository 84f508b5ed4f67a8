"""Artifacts travel to real OpenSSH hosts: once, over SFTP, and after a cut only the rest."""

import random
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from apollo.artifacts.pack import pack
from apollo.artifacts.store import FolderStore
from apollo.balancers import build_balancer
from apollo.domain.fleet import Host
from apollo.domain.manifest import Manifest
from apollo.domain.release import Artifact
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnInput, TurnRecord
from apollo.errors import ContactLost, DigestMismatch, DiskFull, TurnError
from apollo.hosts.answer import Answer
from apollo.hosts.job import Job
from apollo.hosts.root import HostRoot
from apollo.hosts.script import Caller
from apollo.hosts.secrets import ReferenceSecrets
from apollo.hosts.session import SshHosts
from apollo.hosts.transfer import bring
from apollo.hosts.turn import TurnRunner
from apollo.ports import Footing
from apollo.wiring import StoredManifests
from tests.support.line import Line, line_to
from tests.support.openssh import OpenSshFleet, OpenSshHost, openssh_fleet
from tests.support.publisher import Publisher, publish

MB = 1_000_000
SIZE = 6 * MB
ROOT = "/srv/shop"


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> Iterator[OpenSshFleet]:
    with openssh_fleet(tmp_path_factory.mktemp("openssh"), ["web1"], program) as fleet:
        yield fleet


@dataclass
class Desk:
    """One who brings artifacts to a host, each time with a connection and attempt of its own."""

    fleet: OpenSshFleet
    line: Line
    folder: Path
    attempts: int = 0
    turn: Caller = field(
        default_factory=lambda: Caller(ROOT, "c/shop/prod", "first", 1, 1_000, 1_000)
    )

    @property
    def host(self) -> OpenSshHost:
        """The host."""
        return self.fleet.hosts["web1"]

    @property
    def store(self) -> FolderStore:
        """Where artifacts are."""
        return FolderStore(self.folder / "store")

    async def artifact(self, seed: int, files: dict[str, bytes] | None = None) -> Artifact:
        """An artifact of files that do not compress, in the store."""
        source = self.folder / f"dist{seed}"
        source.mkdir()
        noise = {"noise": random.Random(seed).randbytes(SIZE)}
        for name, content in (files or noise).items():
            (source / name).write_bytes(content)
        made = pack(source, self.folder / "packed.tar.gz")
        await self.store.put_file(self.folder / "packed.tar.gz")
        return made

    async def attempt(self, artifact: Artifact) -> Answer:
        """One attempt at bringing and unpacking it."""
        self.attempts += 1
        caller = replace(self.turn, attempt_ms=self.turn.attempt_ms + self.attempts)
        given = self.given(caller)
        async with SshHosts(key=self.fleet.key).connect(given) as session:
            root = HostRoot(session, given, caller, lambda answer: None)
            digest = artifact.sha256[::-1]
            job = Job(manifest=caller.deployment.encode())
            answer = await root.begin(digest, artifact.sha256, job, redeploy=False)
            if answer.need_artifact:
                await bring(artifact, StoredManifests(self.store), session, root)
                answer = await root.run("stage", job)
            return answer

    def given(self, caller: Caller) -> TurnInput:
        """What a turn is told."""
        return TurnInput(
            deployment=caller.deployment,
            label="shop/prod#1",
            owner=caller.owner,
            application="shop",
            environment="prod",
            release="1",
            granted_ms=caller.grant_ms,
            host=Host(
                name="web1", location="x", address="127.0.0.1", port=self.line.port, user="root"
            ),
            host_keys=(self.host.host_key,),
            folder=f"20260101T000000Z-{caller.deployment}",
        )

    def next_turn(self, deployment: str) -> None:
        """Another deployment has the host."""
        grant = self.turn.grant_ms + 1_000
        self.turn = replace(self.turn, deployment=deployment, grant_ms=grant, attempt_ms=grant)

    def outside(self, publisher: Publisher) -> str:
        """The publisher's URL, as the host reaches this machine."""
        return publisher.url.replace("127.0.0.1", self.host.address.removesuffix("1") + "254")

    def cache(self) -> dict[str, int]:
        """What lies in the host's cache."""
        folder = self.host.disk / "shop" / ".apollo" / "cache"
        return {each.name: each.stat().st_size for each in folder.iterdir()}


@pytest.fixture
async def desk(fleet: OpenSshFleet, tmp_path: Path) -> AsyncIterator[Desk]:
    host = fleet.hosts["web1"]
    host.inside("rm -rf /srv/shop /srv/filler")
    async with line_to(host.address, 22) as line:
        yield Desk(fleet, line, tmp_path)


@pytest.fixture
def configured(fleet: OpenSshFleet) -> Iterator[Callable[[Callable[[str], str]], None]]:
    """Give the host's sshd another configuration for a while."""
    host = fleet.hosts["web1"]
    file = host.folder / "sshd_config"
    before = file.read_text()

    def configure(change: Callable[[str], str]) -> None:
        file.write_text(change(before))
        host.restart_sshd()

    yield configure
    file.write_text(before)
    host.restart_sshd()


async def cut_in_the_middle(desk: Desk, artifact: Artifact) -> int:
    """An attempt whose line is cut; how much of the artifact is on the host."""
    desk.line.cut_after = artifact.size * 3 // 4
    with pytest.raises(ContactLost):
        await desk.attempt(artifact)
    assert desk.line.cuts == 1
    (left,) = desk.cache().values()
    assert MB // 2 < left < artifact.size
    return left


async def test_after_a_cut_only_the_rest_is_sent(desk: Desk) -> None:
    artifact = await desk.artifact(1)
    left = await cut_in_the_middle(desk, artifact)
    desk.line.count()
    answer = await desk.attempt(artifact)

    assert answer.staged
    assert desk.line.count() < artifact.size - left + MB
    assert desk.cache() == {artifact.sha256: artifact.size}


async def test_without_the_part_all_of_it_is_sent(desk: Desk) -> None:
    """The control."""
    artifact = await desk.artifact(1)
    await cut_in_the_middle(desk, artifact)
    desk.host.inside(f"rm {ROOT}/.apollo/cache/*.part")
    desk.line.count()
    answer = await desk.attempt(artifact)

    assert answer.staged
    assert desk.line.count() >= artifact.size


async def test_what_a_part_holds_wrongly_is_sent_anew(desk: Desk) -> None:
    artifact = await desk.artifact(1)
    left = await cut_in_the_middle(desk, artifact)
    desk.host.inside(f"head -c {left} /dev/zero >$(ls {ROOT}/.apollo/cache/*.part)")
    desk.line.count()
    answer = await desk.attempt(artifact)

    assert answer.staged
    assert desk.line.count() >= artifact.size + artifact.size - left
    assert desk.cache() == {artifact.sha256: artifact.size}


async def test_what_arrives_wrong_twice_is_said(desk: Desk) -> None:
    artifact = await desk.artifact(1)
    wrong = artifact.model_copy(update={"sha256": "0" * 64})
    desk.line.count()
    stored = desk.folder / "store" / artifact.sha256[:2] / artifact.sha256

    class Wrong(StoredManifests):
        async def artifact(self, sha256: str) -> Path:
            return stored

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.hosts.test_transfer.StoredManifests", Wrong)
        with pytest.raises(DigestMismatch, match=artifact.sha256):
            await desk.attempt(wrong)

    assert desk.line.count() >= 2 * artifact.size
    assert desk.cache() == {}


async def test_a_host_that_has_the_digest_is_sent_nothing(desk: Desk) -> None:
    artifact = await desk.artifact(1)
    await desk.attempt(artifact)
    first = desk.line.count()
    desk.next_turn("second")
    answer = await desk.attempt(artifact)

    assert answer.staged
    assert first > artifact.size  # the control
    assert desk.line.count() < MB // 10


@pytest.mark.parametrize("subsystem", ["", "Subsystem sftp /bin/false\n"])
async def test_without_sftp_it_goes_along_with_a_command(
    desk: Desk, configured: Callable[[Callable[[str], str]], None], subsystem: str
) -> None:
    configured(lambda text: re.sub("Subsystem.*\n", subsystem, text))
    artifact = await desk.artifact(1)
    answer = await desk.attempt(artifact)

    assert answer.staged
    assert desk.cache() == {artifact.sha256: artifact.size}


async def test_one_session_at_a_time_is_enough(
    desk: Desk, configured: Callable[[Callable[[str], str]], None]
) -> None:
    configured(lambda text: text + "MaxSessions 1\n")
    artifact = await desk.artifact(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HostRoot, "put", None)  # over SFTP, and not otherwise
        answer = await desk.attempt(artifact)

    assert answer.staged


async def test_room_is_looked_for_before_anything_is_written(desk: Desk) -> None:
    artifact = await desk.artifact(1)
    desk.host.inside("dd if=/dev/zero of=/srv/filler bs=1M count=50 2>/dev/null")
    desk.line.count()
    with pytest.raises(DiskFull, match=r"\d+ kB are needed, \d+ are free"):
        await desk.attempt(artifact)

    assert desk.line.count() < MB // 10
    assert desk.cache() == {}


async def test_room_is_looked_for_before_it_is_unpacked(desk: Desk) -> None:
    """Also where nobody knew beforehand what an artifact takes: zeros pack well."""
    artifact = await desk.artifact(1, {"zeros": bytes(100 * MB)})
    answer = await desk.attempt(artifact.model_copy(update={"unpacked": 0}))
    unpack = answer.steps["unpack"]

    assert artifact.size < MB
    assert (unpack.exit, answer.staged) == (28, False)
    assert b"kB are needed" in unpack.output
    assert not list((desk.host.disk / "shop" / "releases").iterdir())


async def test_an_attempt_that_stalled_is_in_nobodys_way(desk: Desk) -> None:
    """It had a part open, and writes on: into what nobody reads any more."""
    artifact = await desk.artifact(1)
    await cut_in_the_middle(desk, artifact)
    (part,) = desk.cache()
    with (desk.host.disk / "shop" / ".apollo" / "cache" / part).open("r+b") as stalled:
        answer = await desk.attempt(artifact)
        stalled.write(b"\0" * 1000)
    assert answer.staged
    desk.next_turn("second")

    again = await desk.attempt(artifact)

    assert again.staged, again.steps["unpack"].output
    desk.turn = replace(desk.turn, grant_ms=1, attempt_ms=1)
    with pytest.raises(TurnError, match="newer"):
        await desk.attempt(artifact)


async def turn(desk: Desk, artifact: Artifact, url: str) -> TurnRecord:
    """A whole turn of a host that is to pull."""
    manifest = Manifest(
        application="shop", environment="prod", release="1", artifact=artifact, root=ROOT
    )
    await desk.store.put_bytes(manifest.canonical())
    runner = TurnRunner(
        hosts=SshHosts(key=desk.fleet.key),
        manifests=StoredManifests(desk.store, url),
        secrets=ReferenceSecrets(()),
        build_balancer=build_balancer,
    )
    given = desk.given(desk.turn).model_copy(update={"manifest": manifest.digest, "pull": True})
    return await runner(given, desk.turn.attempt_ms, Footing())


async def test_a_host_of_a_large_fleet_pulls(desk: Desk, program: Callable[[str], str]) -> None:
    program("curl")
    artifact = await desk.artifact(1)
    with publish(desk.folder / "store") as publisher:
        record = await turn(desk, artifact, desk.outside(publisher))

    assert (record.outcome, record.note) == (Outcome.UPDATED, "")
    assert publisher.sent == artifact.size
    assert desk.line.count() < MB // 10


async def test_what_cannot_be_pulled_is_pushed_and_told(
    desk: Desk, program: Callable[[str], str]
) -> None:
    program("curl")
    artifact = await desk.artifact(1)
    with publish(desk.folder / "store") as publisher:
        publisher.status = 403
        url = desk.outside(publisher).replace("http://", "http://user:5ecret@")
        record = await turn(desk, artifact, url)

    assert record.outcome is Outcome.UPDATED
    assert "could not pull it: curl ended with 22" in record.note
    assert "5ecret" not in record.model_dump_json()
    assert publisher.requests
    assert desk.line.count() > artifact.size
