"""Releases: added once, never changed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, case, func, select

from apollo.catalog import tables
from apollo.catalog.audit import note
from apollo.catalog.engine import Database, digest, insert
from apollo.catalog.environments import add_application
from apollo.catalog.records import ReleaseReach, StoredRelease
from apollo.domain.release import Release
from apollo.domain.status import DeploymentState
from apollo.errors import NotFound, Refused

_RELEASES = tables.releases
_SHOWN = 10


class Releases:
    """The releases of all applications."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, release: Release, by: str) -> bool:
        """Add a release; whether it is new. Adding the same release again changes nothing.

        Raises:
            Refused: The version exists with other content.
        """
        spec = release.model_dump(mode="json", by_alias=True)
        async with self._database.write() as connection:
            await add_application(connection, release.application)
            added = await connection.execute(
                insert(connection, _RELEASES)
                .values(
                    application=release.application,
                    version=release.version,
                    digest=digest(spec),
                    spec=spec,
                    created_at=self._database.now(),
                    created_by=by,
                )
                .on_conflict_do_nothing()
                .returning(_RELEASES.c.version)
            )
            if added.first():
                await note(
                    self._database,
                    connection,
                    "release",
                    identity=by,
                    application=release.application,
                    environment="",
                    detail={"release": release.version},
                )
                return True
            query = _of(release.application).where(_RELEASES.c.version == release.version)
            row = (await connection.execute(query)).mappings().one()
        if row["digest"] != digest(spec):
            raise _taken(release, _record(row))
        return False

    async def get(self, application: str, version: str) -> StoredRelease:
        """A release.

        Raises:
            NotFound: There is none of that version; the hint names those that are.
        """
        query = _of(application).where(_RELEASES.c.version == version)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is not None:
            return _record(row)
        known = [stored.release.version for stored in await self.list(application, limit=_SHOWN)]
        raise NotFound(
            f"{application} has no release {version!r}",
            hint=f"the newest are {', '.join(known)}"
            if known
            else "make one: apollo release create",
        )

    async def reach(
        self, application: str, versions: Sequence[str]
    ) -> dict[str, list[ReleaseReach]]:
        """How far each version has come, in the order of the environments' names.

        Environments that a version never came to are missing, as are such versions.
        """
        found: dict[tuple[str, str], dict[str, Any]] = {}
        async with self._database.read() as connection:
            for row in (await connection.execute(_firsts(application, versions))).mappings():
                known = found.setdefault((row["release"], row["environment"]), {})
                part = {"in_part_at": row["ended_at"], "in_part": row["number"]}
                whole = {"reached_at": row["ended_at"], "number": row["number"]}
                known.update(whole if row["whole"] else part)
            for row in (await connection.execute(_running(application, versions))).mappings():
                known = found.setdefault((row["release"], row["environment"]), {})
                known["hosts"] = row["hosts"]
        reach: dict[str, list[ReleaseReach]] = {}
        for (version, environment), known in sorted(found.items()):
            reach.setdefault(version, []).append(ReleaseReach(environment=environment, **known))
        return reach

    async def list(self, application: str, *, limit: int = 100) -> list[StoredRelease]:
        """The releases of an application, the newest first."""
        query = _of(application).order_by(_RELEASES.c.created_at.desc(), _RELEASES.c.version.desc())
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(limit))).mappings()
            return [_record(row) for row in rows]


def _firsts(application: str, versions: Sequence[str]) -> Select[Any]:
    """The first deployments that ended well, of the whole fleet and otherwise."""
    rows = tables.deployments.c
    whole = case((rows.whole_fleet & (rows.state == DeploymentState.SUCCEEDED), 1), else_=0)
    place = func.row_number().over(
        partition_by=(rows.release, rows.environment, whole), order_by=(rows.ended_at, rows.number)
    )
    columns = (rows.release, rows.environment, rows.number, rows.ended_at)
    ranked = (
        select(*columns, whole.label("whole"), place.label("place"))
        .where(
            rows.application == application,
            rows.release.in_(versions),
            rows.state.in_((DeploymentState.SUCCEEDED, DeploymentState.PARTIAL)),
        )
        .subquery()
    )
    return select(ranked).where(ranked.c.place == 1)


def _running(application: str, versions: Sequence[str]) -> Select[Any]:
    """How many hosts run them now."""
    rows = tables.host_state.c
    return (
        select(rows.release, rows.environment, func.count().label("hosts"))
        .where(rows.application == application, rows.release.in_(versions))
        .group_by(rows.release, rows.environment)
    )


def _of(application: str) -> Select[Any]:
    return select(_RELEASES).where(_RELEASES.c.application == application)


def _record(row: RowMapping) -> StoredRelease:
    return StoredRelease(
        release=Release.model_validate(row["spec"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )


def _taken(wanted: Release, found: StoredRelease) -> Refused:
    same = wanted.artifact.sha256 == found.release.artifact.sha256
    differs = "setup" if same else "artifact"
    return Refused(
        f"{wanted.application} {wanted.version} exists with another {differs}: "
        f"{found.created_by or 'somebody'} made it {found.created_at:%Y-%m-%d %H:%M} UTC, "
        "and releases never change",
        hint="give this one another version",
    )
