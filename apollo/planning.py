"""What a deployment would do: the catalog's knowledge, put before the planner."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from apollo.domain.base import Share
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.environment import Environment
from apollo.domain.manifest import Manifest, build_manifests
from apollo.domain.once import OnceOutline, outlines
from apollo.domain.plan import HostState, Plan, make_plan
from apollo.domain.release import Release
from apollo.domain.strategy import Wave
from apollo.errors import Refused
from apollo.going_back import for_rollback, prepare_rollback
from apollo.prepared import Prepared, limited, most_common, plan_within, setups_of

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog


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
    if request.rollback and not request.release:
        return await prepare_rollback(catalog, request, revision)
    applied = await catalog.environments.get(request.application, request.environment, revision)
    previous = await catalog.deployments.current_release(request.application, request.environment)
    stored = await catalog.releases.get(request.application, _version(request, previous))
    environment = _as_asked(applied.environment, request)
    known = await catalog.hosts.states(request.application, request.environment)
    states: dict[str, HostState] = dict(known)
    try:  # in a thread: the fleet may be large, and the worker has to give signs of life
        manifests, digests, plan = await asyncio.to_thread(
            _computed, request, stored.release, environment, states, hosts
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


def _computed(
    request: DeploymentRequest,
    release: Release,
    environment: Environment,
    states: dict[str, HostState],
    hosts: Sequence[str],
) -> tuple[dict[str, Manifest], dict[str, str], Plan]:
    """Manifests, their digests and the plan.

    Raises:
        ValueError: Something names what there is not.
    """
    manifests = build_manifests(release, environment, environment.fleet.hosts)
    digests = _digests(manifests)
    plan = make_plan(
        environment.fleet,
        environment.strategy,
        states,
        digests,
        limit=hosts if request.only else limited(environment, request.limit, states, digests),
        redeploy=request.redeploy,
    )
    return manifests, digests, plan


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


def _as_asked(environment: Environment, request: DeploymentRequest) -> Environment:
    if request.only:
        return for_sync(environment)
    return for_rollback(environment) if request.rollback else environment


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
    hosts = [host.name for host in running]
    plan = plan_within(environment, hosts, request.limit, states, digests, redeploy=True)
    if not plan.hosts:
        raise Refused(
            f"{environment.label}: no host is known to run anything that could be restarted",
            hint="see apollo hosts",
        )
    release = current or most_common(states[host.host].release for host in plan.hosts)
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
        setups=await setups_of(
            catalog,
            request.application,
            ((states[host.name].release or "", host.role or "") for host in running),
        ),
    )


def _check_request(request: DeploymentRequest) -> None:
    if refusal := request.refusal():
        raise Refused(
            refusal,
            hint='input: {"application": "shop", "environment": "prod", "release": "1.4.2"}',
        )


def _digests(manifests: dict[str, Manifest]) -> dict[str, str]:
    known: dict[int, str] = {}
    for manifest in manifests.values():  # many hosts share one
        if id(manifest) not in known:
            known[id(manifest)] = manifest.digest
    return {host: known[id(manifest)] for host, manifest in manifests.items()}
