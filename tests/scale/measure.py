"""One size of fleet: a server, two workers, a deployment, and what all of them took."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client

from apollo import names
from apollo.client import Apollo
from apollo.cluster import pollers
from apollo.codec import data_converter
from apollo.domain.capacity import allowance, lanes, side_by_side
from apollo.domain.rollout import DeploymentResult
from apollo.local.process import Program
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from tests.scale import fleet
from tests.scale.histories import Weight, weigh
from tests.scale.idle import BATCH, Idle

PATIENCE = 60
EMPTY = 25_000
"""Empty activities at the most; of smaller fleets as many as there are hosts."""
LOOK = 0.5
"""Seconds between two looks at how fast the processor is."""
PEAK = "VmHWM"
NOW = "VmRSS"


@dataclass(frozen=True)
class Passed:
    """Time that has passed, and what the processors were good for meanwhile."""

    seconds: float
    free: float
    """The part of the processors that others left."""
    piece: float
    """The processor's seconds that a piece of work took which is always the same."""
    spent: float
    """The processor's seconds that our own processes had."""

    def even(self, rate: float) -> float:
        """The rate as if the processors had been ours alone, and as fast as at any other time.

        Instead of seconds it counts in pieces of work.
        """
        return rate / self.free * self.piece


@dataclass(frozen=True)
class Memory:
    """Resident bytes of a process: before it had work, and at the peak."""

    before: int
    peak: int

    @property
    def grown(self) -> int:
        """What the work took."""
        return self.peak - self.before


@dataclass(frozen=True)
class Idleness:
    """What empty activities take: how many a second, and the processor's seconds for each."""

    run: str
    """What the ids of their workflows begin with."""
    rate: float
    cost: float
    passed: "Passed"
    spent: dict[str, float]
    """`control`, `hosts`, `server` → its part of the processor's seconds."""
    dense: float = 0.0
    """The rate but for the first and the last fifth of them."""


@dataclass(frozen=True)
class Measured:
    """What a deployment of so many hosts took."""

    hosts: int
    passed: "Passed"
    idle: Sequence["Idleness"]
    """Empty activities on the same server and settings, before and after."""
    weight: Weight
    memory: dict[str, Memory]
    """`control`, `hosts`, `server` → theirs."""
    spent: dict[str, float]
    """The same → how many seconds of the processor it took."""
    catalog: int
    result: DeploymentResult

    @property
    def rate(self) -> float:
        """Hosts per second, from the request to the end."""
        return self.hosts / self.passed.seconds

    @property
    def idle_rate(self) -> float:
        """Empty activities per second."""
        return statistics.fmean(each.rate for each in self.idle)

    @property
    def cost(self) -> float:
        """The processor's seconds for each host, all processes together."""
        return sum(self.spent.values()) / self.hosts

    @property
    def idle_cost(self) -> float:
        """The same for each empty activity."""
        return statistics.fmean(each.cost for each in self.idle)

    def idle_spent(self, process: str) -> float:
        """The part that the process had in it."""
        return statistics.fmean(each.spent[process] for each in self.idle)

    @property
    def share(self) -> float:
        """Of the rate of empty activities, both on processors that are ours and equally fast."""
        idle = statistics.fmean(each.passed.even(each.rate) for each in self.idle)
        return self.passed.even(self.rate) / idle

    @property
    def dense_share(self) -> float:
        """The same of the rates while neither the first nor the last of them end."""
        idle = statistics.fmean(each.passed.even(each.dense) for each in self.idle)
        return self.passed.even(self.weight.dense) / idle

    @property
    def events(self) -> float:
        """Per host."""
        return self.weight.events / self.hosts

    def per_host(self, process: str) -> float:
        """Bytes that the process took for each host."""
        return self.memory[process].grown / self.hosts


class Clock:
    """Time that passes, whose the processors are meanwhile, and how fast they are."""

    def __init__(self, ours: Sequence[int]) -> None:
        self._ours = ours
        self._began, self._spent, self._busy = time.monotonic(), self._our_time(), _busy()
        self._pieces: list[float] = []
        self._looking = asyncio.create_task(self._look())

    def read(self) -> Passed:
        """What has passed since it began; it ends."""
        self._looking.cancel()
        took, ours = time.monotonic() - self._began, self._our_time() - self._spent
        others = max(0.0, _busy() - self._busy - ours)
        free = max(0.05, 1 - others / took / (os.cpu_count() or 1))
        return Passed(took, free, statistics.median(self._pieces), ours)

    async def _look(self) -> None:
        """On shared machines the same work takes now more, now less of the processor's time."""
        while True:
            began = time.thread_time()
            sum(range(100_000))
            self._pieces.append(time.thread_time() - began)
            await asyncio.sleep(LOOK)

    def _our_time(self) -> float:
        return sum(map(_spent, self._ours))


async def measure(folder: Path, hosts: int, seed: int) -> Measured:
    """Deploy to so many simulated hosts."""
    settings = Settings(
        home=folder / "home", identity="scale", store_public_url="http://store.example"
    )
    server = TemporalServer(folder / "temporal")
    async with server, Apollo.connect(settings) as apollo:
        client = await Client.connect(server.address, data_converter=data_converter())
        apollo._temporal = client
        await fleet.found(apollo, folder, hosts)
        fresh = _memory(server.pid, NOW)  # what empty activities leave would hide what turns take
        idle = [await _idle(client, folder, server, hosts)]
        async with _workers(client, folder, server, "", seed) as processes:
            processes["server"] = server.pid
            before = {name: _memory(pid, NOW) for name, pid in processes.items()}
            before["server"] = fresh
            spent = {name: _spent(pid) for name, pid in processes.items()}
            clock = Clock([*processes.values(), os.getpid()])
            deployment = await apollo.deploy("shop", "prod", "2.0")
            result = await deployment.result()
            passed = clock.read()
            spent = {name: _spent(pid) - spent[name] for name, pid in processes.items()}
            memory = {
                name: Memory(before[name], _memory(pid, PEAK)) for name, pid in processes.items()
            }
        weight = await weigh(client, deployment.workflow_id)
        idle.append(await _idle(client, folder, server, hosts))
        # not before: reading histories takes the server's memory
        idle = [replace(each, dense=(await weigh(client, each.run)).dense) for each in idle]
    return Measured(
        hosts=hosts,
        passed=passed,
        idle=idle,
        weight=weight,
        memory=memory,
        spent=spent,
        catalog=sum(file.stat().st_size for file in settings.home.glob("catalog.db*")),
        result=result,
    )


async def _idle(client: Client, folder: Path, server: TemporalServer, hosts: int) -> Idleness:
    """Empty activities instead of turns."""
    count, run = min(hosts, EMPTY), f"idle/{uuid4()}"
    async with _workers(client, folder, server, "idle-", 0) as processes:
        await _run_idle(client, f"begun/{uuid4()}", 10, 10)  # both workers have begun
        processes["server"] = server.pid
        before = {name: _spent(pid) for name, pid in processes.items()}
        clock = Clock([*processes.values(), os.getpid()])
        await _run_batches(client, run, count, hosts)
        passed = clock.read()
        spent = {name: (_spent(pid) - before[name]) / count for name, pid in processes.items()}
        return Idleness(run, count / passed.seconds, passed.spent / count, passed, spent)


async def _run_batches(client: Client, run: str, count: int, hosts: int) -> None:
    """As the deployment's batches: as large, as many side by side, with as many lanes."""
    sizes = fleet.fleet(hosts).sizes()
    allowed = allowance(fleet.environment(hosts).strategy.max_unavailable, sizes)
    places, width = sum(lanes(allowed, list(sizes)).values()), side_by_side(allowed, BATCH)
    room = asyncio.Semaphore(width)

    async def batch(number: int, first: int) -> None:
        async with room:
            size = min(BATCH, count - first)
            await _run_idle(client, f"{run}/{number}", size, places // width)

    await asyncio.gather(*(batch(*each) for each in enumerate(range(0, count, BATCH))))


async def _run_idle(client: Client, name: str, hosts: int, lanes: int) -> None:
    await client.execute_workflow(
        Idle.run, args=[hosts, lanes], id=name, task_queue=names.CONTROL_QUEUE
    )


@asynccontextmanager
async def _workers(
    client: Client, folder: Path, server: TemporalServer, kind: str, seed: int
) -> AsyncIterator[dict[str, int]]:
    """A process for control and one for hosts; their ids."""
    environment = {
        **os.environ,
        "APOLLO_HOME": str(folder / "home"),
        "APOLLO_STORE_PUBLIC_URL": "http://store.example",
        "APOLLO_PULL_ABOVE": "0",
        "TEMPORAL_ADDRESS": server.address,
    }
    programs = {
        role: Program(
            [sys.executable, "-m", "tests.scale.worker", f"{kind}{role}", str(seed)],
            folder / f"{kind}{role}.log",
            environment=environment,
        )
        for role in ("control", "hosts")
    }
    try:
        for program in programs.values():
            program.start()
        pids = {role: program.pid for role, program in programs.items()}
        async with asyncio.timeout(PATIENCE):
            await _polled(client, names.CONTROL_QUEUE, pids["control"])
            await _polled(client, names.HOSTS_QUEUE, pids["hosts"])
        yield pids
    finally:
        await asyncio.gather(*(program.stop(20) for program in programs.values()))


async def _polled(client: Client, queue: str, pid: int) -> None:
    """Return when the process polls the queue."""
    seen = False
    while not seen:
        seen = any(each.identity.endswith(f":{pid}") for each in await pollers(client, queue))
        await asyncio.sleep(0.1)


def _spent(pid: int) -> float:
    """Seconds of the processor that the process has had."""
    status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    user, system = status.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _busy() -> float:
    """Seconds for which the processors have worked, for whomever."""
    user, nice, system, _, _, interrupts, soft, stolen = map(
        int, Path("/proc/stat").read_text(encoding="utf-8").split()[1:9]
    )
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int, which: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(
        int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(which)
    )
