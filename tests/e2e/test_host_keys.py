"""Whose host keys are trusted, by whom they are asked for, and that only those are let through."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from apollo.client import talk
from apollo.domain.rollout import DeploymentResult
from apollo.errors import NotFound, Unavailable
from apollo.files.environment import resolve
from apollo.files.project import load_project
from apollo.workers.worker import running
from apollo.workflows import options
from tests.support.world import APPLICATION, World

STRATEGY = "strategy: {waves: [100%], max_unavailable: 100%, max_unreachable: 100%}"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A host in each of two locations, of which one has workers of its own; no key is known."""
    async with World(tmp_path, {"fra1": 1, "ams1": 1}) as world:
        yield world


async def apply(world: World, host_keys: str = "known") -> None:
    """Apply the environment with an inventory that names no host key."""
    text = APPLICATION.format(hook_log=world.hook_log, environment=STRATEGY)
    fleet = f"{{inventory: fleet.yaml, host_keys: {host_keys}}}"
    inventory = re.sub(r', "host_key": "[^"]*"', "", world.fleet.inventory_yaml())
    assert "ssh-" not in inventory
    (world.folder / "apollo.yaml").write_text(text.replace("{inventory: fleet.yaml}", fleet))
    (world.folder / "fleet.yaml").write_text(
        inventory.replace("  ams1:\n", "  ams1:\n    own_workers: true\n")
    )
    world.project = load_project(world.folder)
    await world.apollo.apply(resolve(world.project, "prod"), ["prod"])


async def start(world: World, stack: AsyncExitStack, *locations: str) -> None:
    """A worker in this process: for hosts of these locations, or for control and the others."""
    client, role = await world.apollo.temporal(), "hosts" if locations else "all"
    await stack.enter_async_context(
        running(client, world.settings, role, locations)  # type: ignore[arg-type]
    )


async def trust(world: World, *tokens: str) -> dict[str, dict[str, object]]:
    """What `apollo hosts trust` finds, by host."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "apollo.cli", "hosts", "trust", "shop/prod", "--yes", "--json", *tokens),
        env={**os.environ, "APOLLO_HOME": str(world.settings.home), "APOLLO_IDENTITY": "ada"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return {each["host"]: each for each in json.loads(out)["hosts"]}


async def errors(world: World, result: DeploymentResult) -> dict[str, str]:
    """Host → error of its turn."""
    number = int(result.label.partition("#")[2])
    rows = await (await world.apollo.deployment("shop", "prod", number)).rows()
    return {row.host: row.record.error if row.record else "none" for row in rows}


async def test_the_workers_that_reach_a_host_ask_it_and_what_is_trusted_is_let_through(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one types all hosts can be reached, yet only those with a worker are asked."""
    monkeypatch.setattr(options, "WORKER_WAIT", timedelta(seconds=3))
    await apply(world)
    await world.release("1.0")
    names = {host.location: host.name for host in world.fleet.hosts}
    async with AsyncExitStack() as stack:
        await start(world, stack)
        alone = await trust(world)
        await start(world, stack, "ams1")
        before = await world.deploy("1.0")
        both = await trust(world)
        after = await world.deploy("1.0")
        await world.fleet.rekey(names["fra1"])
        changed = await world.deploy("1.0", redeploy=True)
        kept = await trust(world)
        await trust(world, "--replace", names["fra1"])
        replaced = await world.deploy("1.0", redeploy=True)

    assert {name: each["found"] for name, each in alone.items()} == {
        names["fra1"]: "new",
        names["ams1"]: "unreachable",
    }
    assert "no worker of apollo-hosts-ams1" in str(alone[names["ams1"]]["message"])
    assert (await errors(world, before))[names["ams1"]] == "HostKeyUnknown"
    assert both[names["ams1"]]["found"] == "new"
    assert set((await errors(world, after)).values()) == {""}
    assert (await errors(world, changed))[names["fra1"]] == "HostKeyChanged"
    assert (kept[names["fra1"]]["found"], kept[names["fra1"]]["trusted_now"]) == ("changed", False)
    assert set((await errors(world, replaced)).values()) == {""}
    audited = await world.apollo.audit("shop", "prod")
    assert [each.identity for each in audited if each.action == "hosts trust"] == ["ada"] * 3


async def test_a_key_accepted_at_first_use_is_kept_audited_and_the_only_one_from_then_on(
    world: World,
) -> None:
    await apply(world, "first_use")
    await world.release("1.0")
    async with AsyncExitStack() as stack:
        await start(world, stack)
        await start(world, stack, "ams1")
        first = await world.deploy("1.0")
        kept = await world.apollo.catalog.keys.lines("shop", "prod")
        (rebuilt, other) = world.fleet.hosts
        await world.fleet.rekey(rebuilt.name)
        second = await world.deploy("1.0", redeploy=True)

    assert first.outcomes == {"updated": 2}
    assert kept[other.name] == [other.host_key]
    assert len(kept[rebuilt.name]) == 1
    assert await world.apollo.catalog.keys.lines("shop", "prod") == kept
    assert await errors(world, second) == {rebuilt.name: "HostKeyChanged", other.name: ""}
    audited = [e for e in await world.apollo.audit("shop", "prod") if e.action == "hosts trust"]
    assert {(e.identity, e.reason) for e in audited} == {("first_use", "seen by shop/prod#1")}


async def test_a_scan_that_no_worker_takes_says_so_and_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talk, "PATIENCE", 1.0)
    await apply(world)

    with pytest.raises(Unavailable, match="no worker has taken the scan") as told:
        await world.apollo.scan_keys("shop", "prod")
    assert "apollo worker" in told.value.hint

    async with AsyncExitStack() as stack:
        monkeypatch.setattr(talk, "PATIENCE", 20.0)
        await start(world, stack)
        with pytest.raises(NotFound):
            await world.apollo.scan_keys("shop", "nowhere")
