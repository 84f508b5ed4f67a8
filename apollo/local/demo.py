"""The demonstration: three releases under traffic, a worker killed, a bad release taken back."""

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from apollo.domain.base import parse_share
from apollo.domain.capacity import Allowance, allowance
from apollo.domain.rollout import DeploymentResult
from apollo.domain.status import DeploymentState
from apollo.local.judge import Capacity, CapacitySampler, read_hook_log, repeated_hooks
from apollo.local.stage import MAX_UNAVAILABLE, Stage
from apollo.local.traffic import Report, TrafficProcess
from apollo.testing.artifact import Fault

FIRST, SECOND, BAD = "1.0.0", "2.0.0", "3.0.0"
CUT_STEP = "start"
INTERRUPTED = 130


@dataclass
class Findings:
    """What the judges saw: hooks on the hosts, capacity at the balancer, requests at clients."""

    allowed: Allowance
    results: list[DeploymentResult] = field(default_factory=list)
    traffic: Report = field(default_factory=Report)
    capacity: Capacity = field(default_factory=Capacity)
    hooks: int = 0
    repeated: int = 0
    cut: str = ""
    attached: dict[str, tuple[str, ...]] = field(default_factory=dict)
    serving: dict[str, int] = field(default_factory=dict)

    def mistakes(self) -> list[str]:
        """What is not as promised; nothing when all is well."""
        states = [result.state for result in self.results]
        good, back = DeploymentState.SUCCEEDED, DeploymentState.ROLLED_BACK
        found = {
            f"the deployments ended {', '.join(states)}": states != [good, good, back],
            f"{len(self.traffic.lost)} requests were lost": bool(self.traffic.lost),
            "no request was sent": not self.traffic.sent,
            "more hosts were out than allowed": self._over(),
            f"{self.repeated} hooks were repeated": bool(self.repeated),
            "the killed worker's successor attached to nothing": not self.attached,
            f"the fleet ended on {self.serving}": list(self.serving) != [SECOND],
        }
        return [text for text, wrong in found.items() if wrong]

    def _over(self) -> bool:
        here = self.capacity.by_location
        return self.capacity.in_fleet > self.allowed.fleet or any(
            count > self.allowed.locations[location] for location, count in here.items()
        )


async def run_demo(hosts: int = 12, locations: int = 3, keep: bool = False) -> int:
    """Play it, and print a report.

    Returns:
        0 if no request was lost, no capacity exceeded, no hook repeated, and the fleet ended on
        the second release; 3 if not; 130 if it was interrupted.
    """
    playing = asyncio.create_task(_run(hosts, locations, keep))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    try:
        return 3 if await playing else 0
    except asyncio.CancelledError:
        _say("stopped; nothing is left running")
        return INTERRUPTED


async def _run(hosts: int, locations: int, keep: bool) -> list[str]:
    """Play it and report; what is not as promised."""
    with tempfile.TemporaryDirectory(prefix="apollo-demo-", ignore_cleanup_errors=True) as folder:
        async with Stage(Path(folder), hosts, locations) as stage:
            _say(f"{hosts} hosts in {locations} locations, an application on each, Caddy in front")
            _say(f"Temporal UI: {stage.temporal.ui_url}\n")
            findings = await _play(stage)
            _report(findings, stage.temporal.ui_url)
            if keep:
                await _stay(stage)
    return findings.mistakes()


async def _play(stage: Stage) -> Findings:
    findings = Findings(allowance(parse_share(MAX_UNAVAILABLE), Counter(stage.locations.values())))
    victim = next(h.name for h in stage.fleet.hosts if h.location != stage.fleet.hosts[0].location)
    await stage.release(FIRST)
    await stage.release(SECOND, slow_start=victim)
    await stage.release(BAD, Fault("health", from_wave=2))
    await _deploy(stage, findings, FIRST, "on an empty fleet")
    await _all_up(stage)
    traffic = TrafficProcess(stage.caddy.port)
    sampler = CapacitySampler(stage.caddy.view(), stage.locations)
    findings.traffic, findings.capacity = traffic.report, sampler.capacity
    async with traffic, sampler:
        killing = asyncio.create_task(_kill_in(stage, findings, victim))
        await _deploy(stage, findings, SECOND, "under traffic, and its worker is killed")
        killing.cancel()
        await _deploy(stage, findings, BAD, "passes its one box and fails on other hosts")
    await _judge(stage, findings)
    return findings


async def _deploy(stage: Stage, findings: Findings, version: str, what: str) -> None:
    _say(f"release {version} {what}")
    deployment = await stage.apollo.deploy("shop", "prod", version)
    last = ""
    async for status in deployment.watch():
        counts = ", ".join(f"{n} {outcome}" for outcome, n in status.outcomes.items())
        line = f"  {status.deployment.state:<12} {counts}"
        if line != last:
            _say(line)
        last = line
    findings.results.append(await deployment.result())
    for row in await stage.apollo.catalog.plans.rows(status.deployment.uuid):
        if row.attached:
            findings.attached[row.host] = row.attached
    if detail := findings.results[-1].detail:
        _say(f"  {detail}")
    _say("")


async def _kill_in(stage: Stage, findings: Findings, host: str) -> None:
    """Wait until the host is in the middle of its start, then kill the worker."""
    wanted = (host, SECOND, CUT_STEP)

    async def begun() -> bool:
        runs = await asyncio.to_thread(read_hook_log, stage.hook_log)
        return any((run.host, run.release, run.step) == wanted for run in runs)

    await _until(begun)
    await stage.kill_worker()
    findings.cut = f"{CUT_STEP} of {host}"
    _say(f"  -- the worker is killed (SIGKILL) in {findings.cut}; another is started")
    stage.start_worker()


async def _all_up(stage: Stage) -> None:
    """Until the balancer sees every host."""
    view = stage.caddy.view()

    async def nobody_out() -> bool:
        return not (await view.read())[-1]

    await _until(nobody_out)


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await true():
            return
        await asyncio.sleep(0.1)


async def _judge(stage: Stage, findings: Findings) -> None:
    runs = read_hook_log(stage.hook_log)
    findings.hooks, findings.repeated = len(runs), len(repeated_hooks(runs))
    async with httpx2.AsyncClient() as client:
        for host in stage.fleet.hosts:
            try:
                answer = await client.get(f"http://127.0.0.1:{host.app_port}/")
                version = str(answer.json()["version"])
            except httpx2.HTTPError:
                version = "nothing"
            findings.serving[version] = findings.serving.get(version, 0) + 1


def _report(findings: Findings, ui: str) -> None:
    capacity, allowed = findings.capacity, findings.allowed
    places = ", ".join(
        f"{location} {capacity.by_location[location]} of {most}"
        for location, most in allowed.locations.items()
    )
    attached = ", ".join(f"{'+'.join(what)} of {h}" for h, what in findings.attached.items())
    serving = ", ".join(f"{count} on {version}" for version, count in findings.serving.items())
    lines = [
        ("releases", ", ".join(f"{r.release} {r.state}" for r in findings.results)),
        ("requests", f"{findings.traffic.sent} sent, {len(findings.traffic.lost)} lost"),
        ("most out", f"{capacity.in_fleet} of {allowed.fleet} allowed; {places}"),
        ("hooks", f"{findings.hooks} run, {findings.repeated} repeated in a turn"),
        ("killed", f"in {findings.cut}; the next worker attached to {attached or 'nothing'}"),
        ("fleet", serving),
        ("UI", ui),
    ]
    _say("Report")
    for name, text in lines:
        _say(f"  {name:<10}{text}")
    for mistake in findings.mistakes():
        _say(f"  NOT AS PROMISED: {mistake}")


async def _stay(stage: Stage) -> None:
    _say("\nAll of it goes on running until Ctrl-C. In another terminal:")
    _say(f"  export APOLLO_HOME={stage.settings.home} TEMPORAL_ADDRESS={stage.temporal.address}")
    for command in ("status shop/prod", "hosts shop/prod", "history shop/prod"):
        _say(f"  apollo {command}")
    _say(f"  apollo deploy shop/prod {FIRST} --yes")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
