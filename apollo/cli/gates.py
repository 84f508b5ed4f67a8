"""`apollo approve|reject|hold|resume`: words to a deployment, or to a promotion at a stage."""

from apollo.catalog.records import StoredPromotion
from apollo.cli.controls import say_to_deployment
from apollo.cli.options import Env, EnvOrApplication, Reason
from apollo.cli.places import Place, application_named, place_of
from apollo.cli.render.terminal import talk
from apollo.cli.session import connected
from apollo.client import Apollo
from apollo.domain.promotion import PromotionState
from apollo.domain.status import DeploymentState
from apollo.errors import Refused


async def approve(env: Env, /, *, reason: Reason = "") -> int:
    """Open the gate that is waited at."""
    place = place_of(env)
    async with connected() as apollo:
        found = await _at(apollo, place)
        waits = [each for each in found if _awaits(each)]
        if waits and not await _deployment_asks(apollo, place):
            return await _say(apollo, waits[-1:], "approve", reason)
        if found and not await _deployment_runs(apollo, place):
            return await _say(apollo, found[-1:], "approve", reason)
        return await say_to_deployment(apollo, place, "approve", lambda it: it.approve(reason))


async def reject(env: Env, /, *, reason: Reason = "") -> int:
    """End what waits in an environment."""
    place = place_of(env)
    async with connected() as apollo:
        if await _deployment_is(apollo, place, DeploymentState.AWAITING):
            return await say_to_deployment(apollo, place, "abort", lambda it: it.abort(reason))
        if waits := await _at(apollo, place):
            return await _say(apollo, waits[-1:], "reject", reason)
    raise _nothing("reject", place.label)


async def hold(target: EnvOrApplication, /, *, reason: Reason = "") -> int:
    """Let promotions begin nothing new."""
    async with connected() as apollo:
        if owner := application_named(target):
            found, label = await apollo.catalog.promotions.running(owner), owner
        else:
            place = place_of(target)
            found, label = await _at(apollo, place), place.label
        if not found:
            raise _nothing("hold", label)
        free = [each for each in found if not each.held]
        return await _say(apollo, free or found, "hold", reason)


async def resume(target: EnvOrApplication, /, *, reason: Reason = "") -> int:
    """Go on after a pause or a hold."""
    async with connected() as apollo:
        if owner := application_named(target):
            found = await apollo.catalog.promotions.running(owner)
            if not found:
                raise _nothing("resume", owner)
            held = [each for each in found if each.held]
            return await _say(apollo, held or found, "resume", reason)
        place = place_of(target)
        found = await _at(apollo, place)
        held = [each for each in found if each.held]
        if held and not await _deployment_is(apollo, place, DeploymentState.PAUSED):
            return await _say(apollo, held, "resume", reason)
        if found and not await _deployment_runs(apollo, place):
            return await _say(apollo, found, "resume", reason)
        return await say_to_deployment(apollo, place, "resume", lambda it: it.resume(reason))


async def _deployment_asks(apollo: Apollo, place: Place) -> bool:
    """Whether the deployment there waits for approval, and not for its windows."""
    running = await apollo.catalog.deployments.running(place.application, place.environment)
    asks = (each for each in running if each.state is DeploymentState.AWAITING)
    return place.number is not None or any("approval" in each.detail for each in asks)


async def _deployment_is(apollo: Apollo, place: Place, state: DeploymentState) -> bool:
    if place.number is not None:
        return True
    running = await apollo.catalog.deployments.running(place.application, place.environment)
    return any(each.state is state for each in running)


async def _deployment_runs(apollo: Apollo, place: Place) -> bool:
    if place.number is not None:
        return True
    return bool(await apollo.catalog.deployments.running(place.application, place.environment))


async def _at(apollo: Apollo, place: Place) -> list[StoredPromotion]:
    """The promotions that are at the environment, the oldest first."""
    return await apollo.catalog.promotions.running(place.application, place.environment)


def _awaits(promotion: StoredPromotion) -> bool:
    """Whether it waits for approval, held or not."""
    return any(
        stage.environment == promotion.stage and stage.state == PromotionState.AWAITING
        for stage in promotion.stages
    )


async def _say(apollo: Apollo, promotions: list[StoredPromotion], word: str, reason: str) -> int:
    for each in promotions:
        handle = await apollo.promotion(each)
        answer = await getattr(handle, word)(reason, environment=each.stage)
        talk(f"{each.label} at {each.stage}  {word} accepted; it is {answer.rpartition(' ')[2]}")
    talk(f"  Watch it: apollo watch {promotions[0].application}")
    return 0


def _nothing(word: str, label: str) -> Refused:
    return Refused(f"{word} is refused: no promotion is at {label}", hint="see apollo status")
