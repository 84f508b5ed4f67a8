"""What a deployment would do: the catalog's knowledge, put before the planner."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apollo.domain.deployment import DeploymentRequest
from apollo.domain.environment import Environment
from apollo.domain.fleet import select
from apollo.domain.manifest import Manifest, build_manifest
from apollo.domain.plan import HostState, Plan, make_plan, marks
from apollo.domain.release import Release
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


async def prepare(
    catalog: "Catalog", request: DeploymentRequest, revision: int | None = None
) -> Prepared:
    """Plan what is asked for, changing nothing; for the environment as it is, or was at a revision.

    Raises:
        NotFound: Nobody knows the environment or the release.
        Refused: The request names too little, or nothing that could be deployed.
    """
    _check_request(request)
    applied = await catalog.environments.get(request.application, request.environment, revision)
    previous = await catalog.deployments.current_release(request.application, request.environment)
    version = request.release
    if version in (None, "current"):
        version = previous
    if not version:
        raise Refused(
            f"{request.application}/{request.environment} runs no release yet",
            hint="name one; apollo release list shows them",
        )
    stored = await catalog.releases.get(request.application, version)
    environment = applied.environment
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
            limit=_limited(environment, request.limit, states, digests),
            redeploy=request.redeploy,
        )
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
    )


def _check_request(request: DeploymentRequest) -> None:
    if not request.application or not request.environment:
        raise Refused(
            "a deployment needs an application and an environment",
            hint='input: {"application": "shop", "environment": "prod", "release": "1.4.2"}',
        )


def _limited(
    environment: Environment,
    limit: str | None,
    states: dict[str, HostState],
    digests: dict[str, str],
) -> list[str] | None:
    if limit is None:
        return None
    known = marks(environment.fleet, states, digests)
    return [host.name for host in select(environment.fleet.hosts, limit, known)]


def _digests(manifests: dict[str, Manifest]) -> dict[str, str]:
    return {host: manifest.digest for host, manifest in manifests.items()}
