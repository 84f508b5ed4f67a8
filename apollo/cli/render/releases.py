"""Releases, as a terminal and as JSON show them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apollo.catalog.records import ReleaseReach, StoredDeployment, StoredRelease
from apollo.cli.render.history import deployment_json, render_history
from apollo.cli.render.terminal import Cell, columns, count, moment
from apollo.files.mistakes import one_line


def render_releases(
    releases: Sequence[StoredRelease], reach: Mapping[str, Sequence[ReleaseReach]]
) -> Iterator[Cell]:
    """One line each, the newest first."""
    rows = [("RELEASE", "CREATED", "BY", "SIZE", "SHA256", "REACHED", "RUNS ON")]
    for each in releases:
        far = reach.get(each.release.version, ())
        rows.append(
            (
                each.release.version,
                moment(each.created_at),
                one_line(each.created_by),
                _size(each.release.artifact.size),
                each.release.artifact.sha256[:12],
                ", ".join(f"{r.environment} {moment(r.reached_at)}" for r in far if r.reached_at)
                or "-",
                ", ".join(f"{count(r.hosts, 'host')} of {r.environment}" for r in far if r.hosts)
                or "-",
            )
        )
    yield from columns(rows)


def render_release(
    stored: StoredRelease,
    reach: Sequence[ReleaseReach],
    deployments: Sequence[StoredDeployment],
) -> Iterator[Cell]:
    """What a release is made of, when it came where, and its deployments."""
    release = stored.release
    setup = release.setup
    hooks = [name for name, hook in setup.hooks.model_dump().items() if hook]
    yield f"{release.application} {release.version}"
    yield from columns(
        [
            ("created", f"{moment(stored.created_at)} by {stored.created_by}"),
            ("artifact", f"sha256 {release.artifact.sha256}, {_size(release.artifact.size)}"),
            ("root", setup.root),
            ("hooks", ", ".join(hooks) or "none"),
            ("health", _health(stored)),
        ],
        indent="  ",
    )
    if reach:
        yield ""
        yield from _reach(reach)
    if deployments:
        yield ""
        yield from render_history(deployments)


def _reach(reach: Sequence[ReleaseReach]) -> Iterator[Cell]:
    rows = [("ENVIRONMENT", "REACHED", "WITH", "RUNS NOW ON")]
    for each in reach:
        when, number = moment(each.reached_at), each.number
        if each.reached_at is None and each.in_part_at is not None:
            when, number = f"in part {moment(each.in_part_at)}", each.in_part
        with_ = f"#{number}" if number is not None else "-"
        rows.append((each.environment, when, with_, count(each.hosts, "host")))
    yield from columns(rows)


def release_json(
    stored: StoredRelease,
    reach: Sequence[ReleaseReach] | None = None,
    deployments: Sequence[StoredDeployment] | None = None,
) -> dict[str, Any]:
    """A release as a JSON object."""
    document = stored.model_dump(mode="json", by_alias=True)
    if reach is not None:
        document["environments"] = [each.model_dump(mode="json") for each in reach]
    if deployments is not None:
        document["deployments"] = [deployment_json(each) for each in deployments]
    return document


def _health(stored: StoredRelease) -> str:
    health = stored.release.setup.health
    if health is None:
        return "none"
    if health.http:
        return f"http :{health.http.port}{health.http.path}"
    return f"tcp :{health.tcp.port}" if health.tcp else str(health.command)


def _size(size: int) -> str:
    amount = float(size)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
