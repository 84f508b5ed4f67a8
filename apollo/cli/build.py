"""Makes releases of the working tree: builds, packs, names."""

import asyncio
import hashlib
import re
import subprocess
import sys
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from apollo.cli.misuse import Misused
from apollo.cli.render.terminal import talk
from apollo.client import Apollo
from apollo.domain.base import Version
from apollo.domain.release import Artifact, Release
from apollo.errors import ApolloError, Refused
from apollo.files.project import Project, ReleaseSpec

_VERSION: TypeAdapter[str] = TypeAdapter(Version)
_STRANGE = re.compile(r"[^A-Za-z0-9._+-]+")


class BuildFailed(ApolloError):
    """`release.build` ended with an exit code other than 0."""

    exit_code = 3


async def create_release(
    apollo: Apollo, project: Project, version: str, artifact: Path | None = None
) -> Release:
    """Build and pack the working tree, or pack what was built elsewhere.

    Raises:
        BuildFailed: The build did not end well.
        Refused: The version exists with another content.
    """
    try:
        _VERSION.validate_python(version)
    except ValidationError as error:
        hint = "letters, digits and . _ + -, starting with a letter or digit"
        raise Misused(f"{version!r} is no version", hint=hint) from error
    stored = await _packed(apollo, project, artifact)
    return await _added(apollo, project, version, stored)


async def release_working_tree(apollo: Apollo, project: Project) -> Release:
    """The same, named after git's last tag and the digest of what is released.

    Raises:
        BuildFailed: The build did not end well.
    """
    stored = await _packed(apollo, project, None)
    content = f"{stored.sha256}{project.setup.model_dump_json(by_alias=True)}"
    mark = hashlib.sha256(content.encode()).hexdigest()[:8]
    described = await asyncio.to_thread(_described, project.folder)
    return await _added(apollo, project, f"{described}-dirty.{mark}" if described else mark, stored)


async def _packed(apollo: Apollo, project: Project, artifact: Path | None) -> Artifact:
    spec = project.release
    if artifact is None:
        spec = _spec(project)
        if spec.build:
            await _build(spec.build, project.folder)
        artifact = project.folder / spec.artifact
    stored = await apollo.store_artifact(artifact, spec.exclude if spec else ())
    talk(f"Packed {artifact}: {stored.size} bytes, sha256 {stored.sha256[:12]}…")
    return stored


async def _added(apollo: Apollo, project: Project, version: str, artifact: Artifact) -> Release:
    release = Release(
        application=project.application, version=version, artifact=artifact, setup=project.setup
    )
    await apollo.catalog.releases.add(release, apollo.settings.who)
    return release


def _spec(project: Project) -> ReleaseSpec:
    if project.release is None:
        raise Refused(
            f"{project.application} does not say what a release is made of",
            hint="add release: {artifact: dist/} to apollo.yaml, or use --artifact",
        )
    return project.release


async def _build(command: str, folder: Path) -> None:
    talk(f"Building: {command}")
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command, cwd=folder, stdout=sys.stderr.fileno(), stdin=subprocess.DEVNULL
    )
    code = await process.wait()
    if code:
        raise BuildFailed(f"{command!r} ended with exit code {code}", hint="no release was made")


def _described(folder: Path) -> str:
    """What git calls the working tree; nothing where there is no git."""
    try:
        command = ["git", "describe", "--tags", "--always"]
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return _STRANGE.sub("-", found.stdout.strip()).lstrip("._+-")[:100]
