"""A store that the control worker lends: for host workers that have Temporal and SSH, no more."""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import PinnedVersioningOverride
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from apollo import names
from apollo.artifacts.store import FolderStore, temporary
from apollo.domain.lending import PIECE, PieceRequest
from apollo.errors import NotFound, Unavailable
from apollo.settings import LENT, Settings
from apollo.workflows.options import LENT_WITHIN
from apollo.workflows.piece import Piece

PATIENCE = 120.0
"""Seconds without a piece after which those who wait are told."""
AGAIN = 1.0
RECENT = 600.0
"""Seconds in which what was asked for is kept, however full the folder is: it may be being sent."""


class LentStore:
    """Manifests and artifacts by their sha256, asked for by the piece and kept in a folder.

    What many turns want at once is asked for once, and goes on arriving when they have gone.
    """

    def __init__(self, client: Client, folder: Path, most: int, build: str = "") -> None:
        self._client = client
        self._by = PinnedVersioningOverride(names.version(build)) if build else None
        """Who lends: what is pinned to a build needs no other."""
        self._folder = folder
        self._most = most
        """Bytes that the folder may hold."""
        self._cache = FolderStore(folder)
        self._arriving: dict[str, asyncio.Task[None]] = {}

    async def get_bytes(self, sha256: str) -> bytes:
        """The content of that digest.

        Raises:
            NotFound: The store does not have it.
            Unavailable: Nobody lends it, or what was lent is damaged.
        """
        place = await self.path(sha256)
        return await asyncio.to_thread(place.read_bytes)

    async def path(self, sha256: str) -> Path:
        """A local file with the content of that digest; not to be written.

        Raises:
            NotFound: The store does not have it.
            Unavailable: Nobody lends it, or what was lent is damaged.
        """
        try:
            place = await self._cache.path(sha256)
        except (NotFound, Unavailable):
            await self._arrival(sha256)
            place = await self._cache.path(sha256)
        await asyncio.to_thread(_used, place)
        return place

    async def url(self, sha256: str) -> str | None:
        """None: an address may be a secret, and what is lent travels through histories."""
        return None

    async def _arrival(self, sha256: str) -> None:
        task = self._arriving.get(sha256)
        if task is None:
            task = self._arriving[sha256] = asyncio.create_task(self._fetch(sha256))
            task.add_done_callback(lambda done: self._arrived(sha256, done))
        await asyncio.shield(task)

    def _arrived(self, sha256: str, task: "asyncio.Task[None]") -> None:
        del self._arriving[sha256]
        if not task.cancelled():
            task.exception()  # nobody may be waiting any more

    async def _fetch(self, sha256: str) -> None:
        """Have it in the folder."""
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        with temporary(self._folder) as (target, part):
            while True:
                piece = await self._piece(PieceRequest(sha256=sha256, start=target.tell()))
                await asyncio.to_thread(target.write, piece)
                if len(piece) < PIECE:
                    break
            await asyncio.to_thread(target.flush)
            artifact = await self._cache.put_file(part)
        if artifact.sha256 != sha256:
            raise Unavailable(
                f"what was lent under the digest {sha256} is something else",
                hint="see the control worker's store",
            )
        await asyncio.to_thread(make_room, self._folder, self._most)

    async def _piece(self, request: PieceRequest) -> bytes:
        """A piece, for as long as it takes while the line is cut or no control worker runs."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return await self._ask(request)
            except Unavailable:
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(AGAIN)

    async def _ask(self, request: PieceRequest) -> bytes:
        workflow_id = names.piece_id(request.sha256, request.start, uuid4().hex)
        try:
            async with asyncio.timeout(2 * LENT_WITHIN.total_seconds()):
                return await self._client.execute_workflow(
                    Piece.run,
                    request,
                    id=workflow_id,
                    task_queue=names.CONTROL_QUEUE,
                    execution_timeout=LENT_WITHIN,
                    versioning_override=self._by,
                    static_summary=f"{request.sha256[:12]} from {request.start} on",
                )
        except WorkflowFailureError as error:
            raise _told(request, error) from error
        except (RPCError, TimeoutError) as error:
            why = f"{request.sha256[:12]} is not lent: Temporal does not answer: {error}"
            raise Unavailable(why, hint="see TEMPORAL_ADDRESS and the line to it") from error
        finally:
            await self._forget(workflow_id)

    async def _forget(self, workflow_id: str) -> None:
        """Its history holds the piece twice; where it may not be deleted, it ages with the rest."""
        with contextlib.suppress(RPCError):
            await self._client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(
                    namespace=self._client.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=workflow_id),
                )
            )


def borrows(settings: Settings, role: str) -> bool:
    """Whether a worker has no store of its own: it was told so, or has only hosts and no folder."""
    nowhere = not settings.store and not settings.store_folder.is_dir()
    return role == "hosts" and (settings.store == LENT or nowhere)


def borrowed(client: Client, settings: Settings) -> LentStore:
    """The store that such a worker has instead."""
    folder = settings.home / "lent"
    clear_parts(folder)
    return LentStore(client, folder, settings.lent_mb * 1_000_000, settings.build_id)


def make_room(folder: Path, most: int) -> None:
    """Take away what was not asked for the longest, until no more than that is left.

    What was asked for just now stays. Others may do the same in the same folder.
    """
    found: list[tuple[float, int, Path]] = []
    for place in folder.glob("??/*"):
        with contextlib.suppress(FileNotFoundError):
            status = place.stat()
            found.append((status.st_atime, status.st_size, place))
    left, now = sum(size for _, size, _ in found), time.time()
    for used, size, place in sorted(found):
        if left <= most or now - used < RECENT:
            return
        place.unlink(missing_ok=True)
        left -= size


def clear_parts(folder: Path) -> None:
    """Take away what processes that were killed had begun to write."""
    for part in (*folder.glob(".part-*"), *folder.glob("incoming/.part-*")):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > RECENT:
                part.unlink()


def _used(place: Path) -> None:
    """Note that it is of use; when it was written is what tells that it has not changed."""
    with contextlib.suppress(OSError):
        os.utime(place, ns=(time.time_ns(), place.stat().st_mtime_ns))


def _told(request: PieceRequest, error: WorkflowFailureError) -> NotFound | Unavailable:
    cause: BaseException | None = error.cause
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    if cause is None:
        why = f"no control worker has lent {request.sha256[:12]}: {error.cause}"
        return Unavailable(why, hint="start one: apollo worker --role control")
    return (NotFound if cause.type == "NotFound" else Unavailable)(cause.message)
