"""Promotions: which release is on its way, where it is, and who gives way to whom."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import uuid4

from sqlalchemy import RowMapping, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.engine import Database
from apollo.catalog.records import NewPromotion, StoredPromotion
from apollo.domain.passage import Rival, superseded_by
from apollo.domain.promotion import PromotionState, StageProgress
from apollo.domain.status import DeploymentState
from apollo.errors import NotFound, Refused

_ROWS = tables.promotions
_DEPLOYMENTS = tables.deployments
_GOT_THERE = (DeploymentState.SUCCEEDED, DeploymentState.PARTIAL)
_THERE = (
    DeploymentState.WAITING,
    DeploymentState.RUNNING,
    DeploymentState.BAKING,
    DeploymentState.AWAITING,
    DeploymentState.PAUSED,
)


class Promotions:
    """The promotions of all applications. What has ended stays as it is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, new: NewPromotion, lost: Collection[str] = ()) -> StoredPromotion:
        """Store a promotion; the same run of a workflow always gets the same.

        Promotions in `lost`, whose workflows are known to be closed, end.

        Raises:
            Refused: The release is being promoted already.
        """
        async with self._database.write() as connection:
            await _lock(connection, new.application)
            query = select(_ROWS).where(
                _ROWS.c.workflow_id == new.workflow_id, _ROWS.c.run_id == new.run_id
            )
            if known := (await connection.execute(query)).mappings().one_or_none():
                return _record(known)
            await self._lose(connection, lost)
            for other in await _running(connection, new.application):
                if other.release == new.release:
                    raise already_promoted(other)
            now = self._database.now()
            stored = StoredPromotion(
                **new.model_dump(),
                uuid=str(uuid4()),
                stage=new.stages[0].environment,
                state=PromotionState.WAITING,
                opened_at=now,
                since=now,
            )
            values = stored.model_dump() | stored.model_dump(
                mode="json", include={"stages", "request"}
            )
            await connection.execute(_ROWS.insert().values(**values))
        return stored

    async def get(self, uuid: str) -> StoredPromotion:
        """A promotion.

        Raises:
            NotFound: There is none.
        """
        async with self._database.read() as connection:
            return await _get(connection, uuid)

    async def by_workflow(self, workflow_id: str, run_id: str) -> StoredPromotion | None:
        """The promotion that a run of a workflow carries out, if it was opened."""
        query = select(_ROWS).where(_ROWS.c.workflow_id == workflow_id, _ROWS.c.run_id == run_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else _record(row)

    async def running(
        self, application: str | None = None, environment: str | None = None
    ) -> list[StoredPromotion]:
        """Promotions that have not ended, the oldest first; by the stage that they are at."""
        async with self._database.read() as connection:
            return await _running(connection, application, environment)

    async def arrive(
        self, uuid: str, environment: str, lost: Collection[str] = ()
    ) -> tuple[str, list[StoredPromotion]]:
        """Wait at a stage's gate from now on; who supersedes this one, and whom it supersedes.

        `lost` are promotions and deployments (by uuid) whose workflows are known to be closed.

        Raises:
            Refused: It has ended.
        """
        async with self._database.write() as connection:
            mine = await self._mine(connection, uuid)
            await self._lose(connection, lost)
            mine = mine.model_copy(update={"stage": environment, "at_gate": True})
            there = [
                other
                for other in await _running(connection, mine.application, environment)
                if other.uuid != uuid
            ]
            if by := await _superseded(connection, mine, there, lost):
                await _set(connection, [uuid], superseded_by=by)
                return by, []
            await _set(connection, [uuid], stage=environment, at_gate=True)
            older = [
                other
                for other in there
                if other.at_gate and other.superseded_by in ("", mine.release)
            ]
            await _set(connection, [each.uuid for each in older], superseded_by=mine.release)
        return "", older

    async def leave(self, uuid: str) -> str:
        """Leave the gate to deploy, unless it was superseded: by whom.

        Raises:
            Refused: It has ended.
        """
        async with self._database.write() as connection:
            mine = await self._mine(connection, uuid)
            if not mine.superseded_by:
                await _set(connection, [uuid], at_gate=False)
        return mine.superseded_by

    async def show(
        self,
        uuid: str,
        state: PromotionState,
        detail: str,
        stages: Iterable[StageProgress],
        *,
        held: bool = False,
    ) -> None:
        """Write where a promotion stands; one that has ended stays as it is."""
        assert not state.ended, f"{state} is an end: use end()"
        async with self._database.write() as connection:
            await self._write(connection, uuid, state, detail, stages, held=held)

    async def end(
        self, uuid: str, state: PromotionState, detail: str, stages: Iterable[StageProgress]
    ) -> StoredPromotion:
        """End a promotion. The first end holds.

        Raises:
            NotFound: There is no such promotion.
        """
        assert state.ended, f"{state} is not an end: use show()"
        async with self._database.write() as connection:
            now = self._database.now()
            await self._write(connection, uuid, state, detail, stages, held=False, ended_at=now)
            return await _get(connection, uuid)

    async def list(self, application: str | None, *, limit: int = 100) -> list[StoredPromotion]:
        """Promotions, the newest first."""
        query = select(_ROWS).order_by(_ROWS.c.opened_at.desc()).limit(limit)
        if application is not None:
            query = query.where(_ROWS.c.application == application)
        async with self._database.read() as connection:
            return [_record(row) for row in (await connection.execute(query)).mappings()]

    async def _write(
        self,
        connection: AsyncConnection,
        uuid: str,
        state: PromotionState,
        detail: str,
        stages: Iterable[StageProgress],
        **more: object,
    ) -> None:
        row = update(_ROWS).where(_ROWS.c.uuid == uuid, _ROWS.c.ended_at.is_(None))
        await connection.execute(
            row.where(_ROWS.c.state != state).values(since=self._database.now())
        )
        told = [stage.model_dump(mode="json") for stage in stages]
        await connection.execute(row.values(state=state, detail=detail, stages=told, **more))

    async def _mine(self, connection: AsyncConnection, uuid: str) -> StoredPromotion:
        mine = await _get(connection, uuid)
        await _lock(connection, mine.application)
        mine = await _get(connection, uuid)
        if mine.ended_at is not None:
            raise Refused(
                f"the promotion of {mine.label} has ended ({mine.state}): {mine.detail}",
                hint=f"start another: apollo promote {mine.application}/{mine.release}",
            )
        return mine

    async def _lose(self, connection: AsyncConnection, lost: Collection[str]) -> None:
        now = self._database.now()
        await connection.execute(
            update(_ROWS)
            .where(_ROWS.c.uuid.in_(lost), _ROWS.c.ended_at.is_(None))
            .values(
                state=PromotionState.LOST,
                detail="its workflow was ended from outside",
                since=now,
                ended_at=now,
            )
        )


def already_promoted(other: StoredPromotion) -> Refused:
    """The error for a release that is on its way already."""
    return Refused(
        f"{other.label} is being promoted already: it is at {other.stage} ({other.state}), "
        f"workflow {other.workflow_id}",
        hint=f"watch it: apollo watch {other.application}",
    )


async def _superseded(
    connection: AsyncConnection,
    mine: StoredPromotion,
    there: Iterable[StoredPromotion],
    lost: Collection[str],
) -> str | None:
    if mine.superseded_by:
        return mine.superseded_by
    made = await _made(connection, mine.application)
    rivals = [Rival(other.release, made[other.release]) for other in there]
    query = select(_DEPLOYMENTS).where(
        _DEPLOYMENTS.c.application == mine.application,
        _DEPLOYMENTS.c.environment == mine.stage,
        _DEPLOYMENTS.c.whole_fleet.is_(True),
        _DEPLOYMENTS.c.state.in_((*_GOT_THERE, *_THERE)),
        (_DEPLOYMENTS.c.ended_at >= mine.opened_at) | _DEPLOYMENTS.c.ended_at.is_(None),
        _DEPLOYMENTS.c.uuid.not_in(lost),
    )
    for row in (await connection.execute(query)).mappings():
        if row["release"] in made:
            rivals.append(Rival(row["release"], made[row["release"]], row["ended_at"]))
    return superseded_by(Rival(mine.release, made[mine.release]), mine.opened_at, rivals)


async def _made(connection: AsyncConnection, application: str) -> dict[str, tuple[datetime, str]]:
    """When each release was made: what makes one newer than another."""
    releases = tables.releases.c
    query = select(releases.version, releases.created_at).where(releases.application == application)
    rows = await connection.execute(query)
    return {version: (created, version) for version, created in rows}


async def _running(
    connection: AsyncConnection, application: str | None, environment: str | None = None
) -> list[StoredPromotion]:
    query = select(_ROWS).where(_ROWS.c.ended_at.is_(None))
    if application is not None:
        query = query.where(_ROWS.c.application == application)
    if environment is not None:
        query = query.where(_ROWS.c.stage == environment)
    rows = await connection.execute(query.order_by(_ROWS.c.opened_at, _ROWS.c.uuid))
    return [_record(row) for row in rows.mappings()]


async def _set(connection: AsyncConnection, uuids: Collection[str], **values: object) -> None:
    await connection.execute(update(_ROWS).where(_ROWS.c.uuid.in_(uuids)).values(**values))


async def _lock(connection: AsyncConnection, application: str) -> None:
    """Let one transaction at a time decide about an application's promotions."""
    query = select(tables.applications.c.name).where(tables.applications.c.name == application)
    await connection.execute(query.with_for_update())


async def _get(connection: AsyncConnection, uuid: str) -> StoredPromotion:
    query = select(_ROWS).where(_ROWS.c.uuid == uuid)
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no promotion {uuid}", hint="see apollo status")
    return _record(row)


def _record(row: RowMapping) -> StoredPromotion:
    return StoredPromotion.model_validate(dict(row))
