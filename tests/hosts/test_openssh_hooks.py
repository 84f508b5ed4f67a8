"""Hooks on real OpenSSH hosts: the nasty ones, those that run once, and what they print."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from apollo.catalog.records import HostRow, StoredOutput
from apollo.client import Apollo, DeploymentHandle
from apollo.domain.rollout import DeploymentResult
from apollo.files.environment import resolve
from apollo.files.project import load_project
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from apollo.testing.artifact import write_artifact
from tests.support.openssh import PORT, OpenSshFleet, openssh_fleet, start_worker

SECRET = "hunter2-dont-look"
HOSTS = ("good", "daemon", "parent", "current", "gone", "journal", "printing")
PROJECT = f"""
application: shop
release: {{artifact: dist/}}
setup:
  root: /srv/shop
  variables: {{PORT: "{PORT}", ONLINE_FILE: online, NASTY: "no"}}
  secrets: [PASSWORD]
  hooks:
    stop: bin/stop
    start: [bin/start, ". bin/nasty"]
    validate: [bin/validate, "echo $APOLLO_RELEASE >>/srv/validated"]
  health: {{http: {{port: "{PORT}", path: /alive}}, healthy_for: 500ms, deadline: 5s}}
  once:
    before: {{run: "echo before $APOLLO_RELEASE >>/srv/once; pwd -P; echo $PASSWORD", on: "!good"}}
    after: "echo after $APOLLO_RELEASE >>/srv/once; exit 9"
environments:
  prod:
    fleet: {{inventory: fleet.yaml}}
    secrets: {{PASSWORD: "env:APOLLO_SECRET_PASSWORD"}}
    strategy: {{waves: [100%], max_unavailable: 100%, max_failures: 100%}}
pipeline: [prod]
"""
NASTY = """\
[ "$APOLLO_RELEASE" = 2.0.0 ] || return 0
echo "$NASTY: password is $PASSWORD"
case $NASTY in
  daemon) (trap '' HUP; while :; do echo on; sleep 1; done) & setsid sleep 300 & ;;
  parent) sleep 300 & kill -s KILL $PPID; sleep 300 ;;
  current) rm "$APOLLO_ROOT/current" ;;
  gone) rm -rf "$(pwd -P)" ;;
  journal) rm -rf "$APOLLO_ROOT/.apollo/journal" ;;
  printing)
    n=0
    while [ ! -e /srv/go ]; do n=$((n + 1)); echo "line $n"; sleep 0.2; done
    echo done ;;
esac
"""


@dataclass
class Played:
    """How the second deployment went."""

    fleet: OpenSshFleet
    result: DeploymentResult
    rows: dict[str, HostRow]
    outputs: dict[str, list[StoredOutput]]
    once: list[StoredOutput]
    live: list[str]
    """What was read from `printing` while its hook ran, and after."""
    serving: dict[str, str]


@pytest.fixture(scope="module")
async def played(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> AsyncIterator[Played]:
    folder = tmp_path_factory.mktemp("hooks")
    with openssh_fleet(folder / "hosts", list(HOSTS), program) as fleet:
        async with TemporalServer(folder / "temporal") as temporal:
            os.environ["TEMPORAL_ADDRESS"] = temporal.address
            worker = start_worker(folder, fleet, APOLLO_SECRET_PASSWORD=SECRET)
            try:
                yield await play(folder, fleet)
            finally:
                worker.terminate()
                worker.wait()
                del os.environ["TEMPORAL_ADDRESS"]


async def play(folder: Path, fleet: OpenSshFleet) -> Played:
    lines = ["defaults: {user: root}", "locations:", "  lab1:", "    hosts:"]
    for name, host in fleet.hosts.items():
        more = f'variables: {{NASTY: {name}}}, host_key: "{host.host_key}"'
        lines.append(f"      {name}: {{address: {host.address}, {more}}}")
    (folder / "fleet.yaml").write_text("\n".join(lines) + "\n")
    (folder / "apollo.yaml").write_text(PROJECT)
    async with Apollo.connect(Settings(home=folder / "home", identity="tester")) as apollo:
        project = load_project(folder)
        await apollo.apply(resolve(project, "prod"), ["prod"])
        for version in ("1.0.0", "2.0.0"):
            dist = write_artifact(folder / version, version)
            (dist / "bin" / "nasty").write_text(NASTY)
            await apollo.create_release("shop", version, project.setup, dist)
        first = await (await apollo.deploy("shop", "prod", "1.0.0")).result()
        assert (first.state, first.outcomes) == ("succeeded", {"updated": len(HOSTS)})

        deployment = await apollo.deploy("shop", "prod", "2.0.0")
        live = await follow(apollo, fleet)
        result = await deployment.result()
        return Played(
            fleet,
            result,
            await rows_of(deployment),
            {name: await apollo.logs("shop", "prod", name) for name in HOSTS},
            await deployment.once(),
            live,
            {name: host.serving() for name, host in fleet.hosts.items()},
        )


async def follow(apollo: Apollo, fleet: OpenSshFleet) -> list[str]:
    """What `printing` prints, from its third line on let go."""
    texts: list[str] = []
    async with asyncio.timeout(90):
        while not texts:
            async for _, part in apollo.follow_logs("shop", "prod", "printing"):
                if part.step == "start.2":
                    texts.append(part.text)
                if "line 3\n" in "".join(texts):
                    fleet.hosts["printing"].inside("touch /srv/go")
            await asyncio.sleep(0.2)
    return texts


async def rows_of(deployment: DeploymentHandle) -> dict[str, HostRow]:
    return {row.host: row for row in await deployment.rows() if row.phase == "forward"}


ENDS = {
    "good": ("updated", "", "2.0.0"),
    "daemon": ("updated", "", "2.0.0"),
    "parent": ("reverted", "HookLost", "1.0.0"),
    "current": ("updated", "", "2.0.0"),
    "gone": ("reverted", "HookFailed", "1.0.0"),
    "journal": ("reverted", "JournalLost", "1.0.0"),
    "printing": ("updated", "", "2.0.0"),
}


@pytest.mark.parametrize("host", ENDS)
async def test_each_ends_as_it_must(played: Played, host: str) -> None:
    """By its journal, by what it serves, and with `current` on a release that is there."""
    row = played.rows[host]
    link = played.fleet.hosts[host].inside("cat /srv/shop/current/version").strip()

    assert (row.outcome, row.error, played.serving[host]) == ENDS[host]
    assert link == ENDS[host][2]


async def test_no_hook_ran_twice(played: Played) -> None:
    """As the hooks themselves have written it down."""
    for name, host in played.fleet.hosts.items():
        ran = host.inside("cat /srv/validated").split()
        back = ["1.0.0"] if played.rows[name].outcome == "reverted" else []
        assert ran == ["1.0.0", *(back or ["2.0.0"])], name


async def test_what_runs_once_ran_on_one_host_each(played: Played) -> None:
    """In the new release's folder; the failure of the one after is told."""
    ran = {
        name: host.inside("cat /srv/once 2>/dev/null; true").splitlines()
        for name, host in played.fleet.hosts.items()
    }
    before, after = played.once

    assert {name: lines for name, lines in ran.items() if lines} == {
        "daemon": ["before 1.0.0", "before 2.0.0"],
        "good": ["after 1.0.0", "after 2.0.0"],
    }
    assert (before.step, before.host, before.exit) == ("once.before", "daemon", 0)
    assert before.text.splitlines()[0].startswith("/srv/shop/releases/")
    assert before.text.splitlines()[0].endswith("-2.0.0")
    assert (after.step, after.host, after.exit) == ("once.after", "good", 9)
    assert "once.after failed on good: good: once.after exit 9" in played.result.detail


async def test_what_hooks_print_is_read_live_and_kept_without_secrets(played: Played) -> None:
    """Also what was read before the host itself took them out, which makes outputs shorter."""
    live = "".join(played.live)
    kept = {name: "".join(each.text for each in found) for name, found in played.outputs.items()}

    assert live.startswith("printing: password is [redacted]\nline 1\nline 2\nline 3\n")
    assert len(played.live) > 1
    assert live.endswith("\ndone\n")
    assert live in kept["printing"]
    for name in set(HOSTS) - {"journal"}:  # what it printed is gone with its journal
        assert f"{name}: password is [redacted]\n" in kept[name], name
        assert SECRET not in kept[name]


async def test_a_daemon_that_a_hook_left_goes_on(played: Played) -> None:
    """And nothing of the hook that lost its runner does."""
    found = played.fleet.hosts["daemon"].inside("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    lost = played.fleet.hosts["parent"].inside("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")

    assert "sleep 300" in found
    assert "sleep 300" not in lost
