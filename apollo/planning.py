"""What a deployment would do: the catalog's knowledge, put before the planner."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apollo.domain.base import Share
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.environment import Environment
from apollo.domain.fleet import select
from apollo.domain.manifest import Manifest, build_manifest
from apollo.domain.once import OnceOutline, outlines
from apollo.domain.plan import HostState, Plan, make_plan, marks
from apollo.domain.release import Release
from apollo.domain.setup import Setup
from apollo.domain.strategy import Wave
from apollo.errors import Refused

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog


@dataclass(frozen=True)
class Prepared:
    """A plan, and what it was made of."""

    environment: Environment
    revision: int
    release: Release
    previous_release: str
    states: dict[str, HostState]
    manifests: dict[str, Manifest]
    digests: dict[str, str]
    plan: Plan
    restart: bool = False
    once: tuple[OnceOutline, ...] = ()
    setups: tuple[Setup, ...] = ()
    """Of a restart: how what runs is set up."""


async def prepare(
    catalog: "Catalog",
    request: DeploymentRequest,
    revision: int | None = None,
    hosts: Sequence[str] = (),
) -> Prepared:
    """Plan what is asked for, changing nothing; for the environment as it is, or was at a revision.

    `hosts` are those that a sync brings.

    Raises:
        NotFound: Nobody knows the environment or the release.
        Refused: The request names too little, or nothing that could be deployed.
    """
    _check_request(request)
    if request.restart:
        return await _prepare_restart(catalog, request, revision)
    applied = await catalog.environments.get(request.application, request.environment, revision)
    previous = await catalog.deployments.current_release(request.application, request.environment)
    stored = await catalog.releases.get(request.application, _version(request, previous))
    environment = for_sync(applied.environment) if request.only else applied.environment
    known = await catalog.hosts.states(request.application, request.environment)
    states: dict[str, HostState] = dict(known)
    try:
        manifests = {
            host.name: build_manifest(stored.release, environment, host)
            for host in environment.fleet.hosts
        }
        digests = _digests(manifests)
        plan = make_plan(
            environment.fleet,
            environment.strategy,
            states,
            digests,
            limit=hosts if request.only else limited(environment, request.limit, states, digests),
            redeploy=request.redeploy,
        )
        once = _once(request, stored.release, environment, plan)
    except ValueError as error:
        raise Refused(f"{environment.label}: {error}", hint="mend it and apply again") from error
    if not plan.hosts:
        raise Refused(f"{environment.label}: no host to deploy to", hint="see apollo hosts")
    return Prepared(
        environment=environment,
        revision=applied.revision,
        release=stored.release,
        previous_release=previous or "",
        states=states,
        manifests=manifests,
        digests=digests,
        plan=plan,
        once=once,
    )


def _once(
    request: DeploymentRequest, release: Release, environment: Environment, plan: Plan
) -> tuple[OnceOutline, ...]:
    """What runs once: only where a release is deployed, not where hosts are merely synced."""
    if request.kind != "deploy" or not plan.hosts:
        return ()
    return outlines(release.setup, environment.fleet, [host.host for host in plan.hosts])


def _version(request: DeploymentRequest, current: str | None) -> str:
    version = current if request.release in (None, "current") else request.release
    if not version:
        raise Refused(
            f"{request.application}/{request.environment} runs no release yet",
            hint="name one; apollo release list shows them",
        )
    return version


def for_sync(environment: Environment) -> Environment:
    """The environment as a sync goes through it: one wave, no gate, nothing taken back."""
    strategy = environment.strategy.model_copy(
        update={"waves": (Wave(share=Share(percent=100)),), "on_failure": "halt"}
    )
    return environment.model_copy(update={"strategy": strategy, "approval": False, "windows": ()})


async def _prepare_restart(
    catalog: "Catalog", request: DeploymentRequest, revision: int | None
) -> Prepared:
    """Plan a restart: each host that is known to run something keeps it.

    Raises:
        NotFound: Nobody knows the environment.
        Refused: No host is known to run anything.
    """
    place = request.application, request.environment
    applied = await catalog.environments.get(*place, revision)
    current = await catalog.deployments.current_release(*place)
    states: dict[str, HostState] = dict(await catalog.hosts.states(*place))
    strategy = applied.environment.strategy.model_copy(update={"on_failure": "halt"})
    environment = applied.environment.model_copy(update={"strategy": strategy})
    digests = {h: s.manifest for h, s in states.items() if s.manifest and s.release}
    running = [host for host in environment.fleet.hosts if host.name in digests]
    try:
        chosen = limited(environment, request.limit, states, digests)
        plan = make_plan(
            environment.fleet,
            environment.strategy,
            states,
            digests,
            limit=[h.name for h in running if chosen is None or h.name in chosen],
            redeploy=True,
        )
    except ValueError as error:
        raise Refused(f"{environment.label}: {error}", hint="mend it and apply again") from error
    if not plan.hosts:
        raise Refused(
            f"{environment.label}: no host is known to run anything that could be restarted",
            hint="see apollo hosts",
        )
    release = current or _most_common(states[host.host].release for host in plan.hosts)
    return Prepared(
        environment=environment,
        revision=applied.revision,
        release=(await catalog.releases.get(request.application, release)).release,
        previous_release=release,
        states=states,
        manifests={},
        digests=digests,
        plan=plan,
        restart=True,
        setups=await _setups(
            catalog,
            request.application,
            {(states[host.name].release or "", host.role or "") for host in running},
        ),
    )


async def _setups(
    catalog: "Catalog", application: str, running: set[tuple[str, str]]
) -> tuple[Setup, ...]:
    """How these releases are set up for these roles."""
    found: list[Setup] = []
    for version, role in sorted(running):
        release = (await catalog.releases.get(application, version)).release
        found.append(release.setup.for_role(role))
    return tuple(found)


def _most_common(releases: Iterable[str | None]) -> str:
    return Counter(release or "" for release in releases).most_common(1)[0][0]


def _check_request(request: DeploymentRequest) -> None:
    if refusal := request.refusal():
        raise Refused(
            refusal,
            hint='input: {"application": "shop", "environment": "prod", "release": "1.4.2"}',
        )


def limited(
    environment: Environment,
    limit: str | None,
    states: dict[str, HostState],
    digests: dict[str, str],
) -> list[str] | None:
    """The hosts that an expression names; none without one.

    Raises:
        ValueError: Something in it matches nothing.
    """
    if limit is None:
        return None
    known = marks(environment.fleet, states, digests)
    return [host.name for host in select(environment.fleet.hosts, limit, known)]


def _digests(manifests: dict[str, Manifest]) -> dict[str, str]:
    return {host: manifest.digest for host, manifest in manifests.items()}
