"""What a promotion would do: which release goes through which stages, or why there is nothing."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apollo.domain.pipeline import Stage, of_working_tree, stages_between
from apollo.domain.promotion import PromotionRequest
from apollo.domain.status import DeploymentState
from apollo.errors import Refused

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog

_EXAMPLE = 'input: {"application": "shop", "release": "1.4.2"}'


@dataclass(frozen=True)
class Way:
    """A release and the stages before it; `nothing` says why there is nothing to do."""

    release: str
    stages: tuple[Stage, ...]
    bake_until: datetime | None = None
    nothing: str = ""


async def find_way(catalog: "Catalog", request: PromotionRequest) -> Way:
    """Say what is asked for, changing nothing.

    Raises:
        NotFound: Nobody knows the application, the release or an environment.
        Refused: The request names too little, or a release that may not go there.
    """
    application = request.application
    if not application:
        raise Refused("a promotion needs an application", hint=_EXAMPLE)
    pipeline = await catalog.environments.stages(application)
    try:
        stages = stages_between(pipeline, request.from_, request.to)
    except ValueError as error:
        hint = "see pipeline in apollo.yaml, and apply it: apollo apply"
        raise Refused(f"{application}: {error}", hint=hint) from error
    for stage in stages:
        await catalog.environments.get(application, stage.environment)
    beyond = stages[-1] != pipeline[0]
    release, nothing = request.release or "", ""
    if not release:
        release, nothing = await _newest(catalog, application, request.from_, beyond=beyond)
    if not nothing:
        made = (await catalog.releases.get(application, release)).created_at
        if beyond and of_working_tree(release):
            nothing = _only_first(request, release, pipeline[0])
        elif request.if_needed or not request.release:
            nothing = await _arrived(catalog, application, stages[-1].environment, release, made)
    until = None
    if request.from_ and not nothing:
        before = next(stage for stage in pipeline if stage.environment == request.from_)
        until = await _baked(catalog, application, before, release)
    return Way(release, stages, until, nothing)


def _only_first(request: PromotionRequest, release: str, first: Stage) -> str:
    why = f"{release} was packed from a working tree: only {first.environment} takes it"
    if request.release and not request.if_needed:
        raise Refused(why, hint="make a release: apollo release create VERSION")
    return why


async def _newest(
    catalog: "Catalog", application: str, from_: str, *, beyond: bool
) -> tuple[str, str]:
    if from_:
        succeeded = await _succeeded(catalog, application, from_)
        found = succeeded[0].release if succeeded else ""
        return found, "" if found else f"no release has succeeded in {from_} yet"
    for stored in await catalog.releases.list(application):
        if not (beyond and of_working_tree(stored.release.version)):
            return stored.release.version, ""
    return "", f"{application} has no release yet"


async def _arrived(
    catalog: "Catalog", application: str, environment: str, release: str, made: datetime
) -> str:
    """Why there is nothing to do for a release that nobody asked for by name."""
    current = await catalog.deployments.current_release(application, environment)
    if current is None:
        return ""
    if current == release:
        return f"{environment} runs {release} already"
    if (await catalog.releases.get(application, current)).created_at > made:
        return f"{environment} runs {current}, which is newer than {release}"
    return ""


async def _baked(
    catalog: "Catalog", application: str, before: Stage, release: str
) -> datetime | None:
    ended = [
        deployment.ended_at
        for deployment in await _succeeded(catalog, application, before.environment, release)
        if deployment.ended_at
    ]
    if not ended:
        raise Refused(
            f"{application} {release} has not succeeded in {before.environment}",
            hint="leave from out to begin at the first stage",
        )
    newest: datetime = ended[0]
    return newest + before.bake


async def _succeeded(
    catalog: "Catalog", application: str, environment: str, release: str | None = None
) -> list[Any]:
    """Deployments of the whole fleet that succeeded, the newest first."""
    found = await catalog.deployments.list(
        application, environment, release=release, states=[DeploymentState.SUCCEEDED]
    )
    return [deployment for deployment in found if deployment.whole_fleet]
