"""Brings an artifact to a host: over SFTP, going on where an attempt before it was cut off."""

import asyncio
from pathlib import Path

import asyncssh

from apollo.domain.release import Artifact
from apollo.errors import DigestMismatch
from apollo.hosts.root import HostRoot
from apollo.ports import HostSession, Manifests

SMALL = 256 * 1024
"""Bytes up to which an artifact goes along with a command: SFTP costs more round trips."""
_PIECE = 4 * 1024 * 1024
_OPEN_TRIES = 20
_OPEN_PAUSE = 0.25


async def bring(
    artifact: Artifact, manifests: Manifests, session: HostSession, root: HostRoot
) -> None:
    """Bring the artifact into the host's cache, where its digest is checked.

    What arrived wrong is thrown away and sent once more, whole.

    Raises:
        DigestMismatch: It arrived wrong again.
        DiskFull: The host has no room for it, packed and unpacked; nothing was written.
        TurnError: The host refused, or contact was lost; what has arrived is kept.
    """
    source = await manifests.artifact(artifact.sha256)
    try:
        await _bring(artifact, source, session, root)
    except DigestMismatch:
        await _bring(artifact, source, session, root)


async def _bring(artifact: Artifact, source: Path, session: HostSession, root: HostRoot) -> None:
    if artifact.size > SMALL:
        part = (await root.part(artifact)).part
        if part is None:
            return
        target = f"{root.caller.root}/.apollo/cache/{part.name}"
        if await session.send(source, target, part.size):
            await root.keep(artifact)
            return
    await root.put(artifact, await asyncio.to_thread(source.read_bytes))


async def send_file(
    connection: asyncssh.SSHClientConnection, source: Path, target: str, start: int
) -> bool:
    """Write a file's bytes from `start` on over SFTP, in order; False where there is no SFTP.

    Raises:
        asyncssh.Error: The connection ended, or the host could not write.
    """
    client = await _open(connection)
    if client is None:
        return False
    async with client:
        try:
            remote = await client.open(target, asyncssh.FXF_WRITE, encoding=None)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied):
            return False  # it shows other folders than the shell does
        async with remote:
            with source.open("rb") as file:
                file.seek(start)
                while piece := await asyncio.to_thread(file.read, _PIECE):
                    await remote.write(piece, start)
                    start += len(piece)
    await client.wait_closed()
    return True


async def _open(connection: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient | None:
    """A client of the host's SFTP subsystem, if it has one.

    Under `MaxSessions 1` the channel before it may still be closing.
    """
    for attempt in range(_OPEN_TRIES):
        try:
            return await connection.start_sftp_client()
        except asyncssh.ChannelOpenError as error:
            if error.code == asyncssh.OPEN_REQUEST_SESSION_FAILED or attempt == _OPEN_TRIES - 1:
                return None
            await asyncio.sleep(_OPEN_PAUSE)
        except asyncssh.SFTPError:
            if connection.is_closed():
                raise
            return None  # a subsystem that ends at once, or a login shell that talks
    raise AssertionError("unreachable")
