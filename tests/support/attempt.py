"""One attempt at a turn, as a process of its own that may be stopped or killed.

`python -m tests.support.attempt FILE`: the file is a `Told` as JSON; the record, or the error, is
printed as JSON.
"""

import asyncio
import json
import sys
from functools import partial
from pathlib import Path

from pydantic import BaseModel

import apollo.hosts.turn
from apollo.artifacts.store import FolderStore
from apollo.balancers import build_balancer
from apollo.domain.turn import TurnInput, TurnRecord
from apollo.errors import TurnError
from apollo.hosts.secrets import ReferenceSecrets
from apollo.hosts.session import SshHosts
from apollo.hosts.traffic import Traffic, Word
from apollo.hosts.turn import TurnRunner
from apollo.ports import Footing
from apollo.wiring import StoredManifests


class Told(BaseModel):
    """What an attempt is told."""

    turn: TurnInput
    attempt_ms: int
    store: Path
    key: Path
    guarded: bool = True
    """Off: words to the balancer are said whatever the host says, for controls."""
    commands: list[str] = []
    """What the worker allows `command` balancers to run."""


async def attempt(told: Told) -> TurnRecord:
    """Carry it out in this process."""
    runner = TurnRunner(
        hosts=SshHosts(key=told.key),
        manifests=StoredManifests(FolderStore(told.store)),
        secrets=ReferenceSecrets(()),
        build_balancer=partial(build_balancer, allowed=told.commands),
    )
    return await runner(told.turn, told.attempt_ms, Footing())


class Unguarded(Traffic):
    """What `Traffic` would be without its rules."""

    async def _say(self, word: Word) -> None:
        await word(self.target)


def main(file: str) -> None:
    """The attempt that the file tells of."""
    told = Told.model_validate_json(Path(file).read_text(encoding="utf-8"))
    if not told.guarded:
        apollo.hosts.turn.Traffic = Unguarded  # type: ignore[attr-defined]
    try:
        print(asyncio.run(attempt(told)).model_dump_json())
    except TurnError as error:
        print(json.dumps({"error": error.code, "message": error.message}))


if __name__ == "__main__":
    main(sys.argv[1])
