"""What is told to webhooks, and how posting to them may go."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import get_args

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from apollo import webhooks
from apollo.domain.controls import Controls
from apollo.domain.environment import TROUBLE, StateName, Webhook
from apollo.domain.notification import (
    NotificationInput,
    NotifyInput,
    Told,
    message,
    next_command,
    shown_webhook,
)
from apollo.domain.status import DeploymentState
from apollo.errors import ApolloError, Undelivered, WebhookRefused
from apollo.links import temporal_link
from apollo.settings import Settings
from apollo.webhooks import post
from tests.support.receiver import Receiver, receiving


def told(state: DeploymentState, detail: str = "", number: int = 1) -> NotificationInput:
    return NotificationInput(
        deployment="d1",
        workflow_id="deployment/shop/prod/x",
        label="shop/prod#42",
        number=number,
        state=state,
        detail=detail,
        at="2027-01-01T00:00:00+00:00",
        hooks=(0,),
    )


def test_the_names_of_states_are_all_states() -> None:
    assert get_args(StateName) == tuple(map(str, DeploymentState))
    assert set(TROUBLE) < set(get_args(StateName))
    assert Webhook(webhook="env:X").on == TROUBLE


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (DeploymentState.PAUSED, "apollo resume shop/prod"),
        (DeploymentState.AWAITING, "apollo approve shop/prod"),
        (DeploymentState.BAKING, "apollo watch shop/prod"),
        (DeploymentState.ROLLING_BACK, "apollo watch shop/prod"),
        (DeploymentState.PARTIAL, "apollo show shop/prod#42"),
        (DeploymentState.ROLLED_BACK, "apollo show shop/prod#42"),
    ],
)
def test_the_next_step(state: DeploymentState, command: str) -> None:
    assert next_command(state, "shop/prod#42") == command


@given(st.sampled_from(list(DeploymentState)), st.text(max_size=3000))
def test_a_body_is_small_and_its_text_calls_nobody(state: DeploymentState, detail: str) -> None:
    body = message(told(state, detail), Told(release="1.1", previous_release="1.0"), "")

    assert len(body["text"]) < 3500
    assert not set("<>") & set(body["text"])
    assert "@" not in body["text"].replace("@\u200b", "")
    assert (body["application"], body["environment"]) == ("shop", "prod")
    assert (body["links"], body["detail"]) == ({}, detail)
    json.dumps(body).encode()


def test_one_entry_into_a_state_is_told_from_the_next() -> None:
    controls = Controls()
    controls.base, controls.gate = DeploymentState.AWAITING, "the deployment"
    seen = [controls.entry]
    controls.gate = "wave 1"
    seen.append(controls.entry)
    controls.pause("look")
    seen.append(controls.entry)
    controls.pause_itself("a batch has died")
    assert controls.entry == seen[-1], "it is paused as before; only the detail is another"
    controls.resume()
    controls.pause("look")
    seen.append(controls.entry)

    assert [state for state, *_ in seen] == ["awaiting", "awaiting", "paused", "paused"]
    assert len(set(seen)) == 4


def test_each_webhook_of_each_notification_has_a_key_of_its_own() -> None:
    keys = {
        NotifyInput(notification=told(state, number=number), hook=hook).key
        for state in (DeploymentState.PAUSED, DeploymentState.FAILED)
        for number in (1, 2)
        for hook in (0, 1)
    }
    assert len(keys) == 8


@pytest.mark.parametrize(
    ("webhook", "shown"),
    [
        ("https://chat.example/hooks/T0/B0?key=1", "https://chat.example/…"),
        ("https://user:word@chat.example:8443/x", "https://chat.example:8443/…"),
        ("http://[::1]:80/x", "http://::1:80/…"),
        ("https://chat.example:port/x", "a URL that cannot be read"),
        ("env:APOLLO_SECRET_HOOK", "env:APOLLO_SECRET_HOOK"),
    ],
)
def test_no_more_than_scheme_and_host_are_shown(webhook: str, shown: str) -> None:
    assert shown_webhook(webhook) == shown


def test_links_lead_to_the_address_that_is_set(tmp_path: object) -> None:
    settings = Settings(home=str(tmp_path), ui="https://temporal.example/")  # type: ignore[arg-type]

    link = temporal_link(settings, "deployment/shop/prod/x")
    assert link == (
        "https://temporal.example/namespaces/default/workflows/deployment%2Fshop%2Fprod%2Fx"
    )
    assert temporal_link(Settings(home=str(tmp_path)), "x") == ""  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def failed(url: str) -> ApolloError:
    with pytest.raises(ApolloError) as caught:
        await post(url, {"text": "x"}, "key")
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    assert "/secret" not in str(error)
    return error


async def test_what_is_worth_another_attempt(receiver: Receiver) -> None:
    answers = ["200", "204", "301", "400", "403", "404", "408", "425", "429", "500", "503"]
    receiver.answers["/secret"] = answers
    url = receiver.url("/secret")
    assert [await post(url, {"text": "x"}, "key") for _ in range(2)] == [200, 204]
    kinds = [type(await failed(url)) for _ in answers[2:]]
    assert kinds == [WebhookRefused] * 4 + [Undelivered] * 5
    assert {each.key for each in receiver.posts} == {"key"}
    assert receiver.posts[0].body == {"text": "x"}


async def test_the_pause_that_is_asked_for_is_made_within_reason(receiver: Receiver) -> None:
    receiver.answers["/secret"] = ["429 7", "503 999999999999", "503 Wed, 21 Oct 2027 07:28:00 GMT"]
    pauses = [await failed(receiver.url("/secret")) for _ in range(3)]
    assert [getattr(each, "after", 0) for each in pauses] == [
        timedelta(seconds=7),
        timedelta(hours=1),
        None,
    ]


async def test_nobody_waits_for_longer_than_the_timeout(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT", 0.2)
    receiver.answers["/secret"] = ["hang"]
    async with asyncio.timeout(60):
        error = await failed(receiver.url("/secret"))
    assert isinstance(error, Undelivered)
    assert "gave no answer within" in error.message


@pytest.mark.parametrize(
    "url", ["", "secret", "ftp://x/secret", "http://", "https://x:port/secret", "http://[/secret"]
)
async def test_what_is_no_url_is_not_shown(url: str) -> None:
    error = await failed(url)
    assert isinstance(error, Undelivered)
    assert "secret" not in error.message
