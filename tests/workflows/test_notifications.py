"""Webhooks are told of states; a deployment never waits for that."""

import logging
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from apollo import names
from apollo.codec import data_converter
from apollo.domain.environment import TROUBLE, StateName, Webhook
from apollo.domain.notification import NotificationInput
from apollo.domain.status import DeploymentState, Outcome
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from apollo.workers.worker import running as running_worker
from apollo.workflows.notification import Notification
from tests.support.receiver import Receiver, receiving
from tests.support.stage import Play, Running, Stage, failures, until

SECRET = "T0K3N-that-nobody-may-see"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def told(receiver: Receiver, path: str, *on: StateName) -> Webhook:
    return Webhook(webhook=receiver.url(path), on=on or TROUBLE)


def notification(running: Running, number: int, state: str) -> str:
    return names.notification_id(running.id, number, state)


async def until_told(receiver: Receiver, path: str, count: int) -> None:
    await until(lambda: len(receiver.at(path)) >= count, f"{path} is told {count} times")


async def notifications(play: Play) -> list[str]:
    """The ids of all notifications of an application."""
    query = f'WorkflowType = "Notification" AND ApolloApplication = "{play.application}"'
    return [each.id async for each in play.stage.client.list_workflows(query)]


async def test_each_state_asked_for_is_told_once_with_what_to_do_next(
    stage: Stage, receiver: Receiver
) -> None:
    hooks = [
        told(receiver, "/people", "awaiting", "paused", "succeeded"),
        told(receiver, "/log", "succeeded"),
    ]
    play = await stage.play(approval=True, notify=hooks)
    play.script.hold()
    running = await play.start("1.0", reason="try")
    await running.until("awaiting")
    await running.said.approve()
    await play.under_way(2)
    await running.said.pause("look <!channel> @here")
    await running.until("paused")
    await running.said.resume()
    await running.until("running")
    await running.said.pause("again")
    await running.until("paused")
    await running.said.resume()
    play.script.let_go()
    assert (await running.result()).state == "succeeded"
    await until_told(receiver, "/people", 4)
    await until_told(receiver, "/log", 1)

    assert sorted(receiver.states("/people")) == ["awaiting", "paused", "paused", "succeeded"]
    assert receiver.states("/log") == ["succeeded"]
    posts = {post.body["state"]: post for post in reversed(receiver.at("/people"))}
    label = f"{play.application}/prod#1"
    page = f"http://ui/{running.id}"
    paused = posts["paused"].body
    assert datetime.fromisoformat(paused.pop("at")).utcoffset() is not None
    assert paused.pop("text") == (
        f"{label} paused: nothing → 1.0\n"
        "paused: look &lt;!channel&gt; @\u200bhere (ada)\n"
        f"4 pending\nNext: apollo resume {play.application}/prod\n{page}"
    )
    assert paused == {
        "deployment": label,
        "application": play.application,
        "environment": "prod",
        "release": "1.0",
        "previous_release": "",
        "state": "paused",
        "detail": "paused: look <!channel> @here (ada)",
        "outcomes": {"pending": 4},
        "links": {"temporal": page},
        "next": f"apollo resume {play.application}/prod",
    }
    assert posts["awaiting"].body["next"] == f"apollo approve {play.application}/prod"
    assert posts["awaiting"].body["detail"] == "the deployment waits for approval"
    assert posts["succeeded"].body["next"] == f"apollo show {label}"
    assert posts["succeeded"].body["outcomes"] == {"updated": 4}
    keys = [post.key for post in receiver.posts if post.body["deployment"] == label]
    assert len(set(keys)) == len(keys) == 5
    assert posts["paused"].headers["content-type"] == "application/json"
    assert sorted(await notifications(play)) == sorted(
        notification(running, number, state)
        for number, state in enumerate(["awaiting", "paused", "paused", "succeeded"], 1)
    )
    assert failures(await running.events()) == []


async def test_a_rollback_is_told_with_what_it_went_back_to(
    stage: Stage, receiver: Receiver
) -> None:
    play = await stage.play(notify=[told(receiver, "/back")])
    await play.deploy("1.0")
    play.script.fail("h1", end=Outcome.REVERTED)
    assert (await play.deploy("1.1")).state == "rolled_back"
    await until_told(receiver, "/back", 1)

    (post,) = receiver.at("/back")
    assert (post.body["state"], post.body["previous_release"]) == ("rolled_back", "1.0")
    assert post.body["text"].startswith(f"{play.application}/prod#2 rolled back: 1.0 → 1.1\n1 host")
    assert post.body["outcomes"]["reverted"] == 1


async def test_a_receiver_that_is_down_is_told_later_with_the_same_key(
    stage: Stage, receiver: Receiver
) -> None:
    receiver.answers["/down"] = ["503", "429 1", "204"]
    play = await stage.play(notify=[told(receiver, "/down", "succeeded")])
    running = await play.start()
    await running.result()
    await until_told(receiver, "/down", 3)

    handle = stage.client.get_workflow_handle(notification(running, 1, "succeeded"))
    assert await handle.result() == [f"http://127.0.0.1:{receiver.port}/… answered 204"]
    posts = receiver.at("/down")
    assert len({post.key for post in posts}) == 1
    assert [post.body for post in posts] == [posts[0].body] * 3


async def test_a_receiver_that_never_answers_holds_nobody_up(
    stage: Stage, receiver: Receiver
) -> None:
    receiver.answers["/hang"] = ["hang"]
    hooks = [told(receiver, "/hang", "succeeded"), told(receiver, "/swift", "succeeded")]
    play = await stage.play(notify=hooks)
    running = await play.start()
    await until_told(receiver, "/hang", 1)
    assert (await running.result()).state == "succeeded"
    await until_told(receiver, "/swift", 1)

    handle = stage.client.get_workflow_handle(notification(running, 1, "succeeded"))
    assert (await running.describe()).status is WorkflowExecutionStatus.COMPLETED
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await handle.terminate()


async def test_a_receiver_that_refuses_is_asked_once_and_that_is_seen(
    stage: Stage, receiver: Receiver
) -> None:
    receiver.answers |= {"/gone": ["404"], "/moved": ["302 /elsewhere"]}
    hooks = [told(receiver, path, "succeeded") for path in ("/gone", "/moved", "/well")]
    play = await stage.play(notify=hooks)
    running = await play.start()
    assert (await running.result()).state == "succeeded"

    handle = stage.client.get_workflow_handle(notification(running, 1, "succeeded"))
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    where = f"http://127.0.0.1:{receiver.port}/…"
    assert str(caught.value.cause) == (
        f"Undelivered: 2 of 3 webhooks were not told: {where} answered 404; "
        f"{where} answered 302; redirects are not followed"
    )
    counts = [len(receiver.at(path)) for path in ("/gone", "/moved", "/elsewhere", "/well")]
    assert counts == [1, 1, 0, 1]


async def test_nobody_asked_so_nothing_is_started(stage: Stage, receiver: Receiver) -> None:
    play = await stage.play()
    other = await stage.play(notify=[told(receiver, "/other", "succeeded")])
    await play.deploy()
    await other.deploy()

    assert len(await notifications(other)) == 1
    assert await notifications(play) == []


async def everything(play: Play) -> bytes:
    """All that Temporal keeps of an application's workflows: histories, and what is pending."""
    client = play.stage.client
    found = []
    async for each in client.list_workflows(f'ApolloApplication = "{play.application}"'):
        handle = client.get_workflow_handle(each.id)
        found += [event.SerializeToString() async for event in handle.fetch_history_events()]
        found.append((await handle.describe()).raw_description.SerializeToString())
    assert len(found) > 10
    return b"".join(found)


async def test_the_url_of_a_webhook_is_in_no_history_and_in_no_log(
    stage: Stage,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    nowhere = "http://127.0.0.1:1"
    monkeypatch.setenv("APOLLO_SECRET_GOOD", receiver.url(f"/{SECRET}/good"))
    monkeypatch.setenv("APOLLO_SECRET_GONE", receiver.url(f"/{SECRET}/gone"))
    monkeypatch.setenv("APOLLO_SECRET_DOWN", f"{nowhere}/{SECRET}")
    monkeypatch.setenv("APOLLO_SECRET_ODD", SECRET)
    receiver.answers[f"/{SECRET}/gone"] = ["404"]
    references = [f"env:APOLLO_SECRET_{name}" for name in ("GOOD", "GONE", "DOWN", "ODD", "NONE")]
    plain = receiver.url(f"/{SECRET}/plain")
    hooks = [Webhook(webhook=each, on=("succeeded",)) for each in (*references, plain)]
    play = await stage.play(notify=hooks)
    running = await play.start()
    await running.result()
    await until_told(receiver, f"/{SECRET}/plain", 1)
    handle = stage.client.get_workflow_handle(notification(running, 1, "succeeded"))

    async def three_fail() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return sum(bool(each.last_failure.message) for each in pending) == 3

    await until(three_fail, "three go on trying")
    pending = (await handle.describe()).raw_description.pending_activities
    assert sorted(each.last_failure.message for each in pending) == [
        "http://127.0.0.1:1/…: ConnectError",
        "secret webhook: the worker has no variable APOLLO_SECRET_NONE",
        "the webhook is no URL of https or http",
    ]
    assert len(receiver.at(f"/{SECRET}/good")) == 1
    assert SECRET.encode() not in await everything(play)
    assert "/…: ConnectError" in caplog.text
    assert SECRET not in caplog.text
    await handle.terminate()

    control = await stage.play()
    await control.deploy(reason=f"to show that it would be found: {SECRET}")
    assert SECRET.encode() in await everything(control)


async def test_one_gate_after_the_other_is_told_each_time(stage: Stage, receiver: Receiver) -> None:
    hooks = [told(receiver, "/gates", "awaiting")]
    waves = [{"share": "100%", "approval": True}]
    play = await stage.play(approval=True, waves=waves, notify=hooks)
    running = await play.start()
    for number, gate in enumerate(("the deployment", "wave 1"), 1):
        await until_told(receiver, "/gates", number)
        await until(lambda gate=gate: waits(running, gate), f"{gate} waits")  # type: ignore[misc]
        await running.said.approve()
    assert (await running.result()).state == "succeeded"

    details = [post.body["detail"] for post in receiver.at("/gates")]
    assert details == ["the deployment waits for approval", "wave 1 waits for approval"]


async def waits(running: Running, gate: str) -> bool:
    return (await running.stored()).detail == f"{gate} waits for approval"


async def test_another_detail_of_the_same_state_is_not_told(
    stage: Stage, receiver: Receiver
) -> None:
    play = await stage.play(notify=[told(receiver, "/once", "paused", "succeeded")])
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    await running.said.pause("look")
    await until_told(receiver, "/once", 1)
    await stage.client.get_workflow_handle(running.batch()).terminate()

    async def died() -> bool:
        return (await running.stored()).detail.startswith("batch 1 was ended")

    await until(died, "the detail is another")
    await running.said.resume()
    play.script.let_go()
    assert (await running.result()).state == "succeeded"
    await until_told(receiver, "/once", 2)

    assert receiver.states("/once") == ["paused", "succeeded"]


async def test_the_worker_that_is_shipped_carries_notifications_out(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", identity="ada")
    async with TemporalServer(tmp_path / "temporal") as server:
        client = await Client.connect(server.address, data_converter=data_converter())
        given = NotificationInput(
            deployment="nobody-knows-it",
            workflow_id="x",
            label="shop/prod#1",
            number=1,
            state=DeploymentState.PAUSED,
            at="",
            hooks=(0,),
        )
        async with running_worker(client, settings, "control"):
            with pytest.raises(WorkflowFailureError) as caught:
                await client.execute_workflow(
                    Notification.run, given, id="n", task_queue=names.CONTROL_QUEUE
                )
    assert "no deployment" in str(caught.value.cause)
