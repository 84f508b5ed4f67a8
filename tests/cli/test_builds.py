"""`apollo cluster versions|switch` and what `apollo doctor` says of builds, on a real server."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client

from apollo import names
from apollo.artifacts.store import FolderStore
from apollo.cluster import present
from apollo.codec import data_converter
from apollo.doctor.parts import check_workers
from apollo.domain.progress import Queue
from apollo.errors import NotFound, Refused
from apollo.lent import LentStore
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from apollo.versions import current_build, queues_needed, switch, versions
from apollo.workers.worker import WORKFLOWS, running, versioned
from apollo.workflows.moving import MovingPromotion
from apollo.workflows.promotion import Promotion
from tests.cli.conftest import Said, Shop
from tests.support.catalogs import environment
from tests.support.scene import eventually

QUEUES = [names.CONTROL_QUEUE, names.HOSTS_QUEUE]
PATIENCE, AT_ONCE = timedelta(minutes=2), timedelta(0)


@pytest_asyncio.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TemporalServer]:
    """A server that knows no build yet; the command line uses it too."""
    async with TemporalServer(tmp_path / "temporal") as server:
        monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
        yield server


@pytest_asyncio.fixture
async def client(server: TemporalServer) -> Client:
    return await Client.connect(server.address, data_converter=data_converter(""))


class Workers:
    """Workers of builds, which come and go."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def home(self, build: str) -> Path:
        """Where workers of a build have their catalog and store."""
        return self._folder / build

    async def of(
        self, stack: AsyncExitStack, build: str, *roles: str, locations: Sequence[str] = ()
    ) -> None:
        settings = Settings(home=self.home(build), build_id=build, grace=0)
        for role in roles or ("all",):
            await stack.enter_async_context(
                running(self._client, settings, role, locations)  # type: ignore[arg-type]
            )


@pytest.fixture
def workers(client: Client, tmp_path: Path) -> Workers:
    return Workers(client, tmp_path / "home")


def test_the_queues_that_are_needed_are_those_of_the_environments() -> None:
    own = environment(4, own_workers=("ams1", "gone"))

    assert queues_needed([]) == ["apollo", "apollo-hosts"]
    assert queues_needed([environment()]) == ["apollo", "apollo-hosts"]
    assert queues_needed([environment(), own]) == ["apollo", "apollo-hosts", "apollo-hosts-ams1"]


def test_a_build_is_a_word(tmp_path: Path) -> None:
    assert Settings(home=tmp_path, build_id="1.4.2+g1a2b").build_id == "1.4.2+g1a2b"
    for wrong in ("a:b", "a b", "-a", "'"):
        with pytest.raises(ValueError, match="build_id"):
            Settings(home=tmp_path, build_id=wrong)


def test_promotions_move_on_and_all_else_stays() -> None:
    changed = set(versioned(WORKFLOWS)) ^ set(WORKFLOWS)

    assert changed == {Promotion, MovingPromotion}


async def test_no_build_is_current_until_it_is_switched_to(
    client: Client, workers: Workers
) -> None:
    assert await current_build(client) is None
    assert await versions(client, QUEUES) == []
    async with AsyncExitStack() as stack:
        await workers.of(stack, "1")
        await eventually(lambda: _current_is(client, ""))
        done = await switch(client, "1", QUEUES, by="ada", wait=PATIENCE)
        (known,) = await versions(client, QUEUES)

        assert (done.previous, known.build, known.current) == ("", "1", True)
        assert known.queues == ("apollo", "apollo-hosts")
        assert not known.needless
        again = await switch(client, "1", QUEUES, by="ada", wait=PATIENCE)
        assert again.previous == "1"


async def _current_is(client: Client, build: str) -> bool:
    return await current_build(client) == build


async def test_a_build_whose_workers_poll_too_little_is_refused(
    client: Client, workers: Workers
) -> None:
    """The first switch of all too, of which the server says nothing: nothing was there before."""
    needed = [*QUEUES, "apollo-hosts-ams1"]
    async with AsyncExitStack() as stack:
        with pytest.raises(Refused, match="no worker of build 1 polls apollo, apollo-hosts"):
            await switch(client, "1", needed, by="ada", wait=AT_ONCE)
        await workers.of(stack, "1", "all")
        await workers.of(stack, "other", "hosts", locations=["ams1"])
        await eventually(lambda: _polls(client, *QUEUES))
        with pytest.raises(Refused, match="polls apollo-hosts-ams1: ") as caught:
            await switch(client, "1", needed, by="ada", wait=timedelta(seconds=1))
        assert "APOLLO_BUILD_ID=1 apollo worker --role hosts --locations ams1" in caught.value.hint
        assert not await current_build(client)

        await switch(client, "1", needed, by="ada", wait=AT_ONCE, force=True)
        assert await current_build(client) == "1"


async def _polls(client: Client, *queues: str) -> bool:
    return all([await present(client, each, "1") for each in queues])


async def test_workers_that_come_late_are_waited_for(client: Client, workers: Workers) -> None:
    async with AsyncExitStack() as stack:
        await workers.of(stack, "1", "control")
        await eventually(lambda: _current_is(client, ""))
        with pytest.raises(Refused):
            await switch(client, "1", QUEUES, by="ada", wait=AT_ONCE)
        await workers.of(stack, "1", "hosts")

        await switch(client, "1", QUEUES, by="ada", wait=PATIENCE)


async def test_only_workers_of_the_build_are_there_for_what_is_pinned_to_it(
    client: Client, workers: Workers
) -> None:
    async with AsyncExitStack() as stack:
        await workers.of(stack, "1", "hosts")
        await eventually(lambda: _polls(client, "apollo-hosts"))

        assert await present(client, "apollo-hosts", "2") == 0
        assert await present(client, "apollo-hosts") == 1, "the control"


async def test_what_is_pinned_to_a_build_is_lent_by_it(
    client: Client, workers: Workers, tmp_path: Path
) -> None:
    """Only the store of build 1 holds it, which is no longer current."""
    sha256 = await FolderStore(workers.home("1") / "store").put_bytes(b"of build 1")
    async with AsyncExitStack() as stack:
        await workers.of(stack, "1")
        await switch(client, "1", QUEUES, by="ada", wait=PATIENCE)
        await workers.of(stack, "2")
        await switch(client, "2", QUEUES, by="ada", wait=PATIENCE)

        lent = LentStore(client, tmp_path / "lent", 1 << 30, "1")
        assert await lent.get_bytes(sha256) == b"of build 1"
        with pytest.raises(NotFound):  # the control
            await LentStore(client, tmp_path / "other", 1 << 30).get_bytes(sha256)


def test_a_location_that_lacks_workers_of_the_build_says_so() -> None:
    queue = Queue(location="fra1", name="apollo-hosts", workers=0, build="1")
    plain = Queue(location="fra1", name="apollo-hosts", workers=0)

    assert "no worker of build 1 polls apollo-hosts (APOLLO_BUILD_ID=1 apollo" in queue.text
    assert "no worker polls apollo-hosts (apollo worker --role hosts)" in plain.text


async def test_doctor_counts_the_workers_of_the_current_build(
    client: Client, workers: Workers
) -> None:
    async with AsyncExitStack() as stack:
        await workers.of(stack, "1")
        await workers.of(stack, "2", "control")
        await eventually(lambda: _polls(client, "apollo-hosts"))
        await eventually(lambda: _current_is(client, ""))
        before = {each.what: each for each in await check_workers(client)}
        await switch(client, "2", QUEUES, by="ada", wait=AT_ONCE, force=True)
        after = {each.what: each for each in await check_workers(client)}

    assert before["build"].grade == "bad"
    assert "apollo cluster switch" in before["build"].hint
    assert before["workers hosts"].grade == "good", "the control"
    assert after["build"].grade == "good"
    assert after["workers hosts"].grade == "bad"
    assert "nobody of build 2 polls apollo-hosts" in after["workers hosts"].found


async def say(shop: Shop, *words: str) -> Said:
    """The command line beside what runs in this process."""
    return await asyncio.to_thread(shop, *words)


async def test_the_command_line_switches_lists_and_leaves_a_word_in_the_audit(
    server: TemporalServer,
    workers: Workers,
    shop: Shop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
    monkeypatch.chdir(tmp_path)  # it is no matter of one application
    assert "No worker has a build" in (await say(shop, "cluster", "versions")).err
    async with AsyncExitStack() as stack:
        await workers.of(stack, "1")
        said = await say(shop, "cluster", "switch", "2", "--wait", "0s")
        assert (said.code, "no worker of build 2 polls apollo" in said.err) == (5, True)
        said = await say(shop, "cluster", "switch", "1", "--wait", "2m", "--reason", "first")
        assert (said.code, "deployments begin on build 1" in said.err) == (0, True), said
        await workers.of(stack, "2")
        assert (await say(shop, "cluster", "switch", "2", "--wait", "x")).code == 2
        said = await say(shop, "cluster", "switch", "2", "--wait", "2m")
        assert "deployments begin on build 2; it was 1" in said.err
        assert "Nothing ends on build 1: its workers may be taken down." in said.err

        table = (await say(shop, "cluster", "versions")).out
        listed = json.loads((await say(shop, "cluster", "versions", "--json")).out)
    audit = (await say(shop, "history", "--audit")).out

    assert [line.split()[:2] for line in table.splitlines()[1:]] == [["2", "current"], ["1", "may"]]
    assert [_short(each) for each in listed["versions"]] == [("2", True, False), ("1", False, True)]
    assert "cluster switch build 2 previous 1" in audit
    assert "first" in audit


def _short(version: dict[str, Any]) -> tuple[str, bool, bool]:
    return version["build"], version["current"], version["may_be_taken_down"]
