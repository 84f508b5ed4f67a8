"""A host worker without the store is lent what it needs, by the piece, through Temporal alone."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from apollo import names
from apollo.activities.lending import LendingActivities
from apollo.artifacts.store import FolderStore
from apollo.domain.lending import PIECE
from apollo.errors import NotFound, Unavailable
from apollo.lent import RECENT, LentStore, borrows, make_room
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from apollo.wiring import open_store
from apollo.workers.worker import activities_of
from apollo.workflows.piece import Piece
from tests.support.stage import Stage, until

MUCH = 1 << 30
EDGES = (0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE)


async def put(stage: Stage, data: bytes) -> str:
    return await FolderStore(stage.apollo.settings.store_folder).put_bytes(data)


@pytest.mark.parametrize("size", EDGES)
async def test_what_is_lent_is_what_the_store_holds(
    stage: Stage, tmp_path: Path, size: int
) -> None:
    """Bytes of all kinds, and sizes around those of pieces."""
    data = os.urandom(size)
    sha256 = await put(stage, data)
    lent = LentStore(stage.client, tmp_path / "lent", MUCH)
    assert await lent.get_bytes(sha256) == data
    assert (await lent.path(sha256)).read_bytes() == data
    assert await lent.url(sha256) is None


async def test_what_many_want_is_asked_for_once(stage: Stage, tmp_path: Path) -> None:
    sha256 = await put(stage, os.urandom(PIECE + 7))
    lent = LentStore(stage.client, tmp_path / "lent", MUCH)
    begun: list[str] = []
    ask = lent._ask

    async def counted(request):  # type: ignore[no-untyped-def]
        begun.append(str(request.start))
        return await ask(request)

    lent._ask = counted  # type: ignore[method-assign]
    impatient = asyncio.create_task(lent.path(sha256))
    others = [asyncio.create_task(lent.path(sha256)) for _ in range(20)]
    await asyncio.sleep(0)
    impatient.cancel()  # a turn that is handed over takes nothing from the others
    assert len(set(await asyncio.gather(*others))) == 1
    await lent.path(sha256)
    assert begun == ["0", str(PIECE)]


async def test_its_history_is_deleted(tmp_path: Path) -> None:
    """A server deletes what its queues have done with: here within seconds, not half a minute."""
    queues = ("transfer", "visibility", "timer")
    hurried = {f"history.{queue}ProcessorUpdateAckInterval": '"1s"' for queue in queues}
    store = FolderStore(tmp_path / "store")
    sha256 = await store.put_bytes(os.urandom(PIECE + 7))
    async with TemporalServer(tmp_path / "temporal", dynamic_config=hurried) as server:
        client = await Client.connect(server.address, data_converter=pydantic_data_converter)
        lent = LentStore(client, tmp_path / "lent", MUCH)
        begun: list[str] = []

        async def pieces() -> int:
            return (await client.count_workflows("WorkflowType = 'Piece'")).count

        forget = lent._forget

        async def forgotten(workflow_id: str) -> None:
            begun.append(workflow_id)
            await until(pieces_are_listed, "it is listed")
            await forget(workflow_id)

        async def pieces_are_listed() -> bool:
            return await pieces() > 0

        async def none_left() -> bool:
            return await pieces() == 0

        lent._forget = forgotten  # type: ignore[method-assign]
        async with Worker(
            client,
            task_queue=names.CONTROL_QUEUE,
            workflows=[Piece],
            activities=activities_of(LendingActivities(store)),
        ):
            await lent.path(sha256)
        assert len(begun) == 2
        await until(none_left, "it is deleted", patience=120)


async def test_what_the_store_does_not_have_is_not_found_at_once(
    stage: Stage, tmp_path: Path
) -> None:
    lent = LentStore(stage.client, tmp_path / "lent", MUCH)
    with pytest.raises(NotFound, match="does not have"):
        await lent.path("0" * 64)


async def test_what_was_damaged_on_the_way_is_not_given_out(stage: Stage, tmp_path: Path) -> None:
    """The control: what is asked for by digest is checked against it."""
    sha256 = await put(stage, b"as it was made")
    lent = LentStore(stage.client, tmp_path / "lent", MUCH)

    async def damaged(request: object) -> bytes:
        return b"something else"

    ask, lent._ask = lent._ask, damaged  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="something else"):
        await lent.path(sha256)
    lent._ask = ask  # type: ignore[method-assign]
    place = await lent.path(sha256)
    place.write_bytes(b"damaged in the folder")
    assert await lent.get_bytes(sha256) == b"as it was made"


def test_the_folder_keeps_what_was_used_last(tmp_path: Path) -> None:
    """Its bound is kept, except for what was asked for just now."""
    long_ago = time.time() - 10 * RECENT
    for number in range(6):
        place = tmp_path / f"{number:02}" / f"{number}"
        place.parent.mkdir()
        place.write_bytes(bytes(100))
        os.utime(place, (long_ago + number if number < 5 else time.time(), long_ago))

    def left() -> list[str]:
        return sorted(place.name for place in tmp_path.glob("??/*"))

    make_room(tmp_path, 250)
    assert left() == ["4", "5"]
    make_room(tmp_path, 10)
    assert left() == ["5"]


def test_who_borrows(tmp_path: Path) -> None:
    """A hosts worker that was told to, or that has no folder; never who needs the store."""
    told = Settings(home=tmp_path, store="lent")
    bare = Settings(home=tmp_path)
    assert borrows(told, "hosts")
    assert borrows(bare, "hosts")
    assert not borrows(bare, "all")
    assert not borrows(Settings(home=tmp_path, store="s3://bucket"), "hosts")
    with pytest.raises(Unavailable, match="workers of hosts alone"):
        open_store(told)
    (tmp_path / "store").mkdir()
    assert not borrows(bare, "hosts")
