"""`apollo cluster setup` on a real server, judged by the `temporal` program."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client

from apollo import names
from apollo.cluster import Poller, ensure_search_attributes, pollers, set_up
from apollo.errors import Unavailable
from apollo.local.process import find_program
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from apollo.testing.ports import ReservedPort
from apollo.workers.worker import running
from tests.cli.conftest import Shop

MONTH, PATIENCE = timedelta(days=30), timedelta(seconds=30)
OURS = {
    "ApolloApplication": "Keyword",
    "ApolloEnvironment": "Keyword",
    "ApolloRelease": "Keyword",
    "ApolloState": "Keyword",
    "ApolloDeployment": "Keyword",
    "ApolloHosts": "Int",
    "ApolloFailures": "Int",
}


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TemporalServer]:
    async with TemporalServer(tmp_path_factory.mktemp("temporal")) as server:
        yield server


@pytest.fixture
def temporal(shop: Shop, server: TemporalServer, monkeypatch: pytest.MonkeyPatch) -> TemporalServer:
    """The server, which the command line uses too."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
    return server


def operator(server: TemporalServer, *words: str) -> Any:
    """What the `temporal` program says."""
    command = [find_program("temporal"), "operator", *words, "--address", server.address]
    done = subprocess.run([*command, "-o", "json"], check=True, capture_output=True)
    return json.loads(done.stdout or b"null")


def attributes(server: TemporalServer, namespace: str) -> dict[str, str]:
    found = operator(server, "search-attribute", "list", "-n", namespace)
    return {
        name: kind.removeprefix("INDEXED_VALUE_TYPE_").title()
        for name, kind in found["customAttributes"].items()
    }


def namespace_of(server: TemporalServer, name: str, **wanted: str) -> None:
    """Make a namespace with search attributes of somebody else's."""
    operator(server, "namespace", "create", "-n", name)
    for attribute, kind in wanted.items():
        words = ("search-attribute", "create", "-n", name, "--name", attribute, "--type", kind)
        for _ in range(100):  # the server knows a new namespace only after a while
            with contextlib.suppress(subprocess.CalledProcessError):
                operator(server, *words)
                break


def run_setup(shop: Shop, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shop.good("cluster", "setup", *words, "--json").out)
    return found


def test_it_makes_what_is_missing_once(shop: Shop, temporal: TemporalServer) -> None:
    first = run_setup(shop, "--namespace", "deploy", "--retention", "7d")
    again = run_setup(shop, "--namespace", "deploy")

    assert attributes(temporal, "deploy") == OURS
    described = operator(temporal, "namespace", "describe", "-n", "deploy")
    assert described["config"]["workflowExecutionRetentionTtl"] == "604800s"
    assert first["namespace_made"]
    assert set(first["search_attributes_made"]) == OURS.keys()
    assert not again["namespace_made"]
    assert again["search_attributes_made"] == []
    assert again["retention_seconds"] == 7 * 86400
    out = shop.good("cluster", "setup", "--namespace", "deploy").out
    assert "✔ namespace deploy: there already, keeps what has ended for 7 days" in out
    assert out.count("there already") == 1 + len(OURS)


async def test_several_at_once_make_it_once(server: TemporalServer, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPORAL_ADDRESS", server.address)
        found = await asyncio.gather(
            *(set_up(settings, MONTH, PATIENCE, "crowd") for _ in range(4))
        )

    assert [each.namespace_made for each in found].count(True) == 1
    assert attributes(server, "crowd") == OURS
    assert {name for each in found for name in each.made} == OURS.keys()


def test_an_attribute_of_another_type_is_refused(shop: Shop, temporal: TemporalServer) -> None:
    namespace_of(temporal, "mixed", ApolloState="Text")

    said = shop("cluster", "setup", "--namespace", "mixed")

    assert said.code == 5
    assert "ApolloState of the namespace mixed is Text; Apollo needs Keyword" in said.err
    assert attributes(temporal, "mixed") == {"ApolloState": "Text"}


def test_a_full_namespace_is_refused_and_says_who_fills_it(
    shop: Shop, temporal: TemporalServer
) -> None:
    namespace_of(temporal, "full", **{f"Other{n}": "Keyword" for n in range(6)})

    said = shop("cluster", "setup", "--namespace", "full")

    assert said.code == 5
    assert "takes no more search attributes" in said.err
    assert "Other0, Other1" in said.err


def test_no_server_in_time_is_told(shop: Shop) -> None:
    said = shop("cluster", "setup", "--wait", "0s")

    assert said.code == 1
    assert "no Temporal server answers at 127.0.0.1:1" in said.err


@pytest.mark.parametrize("words", [("--retention", "2h"), ("--retention", "x"), ("--wait", "x")])
def test_durations_are_checked(shop: Shop, words: tuple[str, str]) -> None:
    said = shop("cluster", "setup", *words)

    assert said.code == 2
    assert " ".join(words) in said.err


async def test_it_waits_for_a_server_that_comes_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = ReservedPort()
    number = port.number
    port.release()
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{number}")
    task = asyncio.create_task(set_up(Settings(home=tmp_path), MONTH, PATIENCE, "late"))
    async with TemporalServer(tmp_path, number):
        found = await task

    assert found.namespace_made


async def first_poller(client: Client, queue: str) -> Poller:
    for _ in range(200):
        if found := await pollers(client, queue):
            return found[0]
        await asyncio.sleep(0.05)
    raise AssertionError(f"nobody polls {queue}")


async def test_it_says_who_polls(server: TemporalServer, tmp_path: Path) -> None:
    client = await Client.connect(server.address)
    assert await pollers(client, f"{names.HOSTS_QUEUE}-far") == []
    async with running(client, Settings(home=tmp_path), "hosts", ["far"]):
        found = await first_poller(client, f"{names.HOSTS_QUEUE}-far")

    assert found.identity.startswith(f"{names.HOSTS_QUEUE}-far@")


async def test_a_worker_needs_no_right_to_list_attributes_that_are_there(
    server: TemporalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def denied(_: Client) -> list[str]:
        raise Unavailable("Request unauthorized.")

    monkeypatch.setattr("apollo.workers.worker.ensure_search_attributes", denied)
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
    await set_up(Settings(home=tmp_path), MONTH, PATIENCE, "cloud")
    client = await Client.connect(server.address, namespace="cloud")
    async with running(client, Settings(home=tmp_path, grace=0), "control"):
        found = await first_poller(client, names.CONTROL_QUEUE)

    assert found.identity.startswith("control@")


async def test_a_namespace_that_is_not_there_is_unavailable(server: TemporalServer) -> None:
    client = await Client.connect(server.address, namespace="nowhere")
    with pytest.raises(Unavailable, match="nowhere"):
        await ensure_search_attributes(client)
    with pytest.raises(Unavailable, match="nowhere"):
        await pollers(client, names.CONTROL_QUEUE)
