"""`apollo release create|list|show`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.build import create_release
from apollo.cli.misuse import Misused
from apollo.cli.options import Json
from apollo.cli.places import Place, application
from apollo.cli.render.releases import release_json, render_release, render_releases
from apollo.cli.render.terminal import show, show_json, talk
from apollo.cli.session import connected
from apollo.files.project import load_project

ArtifactPath = Annotated[
    Path | None,
    Parameter(name="--artifact", help="Pack this, built elsewhere; release.build is not run."),
]
Application = Annotated[str, Parameter(help="By default that of the apollo.yaml here.")]
Newest = Annotated[int, Parameter(help="How many, the newest first.", show_default=True)]
Version = Annotated[str, Parameter(help="`1.4.2` beside an apollo.yaml, `shop/1.4.2` anywhere.")]


async def create(version: str, /, *, artifact: ArtifactPath = None, json: Json = False) -> int:
    """Build, pack and store a release."""
    project = load_project(".")
    async with connected() as apollo:
        made = await create_release(apollo, project, version, artifact)
        stored = await apollo.catalog.releases.get(project.application, made.version)
    if json:
        show_json(release_json(stored))
        return 0
    show([f"{made.application} {made.version}"])
    if first := project.pipeline or tuple(project.environments):
        talk(f"Deploy it: apollo deploy {first[0]} {made.version}")
    return 0


async def listing(app: Application = "", /, *, limit: Newest = 20, json: Json = False) -> int:
    """List the releases of an application."""
    async with connected() as apollo:
        owner = app or application()
        releases = await apollo.releases(owner, limit=limit)
        reach = await apollo.reach(owner, [each.release.version for each in releases])
    if json:
        found = [release_json(each, reach.get(each.release.version, ())) for each in releases]
        show_json({"releases": found})
    elif releases:
        show(render_releases(releases, reach))
    else:
        talk(f"{owner} has no release yet: apollo release create VERSION")
    return 0


async def show_release(version: Version, /, *, json: Json = False) -> int:
    """Show a release: when it came to each environment, and where it runs."""
    owner, _, name = version.rpartition("/")
    if not name:
        raise Misused(f"{version!r} names no release", hint="write 1.4.2 or shop/1.4.2")
    async with connected() as apollo:
        stored = await apollo.catalog.releases.get(owner or application(), name)
        owner = stored.release.application
        reach = (await apollo.reach(owner, [name])).get(name, [])
        deployments = await apollo.history(owner, release=name)
    if json:
        show_json(release_json(stored, reach, deployments))
        return 0
    show(render_release(stored, reach, deployments))
    for each in reach:
        if each.hosts:
            word = Place(owner, each.environment).word
            talk(f"  Which hosts run it: apollo hosts {word} --release {name}")
    return 0
