"""What can be wrong with a host, on real OpenSSH: each has its error, and what is left is told."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType

from apollo import names
from apollo.catalog.records import HostRow
from apollo.client import Apollo
from apollo.domain.setup import Setup
from apollo.domain.status import DeploymentState, Outcome
from apollo.files.environment import resolve
from apollo.files.project import load_project
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from apollo.testing.artifact import Fault, write_artifact
from tests.support.openssh import PORT, OpenSshFleet, OpenSshHost, openssh_fleet, start_worker

UNREACHABLE = {
    "changed": "HostKeyChanged",
    "unknown": "HostKeyUnknown",
    "refused": "AuthFailed",
    "cut": "ConnectFailed",
    "nologin": "NoShell",
    "nowhere": "RootNotWritable",
    "foreign": "ForeignRoot",
    "full": "DiskFull",
}
FAILED = {"failing": "HookFailed", "hanging": "HookTimedOut", "ill": "NotHealthy"}
ALL = {**UNREACHABLE, **FAILED, "good": ""}
PROJECT = f"""
application: shop
release: {{artifact: dist/}}
setup:
  root: "{{BASE}}/shop"
  variables: {{PORT: "{PORT}", ONLINE_FILE: online}}
  hooks: {{stop: bin/stop, start: {{run: bin/start, timeout: 3s}}, validate: bin/validate}}
  health: {{http: {{port: "{{PORT}}", path: /alive}}, healthy_for: 500ms, deadline: 3s}}
environments:
  prod:
    fleet: {{inventory: fleet.yaml}}
    strategy:
      waves: [100%]
      max_unavailable: 100%
      max_failures: 100%
      max_unreachable: 100%
pipeline: [prod]
"""


@dataclass
class Wrecked:
    """How the second deployment ended on hosts of which each has something wrong."""

    fleet: OpenSshFleet
    state: DeploymentState
    rows: dict[str, HostRow]
    failed_activities: dict[str, str]
    serving: dict[str, str]
    adopted: dict[str, HostRow]
    """How the same release ended after the foreign root was adopted."""


def inventory(fleet: OpenSshFleet, *, broken: bool) -> str:
    lines = ["defaults: {user: root}", "locations:", "  lab1:", "    hosts:"]
    for name, host in fleet.hosts.items():
        base = "/proc" if broken and name == "nowhere" else "/srv"
        slow = ', HOOK_SECONDS: "30"' if broken and name == "hanging" else ""
        key = "" if broken and name == "unknown" else f', host_key: "{host.host_key}"'
        variables = f'{{BASE: "{base}"{slow}}}'
        lines.append(f"      {name}: {{address: {host.address}, variables: {variables}{key}}}")
    return "\n".join(lines) + "\n"


def wreck(hosts: dict[str, OpenSshHost]) -> None:
    """Have something happen to each host."""
    hosts["changed"].rekey()
    hosts["changed"].restart_sshd()
    (hosts["refused"].folder / "authorized_keys").write_text("")
    hosts["cut"].cut()
    config = hosts["nologin"].folder / "sshd_config"
    config.write_text(config.read_text() + "ForceCommand /usr/sbin/nologin\n")
    hosts["nologin"].restart_sshd()
    hosts["foreign"].inside("echo somebody/else/prod >/srv/shop/.apollo/owner")
    hosts["full"].inside("dd if=/dev/zero of=/srv/filler bs=1M 2>/dev/null; true")


@pytest.fixture(scope="module")
async def wrecked(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> AsyncIterator[Wrecked]:
    folder = tmp_path_factory.mktemp("openssh")
    with openssh_fleet(folder / "hosts", list(ALL), program) as fleet:
        async with TemporalServer(folder / "temporal") as temporal:
            os.environ["TEMPORAL_ADDRESS"] = temporal.address
            worker = start_worker(folder, fleet)
            try:
                yield await deploy_twice(folder, fleet)
            finally:
                worker.terminate()
                worker.wait()
                del os.environ["TEMPORAL_ADDRESS"]


async def deploy_twice(folder: Path, fleet: OpenSshFleet) -> Wrecked:
    settings = Settings(home=folder / "home", identity="tester")
    async with Apollo.connect(settings) as apollo:
        setup = await apply(apollo, folder, inventory(fleet, broken=False))
        faults = (Fault("start", ("failing",)), Fault("health", ("ill",)))
        for version, wrong in (("1.0.0", ()), ("2.0.0", faults)):
            dist = write_artifact(folder / version, version, *wrong, padding=1_000_000)
            await apollo.create_release("shop", version, setup, dist)
        first = await (await apollo.deploy("shop", "prod", "1.0.0")).result()
        assert first.outcomes == {"updated": len(ALL)}

        kept = inventory(fleet, broken=True)
        wreck(fleet.hosts)
        await apply(apollo, folder, kept)
        deployment = await apollo.deploy("shop", "prod", "2.0.0")
        result = await deployment.result()
        status = await deployment.status()
        assert status
        serving = {name: host.serving() for name, host in fleet.hosts.items()}
        return Wrecked(
            fleet,
            result.state,
            {row.host: row for row in status.rows if row.phase == "forward"},
            await failed_activities(apollo, deployment.workflow_id),
            serving,
            await adopt(apollo, fleet),
        )


async def adopt(apollo: Apollo, fleet: OpenSshFleet) -> dict[str, HostRow]:
    """Adopt the root of one host; of another one that is as foreign nobody says so."""
    fleet.hosts["good"].inside("echo somebody/else/prod >/srv/shop/.apollo/owner")
    assert await apollo.adopt("shop", "prod", "foreign", "moved to this catalog") == ["foreign"]
    deployment = await apollo.deploy("shop", "prod", "2.0.0", limit="foreign | good")
    await deployment.result()
    status = await deployment.status()
    assert status
    return {row.host: row for row in status.rows if row.phase == "forward"}


async def apply(apollo: Apollo, folder: Path, hosts: str) -> Setup:
    (folder / "fleet.yaml").write_text(hosts)
    (folder / "apollo.yaml").write_text(PROJECT)
    project = load_project(folder)
    await apollo.apply(resolve(project, "prod"), ["prod"])
    return project.setup


async def failed_activities(apollo: Apollo, workflow_id: str) -> dict[str, str]:
    """Host → type of the failed activity, as the Temporal UI shows it in red."""
    client = await apollo.temporal()
    batch = client.get_workflow_handle(names.batch_id(workflow_id, "forward", 1, 1))
    scheduled: dict[int, str] = {}
    failed: dict[str, str] = {}
    async for event in batch.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled[event.event_id] = event.activity_task_scheduled_event_attributes.activity_id
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            told = event.activity_task_failed_event_attributes
            host = scheduled[told.scheduled_event_id].split(":")[1]
            failed[host] = told.failure.application_failure_info.type
    return failed


@pytest.mark.parametrize(("host", "error"), [*UNREACHABLE.items(), *FAILED.items()])
async def test_each_has_its_error_and_says_what_is_left_and_next(
    wrecked: Wrecked, host: str, error: str
) -> None:
    record = wrecked.rows[host].record

    assert record
    assert record.error == error
    assert wrecked.failed_activities[host] == error
    assert host in record.message
    assert record.step
    assert record.left
    assert record.hint


@pytest.mark.parametrize("host", UNREACHABLE)
async def test_the_hosts_own_reasons_are_unreachable_and_change_nothing(
    wrecked: Wrecked, host: str
) -> None:
    assert wrecked.rows[host].outcome is Outcome.UNREACHABLE
    assert wrecked.serving[host] == "1.0.0"


@pytest.mark.parametrize("host", FAILED)
async def test_the_releases_fault_puts_the_host_back(wrecked: Wrecked, host: str) -> None:
    assert wrecked.rows[host].outcome is Outcome.REVERTED
    assert wrecked.serving[host] == "1.0.0"


async def test_an_adopted_root_is_taken_over_and_no_other(wrecked: Wrecked) -> None:
    adopted, other = wrecked.adopted["foreign"], wrecked.adopted["good"]

    assert adopted.outcome is Outcome.UPDATED
    assert wrecked.fleet.hosts["foreign"].serving() == "2.0.0"
    assert other.record
    assert other.record.error == "ForeignRoot"
    assert "apollo hosts shop/prod --adopt --limit good" in other.record.hint


async def test_the_good_host_goes_on(wrecked: Wrecked) -> None:
    """The control: with nothing wrong, the same deployment brings the release."""
    assert wrecked.rows["good"].outcome is Outcome.UPDATED
    assert wrecked.serving["good"] == "2.0.0"
    assert wrecked.state is DeploymentState.PARTIAL
