"""What the tests of a module share: one fleet behind one Caddy."""

from collections.abc import AsyncIterator

import pytest

from apollo.local.caddy import CaddyServer
from tests.support.show import FLEET, Show
from tests.support.world import World


@pytest.fixture(scope="module")
async def show(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Show]:
    """Twelve hosts in three locations, and a worker; nothing is deployed yet."""
    folder = tmp_path_factory.mktemp("show")
    async with World(folder, FLEET) as world:
        upstreams = {host.name: host.app_port for host in world.fleet.hosts}
        async with CaddyServer(folder / "caddy", upstreams) as caddy:
            world.start_worker()
            yield Show(world, caddy)
