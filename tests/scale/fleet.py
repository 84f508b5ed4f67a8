"""A fleet in the catalog that runs release 1.0, and a release 2.0 for it."""

import base64
import hashlib
import itertools
from pathlib import Path
from typing import Any

from apollo.catalog.records import NewDeployment
from apollo.client import Apollo
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.environment import Environment
from apollo.domain.fleet import Fleet, Host
from apollo.domain.setup import Setup
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.strategy import Strategy
from apollo.domain.turn import TurnRecord
from apollo.planning import prepare

LOCATIONS = ("fra1", "ams1", "lhr1", "iad1")
CHUNK = 500


def fleet(hosts: int) -> Fleet:
    """Hosts in four locations; each fifth is a worker, the others are web hosts."""
    return Fleet(hosts=tuple(_host(number) for number in range(hosts)))


def _host(number: int) -> Host:
    role = "worker" if number % 5 == 0 else "web"
    location = LOCATIONS[number % len(LOCATIONS)]
    return Host(
        name=f"{role}{number:06d}.{location}.example.com",
        location=location,
        address=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        user="deploy",
        labels={"role": role, "rack": f"r{number % 40}", "kind": "metal"},
    )


def key_of(host: Host) -> str:
    """An Ed25519 key in the form that it has in known_hosts files."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + hashlib.sha256(host.name.encode()).digest()
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def setup(version: str) -> Setup:
    """How a host is upgraded; like most applications it has something in every field."""
    return Setup.model_validate(
        {
            "root": "/srv/shop",
            "variables": {"PORT": "8080", "VERSION": version, "LOG_LEVEL": "info"},
            "shared": ["log", "uploads"],
            "hooks": {"stop": "bin/stop", "start": "bin/start", "validate": "bin/smoke"},
            "health": {"http": {"port": "{PORT}", "path": "/health"}, "healthy_for": "0s"},
            "roles": {"worker": {"variables": {"QUEUE": "orders"}}},
        }
    )


def environment(hosts: int) -> Environment:
    """Where the fleet runs: drained by a file, some failures allowed."""
    return Environment.model_validate(
        {
            "application": "shop",
            "name": "prod",
            "fleet": fleet(hosts),
            "variables": {"LOG_LEVEL": "warn"},
            "location_variables": {place: {"REGION": place} for place in LOCATIONS},
            "balancer": {"drain": {"wait": "0s"}, "file": {"path": "online", "wait": "0s"}},
            "strategy": Strategy.model_validate(
                {"waves": [1, "10%", "100%"], "max_unavailable": "25%", "max_failures": "5%"}
            ),
        }
    )


async def found(apollo: Apollo, folder: Path, hosts: int) -> None:
    """Apply the environment, make both releases, and write down that all hosts run the first."""
    where = environment(hosts)
    await apollo.apply(where, ["prod"])
    keys = {host.name: [key_of(host)] for host in where.fleet.hosts}
    await apollo.catalog.keys.trust("shop", "prod", keys, "scale")
    for version in ("1.0", "2.0"):
        source = folder / f"dist-{version}"
        source.mkdir()
        (source / "version").write_text(version)
        await apollo.create_release("shop", version, setup(version), source)
    await _deployed(apollo, "1.0")


async def _deployed(apollo: Apollo, version: str) -> None:
    catalog = apollo.catalog
    request = DeploymentRequest(application="shop", environment="prod", release=version)
    prepared = await prepare(catalog, request)
    for manifest in {m.digest: m for m in prepared.manifests.values()}.values():
        await apollo.store.put_bytes(manifest.canonical())
    stored = await catalog.deployments.open(
        NewDeployment(
            workflow_id="before",
            run_id="before",
            application="shop",
            environment="prod",
            release=version,
            revision=prepared.revision,
        )
    )
    plan, digests = prepared.plan, prepared.digests
    await catalog.plans.store(stored.uuid, plan.hosts, digests, {}, {})
    records = iter([_record(planned.host, digests, version) for planned in plan.hosts])
    while chunk := list(itertools.islice(records, CHUNK)):
        await catalog.turns.record(stored.uuid, "forward", chunk)
    await catalog.deployments.end(stored.uuid, DeploymentState.SUCCEEDED)


def _record(host: str, digests: dict[str, str], version: str) -> TurnRecord:
    values: dict[str, Any] = {"host": host, "manifest": digests[host], "release": version}
    return TurnRecord(outcome=Outcome.UPDATED, **values)
