"""`apollo status`."""

from dataclasses import replace

from apollo.catalog.records import StoredPromotion
from apollo.cli.options import AnyEnv, Json
from apollo.cli.places import Place, application_here, environment_of
from apollo.cli.render.environments import (
    EnvironmentStatus,
    environment_json,
    render_environment,
    render_environments,
)
from apollo.cli.render.promotions import promotion_json, render_promotions
from apollo.cli.render.terminal import show, show_json, talk
from apollo.cli.session import connected
from apollo.client import Apollo, DeploymentHandle, Status
from apollo.client.polling import Waiting
from apollo.domain.promotion import PromotionState
from apollo.errors import Unavailable

_LAST = 5


async def status(env: AnyEnv = "", /, *, json: Json = False) -> int:
    """Show what runs in all environments, or in one."""
    place = environment_of(env) if env else None
    async with connected() as apollo:
        if place:
            looked = await _look(apollo, place.application, place.environment)
            found = [replace(looked, waits=await _waits(apollo, looked))]
        else:
            applied = await apollo.catalog.environments.list(application_here() or None)
            names = [(each.environment.application, each.environment.name) for each in applied]
            found = [await _look(apollo, *name) for name in names]
        promotions = await _promotions(apollo, place)
    if json:
        show_json(
            {
                "environments": [environment_json(each) for each in found],
                "promotions": [promotion_json(each) for each in promotions],
            }
        )
        return 0
    if place:
        show(render_environment(found[0], place.word))
    elif found:
        show(render_environments(found))
    else:
        talk("No environment was ever applied: apollo apply")
    if promotions:
        show(["", *render_promotions(promotions)])
    return 0


async def _promotions(apollo: Apollo, place: Place | None) -> list[StoredPromotion]:
    """Those that run, and an application's newest where it needs somebody."""
    owner = place.application if place else application_here() or None
    stored = await apollo.catalog.promotions.running(owner, place.environment if place else None)
    try:
        found = await apollo.still_run(stored)
    except Unavailable:
        talk("Temporal does not answer: promotions are as they were last seen.")
        found = stored
    newest = await apollo.catalog.promotions.list(owner, limit=1)
    troubled = (PromotionState.STOPPED, PromotionState.ABORTED, PromotionState.LOST)
    return found + [
        each
        for each in newest
        if each.state in troubled and (place is None or each.stage == place.environment)
    ]


async def _look(apollo: Apollo, application: str, environment: str) -> EnvironmentStatus:
    catalog, where = apollo.catalog, (application, environment)
    running = await catalog.deployments.running(*where)
    return EnvironmentStatus(
        applied=await catalog.environments.get(*where),
        release=await catalog.deployments.current_release(*where) or "",
        states=await apollo.hosts(*where),
        running=[await _counted(apollo, each.workflow_id) for each in running],
        last=await catalog.deployments.list(*where, limit=_LAST),
    )


async def _waits(apollo: Apollo, looked: EnvironmentStatus) -> dict[str, list[Waiting]]:
    """What the deployments that run wait for."""
    try:
        return {
            each.deployment.label: await DeploymentHandle(
                apollo, each.deployment.workflow_id
            ).waits()
            for each in looked.running
        }
    except Unavailable:
        talk("Temporal does not answer: whether its workers work is not known.")
        return {}


async def _counted(apollo: Apollo, workflow_id: str) -> Status:
    found = await DeploymentHandle(apollo, workflow_id).status()
    assert found
    return found
