"""What hooks print while a turn runs: who is asked, and when it ends."""

import asyncio

import pytest

from apollo.errors import NotFound, Refused
from tests.support.stage import Play, Stage, until


async def follow(play: Play, host: str, *, wait: bool = True) -> list[tuple[str, str]]:
    found = play.stage.apollo.follow_logs(play.application, "prod", host, wait=wait)
    return [(label, part.text) async for label, part in found]


async def test_a_turn_is_followed_until_it_has_ended(stage: Stage) -> None:
    """Each part once; what came last is read when the turn has ended already."""
    play = await stage.play(hosts=2, locations=1)
    play.script.hold()
    play.script.prints["h1"] = "one\n"
    running = await play.start("1.0")
    await play.under_way(1)
    following = asyncio.create_task(follow(play, "h1"))
    await until(lambda: bool(play.script.reads), "it is read")
    play.script.prints["h1"] += "two\n"
    await until(lambda: play.script.reads[-1].request.seen == {"start": 8}, "it is read again")
    play.script.prints["h1"] += "three\n"
    play.script.let_go()
    await running.result()
    parts = await following

    label = f"{play.application}/prod#1"
    assert {each for each, _ in parts} == {label}
    assert "".join(text for _, text in parts) == "one\ntwo\nthree\n"
    first, last = play.script.reads[0], play.script.reads[-1]
    assert (first.target.under_way, last.target.under_way) == (True, False)
    assert (first.target.root, first.request.poll) == ("/srv/shop", 0)


async def test_without_waiting_it_is_one_look(stage: Stage) -> None:
    play = await stage.play(hosts=2, locations=1)
    play.script.hold()
    play.script.prints["h1"] = "one\n"
    running = await play.start("1.0")
    await play.under_way(1)

    assert await follow(play, "h1", wait=False) == [(f"{play.application}/prod#1", "one\n")]
    assert len(play.script.reads) == 1
    play.script.let_go()
    await running.result()


async def test_where_no_turn_is_under_way_nobody_is_asked(stage: Stage) -> None:
    play = await stage.play(hosts=2, locations=1)
    await play.deploy("1.0")

    assert await follow(play, "h1") == []
    assert play.script.reads == []


async def test_what_cannot_be_read_is_said(stage: Stage) -> None:
    play = await stage.play(hosts=2, locations=1)
    play.script.hold()
    play.script.unseen = {"h1"}
    running = await play.start("1.0")
    await play.under_way(1)
    with pytest.raises(Refused, match="played"):
        await follow(play, "h1")
    with pytest.raises(NotFound, match="has no host h9"):
        await follow(play, "h9")
    play.script.let_go()
    await running.result()
