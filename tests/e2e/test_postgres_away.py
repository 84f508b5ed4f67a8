"""The catalog's PostgreSQL crashes in the middle of a deployment, and is away for a while."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from apollo.domain.status import DeploymentState
from apollo.errors import Unavailable
from apollo.local.judge import read_hook_log, repeated_hooks
from tests.support.gate import gated_release, open_gate
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.scene import eventually
from tests.support.witness import locations, versions
from tests.support.world import World

AWAY = float(os.environ.get("APOLLO_AWAY", "30"))
"""Seconds."""
FLEET = {"fra1": 4, "ams1": 4}
STRATEGY = "strategy: {waves: [100%], max_unavailable: 50%}"
STEPS = ("install", "start", "validate")


@pytest.fixture
def server(tmp_path: Path, postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server of its own: others go on while it is away."""
    del postgres  # it is known to be installed
    with postgres_server(tmp_path) as server:
        yield server


async def begun(world: World, step: str, hosts: int) -> None:
    """Wait until a hook has begun on so many hosts."""

    async def so_many() -> bool:
        runs = read_hook_log(world.hook_log)
        return len({run.host for run in runs if run.step == step}) >= hosts

    await eventually(so_many, rounds=1200)


async def told(world: World) -> list[str]:
    """What Temporal's pages say of activities that failed and are tried again."""
    temporal = await world.apollo.temporal()
    found = []
    async for each in temporal.list_workflows('ExecutionStatus = "Running"'):
        described = await temporal.get_workflow_handle(each.id).describe()
        waiting = described.raw_description.pending_activities
        found += [one.last_failure.message for one in waiting if one.HasField("last_failure")]
    return found


async def until_told(world: World) -> str:
    """Wait until Temporal says why something is tried again."""
    found: list[str] = []

    async def said() -> bool:
        found[:] = await told(world)
        return bool(found)

    await eventually(said, rounds=1200)
    return found[0]


async def test_a_server_that_is_away_for_a_while_loses_nothing(
    tmp_path: Path, server: PostgresServer
) -> None:
    url = server.empty(tmp_path / "catalog")
    async with World(tmp_path / "world", FLEET, STRATEGY, catalog=url) as world:
        await gated_release(world, "1.0.0")
        world.start_worker()
        deployment = await world.apollo.deploy("shop", "prod", "1.0.0")
        await begun(world, "start", 4)
        assert await told(world) == [], "the control: nothing fails while it is there"

        server.stop()
        for location in FLEET:
            open_gate(world, location)
        await begun(world, "validate", 4)
        why = await until_told(world)
        with pytest.raises(Unavailable, match="does not answer") as unavailable:
            await deployment.status()
        await asyncio.sleep(AWAY)
        server.start()

        result = await deployment.result()
        status = await deployment.status()
        entries = await world.apollo.catalog.audit.list("shop")
        ran = await versions(world.fleet)
        hosts = list(locations(world.fleet))

    assert "does not answer" in why
    assert "APOLLO_CATALOG" in why
    assert "APOLLO_CATALOG" in unavailable.value.hint
    assert (result.state, result.outcomes) == (DeploymentState.SUCCEEDED, {"updated": 8})
    assert ran == dict.fromkeys(hosts, "1.0.0")
    runs = read_hook_log(world.hook_log)
    assert repeated_hooks(runs) == {}
    assert Counter((run.host, run.step) for run in runs) == {
        (host, step): 1 for host in hosts for step in STEPS
    }
    assert status
    assert {row.host: row.outcome for row in status.rows} == dict.fromkeys(hosts, "updated")
    assert all(row.started_at and row.ended_at for row in status.rows)
    assert [entry.action for entry in entries].count("deploy") == 1
