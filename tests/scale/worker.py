"""A worker process: Apollo's own with simulated hosts, or one of the same settings that idles."""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack

from apollo import names
from apollo.settings import Settings, leave
from apollo.telemetry.logs import configure_logging
from apollo.wiring import StoredManifests, connect_temporal, open_store
from apollo.workers.worker import collect_rarely, control_worker, hosts_worker, running
from tests.scale.hosts import SimulatedHosts
from tests.scale.idle import Idle, Nothing


async def work(role: str, seed: int) -> None:
    """Work until SIGTERM."""
    configure_logging()
    collect_rarely()
    settings, stop = Settings(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await connect_temporal(settings)
    hosts = SimulatedHosts(StoredManifests(open_store(settings)), seed)
    async with AsyncExitStack() as stack:
        if role == "idle-control":
            await stack.enter_async_context(control_worker(client, settings, [Idle]))
        elif role == "idle-hosts":
            idle = hosts_worker(client, settings, names.HOSTS_QUEUE, Nothing())
            await stack.enter_async_context(idle)
        else:
            assert role in ("control", "hosts"), role
            await stack.enter_async_context(running(client, settings, role, hosts=hosts))  # type: ignore[arg-type]
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2])))
    leave(0)
