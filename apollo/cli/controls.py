"""`apollo pause|abort|pace|skip|retry`: words to the deployment that runs."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.options import Env, Reason
from apollo.cli.places import Place, place_of
from apollo.cli.render.terminal import talk
from apollo.cli.session import connected
from apollo.client import Apollo, DeploymentHandle
from apollo.errors import Refused

Say = Callable[[DeploymentHandle], Awaitable[str]]
Some = Annotated[
    str, Parameter(help="An expression: web3, fra1, @failed (in this deployment).", name="HOSTS")
]
Group = Annotated[
    str, Parameter(help='Those of an error group of `apollo show`: "HookFailed start exit 3".')
]
Share = Annotated[str, Parameter(help="A count per location, or a percentage: 3, 20%.")]


async def pause(env: Env, /, *, reason: Reason = "") -> int:
    """Begin no more turns; those in flight end."""
    return await _say(env, "pause", lambda handle: handle.pause(reason))


async def abort(env: Env, /, *, reason: Reason = "") -> int:
    """End at the next host boundary."""
    return await _say(env, "abort", lambda handle: handle.abort(reason))


async def pace(env: Env, max_unavailable: Share, /, *, reason: Reason = "") -> int:
    """Change how many hosts may be out."""
    return await _say(env, "pace", lambda handle: handle.pace(max_unavailable, reason))


async def skip(env: Env, hosts: Some = "", /, *, error: Group = "", reason: Reason = "") -> int:
    """Leave hosts out of the deployment that runs."""
    return await _say_of_hosts(
        env, "skip", lambda handle: handle.skip(hosts, error=error, reason=reason)
    )


async def retry(env: Env, hosts: Some = "", /, *, error: Group = "", reason: Reason = "") -> int:
    """Give hosts another turn that failed, were skipped or could not be reached."""
    return await _say_of_hosts(
        env, "retry", lambda handle: handle.retry(hosts, error=error, reason=reason)
    )


async def _say_of_hosts(env: str, word: str, say: Say) -> int:
    """The answer tells which hosts were meant."""
    place = place_of(env)
    async with connected() as apollo:
        handle = await apollo.deployment(place.application, place.environment, place.number)
        await _refuse_if_ended(handle, place, word)
        talk(f"{place.label}  {await say(handle)}", f"  Watch it: apollo watch {place.word}")
    return 0


async def _say(env: str, word: str, say: Say) -> int:
    place = place_of(env)
    async with connected() as apollo:
        return await say_to_deployment(apollo, place, word, say)


async def say_to_deployment(apollo: Apollo, place: Place, word: str, say: Say) -> int:
    """Say a word to the deployment that runs, and say what came of it."""
    handle = await apollo.deployment(place.application, place.environment, place.number)
    await _refuse_if_ended(handle, place, word)
    answer = await say(handle)
    status = await handle.status()
    label = status.deployment.label if status else place.label
    talk(
        f"{label}  {word} accepted; it is {answer.rpartition(' ')[2]}",
        f"  Watch it: apollo watch {place.word}",
    )
    return 0


async def _refuse_if_ended(handle: DeploymentHandle, place: Place, word: str) -> None:
    """Say what to do instead; the deployment itself would only say that it is closed."""
    status = await handle.status()
    if status is None or not status.deployment.state.ended:
        return
    last = status.deployment
    hint = f"see it: apollo show {place.word}#{last.number}"
    raise Refused(f"{word} is refused: {last.label} has ended ({last.state})", hint=hint)
