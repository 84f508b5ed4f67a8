"""A look at a host: what serves there, as the host itself says. Nothing is changed."""

import asyncio
import json
from dataclasses import dataclass

from apollo.domain.sync import Sight
from apollo.errors import TurnError
from apollo.hosts import script
from apollo.hosts.answer import Answer, Status
from apollo.hosts.root import read_answer
from apollo.ports import Hosts, Reachable

TIMEOUT = 60.0
"""Seconds for all of it; connecting may take half of them."""


@dataclass(frozen=True)
class Looker:
    """Looks at hosts over the worker's connections."""

    hosts: Hosts

    async def __call__(self, host: Reachable, root: str) -> Sight:
        """What serves from that root, or why nothing was seen; takes no lock and no fence."""
        name, accepted = host.host.name, ""
        command = script.look(root, deployment="none", turn=0)
        try:
            async with asyncio.timeout(TIMEOUT), self.hosts.connect(host) as session:
                accepted = session.accepted_key
                output = await session.run(command.line, command.stdin)
            sight = seen(name, read_answer(command, output, name, "look"))
            return sight.model_copy(update={"host_key": accepted})
        except TurnError as error:
            found = {"error": error.code, "message": error.message}
            return Sight(host=name, host_key=accepted, **found)
        except TimeoutError:
            text = f"{name} did not answer within {TIMEOUT:g} s"
            return Sight(host=name, host_key=accepted, error="ContactLost", message=text)


def seen(name: str, answer: Answer) -> Sight:
    """What an answer says of a host.

    It serves what its state names only while `current` points to that, and the release is there.
    """
    if answer.running:
        text = f"a runner is still at work on {name}"
        return Sight(host=name, error="HostBusy", message=text)
    state, there = answer.state, answer.manifest is not None
    serves = state.status is Status.SERVING and state.folder == answer.current and there
    return Sight(
        host=name,
        manifest=state.manifest_digest if serves else None,
        release=_release(answer.manifest),
        state=str(state.status),
        turn_of=state.deployment if state.status is Status.CHANGING else None,
    )


def _release(manifest: bytes | None) -> str | None:
    try:
        found = json.loads(manifest)["release"] if manifest else None
    except (ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, str) else None
