"""Lending: host workers without access to the store ask for pieces of what it holds."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from apollo.activities.explained import explained
from apollo.domain.lending import PIECE, PieceRequest

if TYPE_CHECKING:
    from apollo.artifacts.store import Store


@dataclass
class LendingActivities:
    """The control worker's part: it has the store."""

    store: "Store"

    @activity.defn
    @explained
    async def lend_piece(self, given: PieceRequest) -> bytes:
        """The bytes from `given.start` on, a piece of them; fewer are the last ones."""
        if not given.sha256:
            raise ApplicationError("of what? sha256 is missing", type="Refused", non_retryable=True)
        place = await self.store.path(given.sha256)
        return await asyncio.to_thread(_read, place, given.start)


def _read(place: Path, start: int) -> bytes:
    with place.open("rb") as file:
        file.seek(start)
        return file.read(PIECE)
