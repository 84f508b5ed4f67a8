"""Releases, as a terminal and as JSON show them."""

from collections.abc import Iterator, Sequence
from typing import Any

from apollo.catalog.records import StoredDeployment, StoredRelease
from apollo.cli.render.history import deployment_json, render_history
from apollo.cli.render.terminal import Cell, columns, moment


def render_releases(releases: Sequence[StoredRelease]) -> Iterator[Cell]:
    """One line each, the newest first."""
    rows = [("RELEASE", "CREATED", "BY", "SIZE", "SHA256")]
    rows += [
        (
            each.release.version,
            moment(each.created_at),
            each.created_by,
            _size(each.release.artifact.size),
            each.release.artifact.sha256[:12],
        )
        for each in releases
    ]
    yield from columns(rows)


def render_release(
    stored: StoredRelease, deployments: Sequence[StoredDeployment]
) -> Iterator[Cell]:
    """What a release is made of, and its deployments."""
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
    if deployments:
        yield ""
        yield from render_history(deployments)


def release_json(
    stored: StoredRelease, deployments: Sequence[StoredDeployment] | None = None
) -> dict[str, Any]:
    """A release as a JSON object."""
    document = stored.model_dump(mode="json", by_alias=True)
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
