"""Signals from the `temporal` program: whatever is sent, no deployment is wedged by it."""

import asyncio

import pytest

from tests.support.stage import Running, Stage, failures

WORDS = [
    (),
    ("--input", '{"by": "eve", "reason": "too slow"}'),
    ("--input", '{"by": "eve", "unknown": 1}'),
    ("--input", '"just a string"'),
    ("--input", "7"),
    ("--input", "null"),
    ("--input", "[1, 2]"),
    ("--input", '{"by": 7}'),
    ("--input", '"\\ud800"'),
    ("--input", "[" * 20000),
    ("--input", '{"broken":', "--input-meta", "encoding=json/plain"),
    ("--input", "AAEC/w==", "--input-base64", "--input-meta", "encoding=binary/plain"),
    ("--input", "{}", "--input-meta", "encoding=unheard/of"),
]


async def signalled(running: Running, name: str, *words: str) -> None:
    """Signal past what the program itself refuses to send."""
    try:
        await running.signal(name, *words)
    except AssertionError as error:
        if "invalid JSON" not in str(error) and "not valid JSON" not in str(error):
            raise
        handle = running.handle
        await handle.signal(name, words[1])


@pytest.mark.parametrize("words", WORDS, ids=lambda words: " ".join(words)[:30] or "nothing")
async def test_a_pause_pauses_whatever_comes_with_it(stage: Stage, words: tuple[str, ...]) -> None:
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    await signalled(running, "pause", *words)
    stored = await running.until("paused")
    assert len(stored.detail) < 1000
    play.script.let_go()
    await running.said.resume()
    assert (await running.result()).state == "succeeded"
    assert [entry.action for entry in await running.audit()] == ["pause", "resume"]
    assert failures(await running.events()) == []


async def test_each_signal_does_what_the_update_does(stage: Stage) -> None:
    play = await stage.play(hosts=8, max_unavailable=1, approval=True)
    await play.deploy_approved()
    running = await play.start("1.1")
    await running.until("awaiting")
    play.script.hold()
    await running.signal("approve", "--input", '{"by": "eve", "reason": "looks good"}')
    await play.under_way(2)
    await running.signal("pause", "--input", '{"by": "eve", "reason": "hm"}')
    assert (await running.until("paused")).detail == "paused: hm (eve)"
    await running.signal("resume")
    await running.until("running")
    await running.signal("rollback", "--input", '{"by": "eve", "reason": "bad"}')
    play.script.let_go()
    assert (await running.result()).state == "rolled_back"
    audit = await running.audit()
    assert [(entry.action, entry.identity) for entry in audit] == [
        ("approve", "eve"),
        ("pause", "eve"),
        ("resume", ""),
        ("rollback", "eve"),
    ]


async def test_an_abort_by_signal_and_signals_that_come_too_late(stage: Stage) -> None:
    play = await stage.play(hosts=8, max_unavailable=1)
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    await running.signal("resume")
    await running.signal("abort", "--input", '{"reason": "enough"}')
    await running.signal("pause")
    await running.batch_heard("stop")
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.detail) == ("aborted", "abort: enough")
    assert result.outcomes == {"updated": 2, "not_started": 6}
    audit = await running.audit()
    assert [entry.action for entry in audit] == ["resume refused", "abort", "pause refused"]
    assert "not paused" in audit[0].detail["detail"]


async def test_unknown_signals_and_those_between_workflows_do_no_harm(stage: Stage) -> None:
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    for name in ("explode", "progress", "supersedes", "__temporal_x"):
        for words in ((), ("--input", '"x"'), ("--input", "{}"), ("--input", "1", "--input", "2")):
            await signalled_anyhow(running, name, *words)
    somewhere = '{"wave": 99, "batch": 1, "phase": "forward", "locations": {"mars1": {"ended": 1}}}'
    await running.signal("progress", "--input", somewhere)
    for words in ((), ("--input", '"x"'), ("--input", "1", "--input", "2")):
        await stage.temporal(
            "workflow", "signal", "-w", running.batch(), "--name", "control", *words
        )
    await asyncio.sleep(0.3)
    play.script.let_go()
    assert (await running.result()).state == "succeeded"
    assert failures(await running.events()) == []
    assert failures(await running.events(running.batch())) == []


async def signalled_anyhow(running: Running, name: str, *words: str) -> None:
    """The server itself refuses some names."""
    try:
        await running.signal(name, *words)
    except AssertionError:
        assert name.startswith("__temporal")


async def test_signals_that_come_before_the_deployment_has_its_number(stage: Stage) -> None:
    play = await stage.play(approval=True)
    await play.release("1.0")
    somewhere = {"wave": 1, "batch": 1, "phase": "forward"}
    handle = await stage.client.start_workflow(
        "Deployment",
        {"application": play.application, "environment": "prod", "release": "1.0"},
        id=f"early/{play.application}",
        task_queue="apollo",
        start_signal="progress",
        start_signal_args=[somewhere],
    )
    await handle.signal("pause", {"by": "eve"})
    running = play.running(handle.id)
    await running.until("paused")
    await running.said.approve()
    await running.said.resume()
    assert (await running.result()).state == "succeeded"
    assert failures(await running.events()) == []
