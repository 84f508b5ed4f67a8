"""`apollo deploy`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from apollo.cli.apply import apply_all
from apollo.cli.ask import agreed
from apollo.cli.build import release_working_tree
from apollo.cli.differences import difference
from apollo.cli.following import follow, opened
from apollo.cli.links import temporal_link
from apollo.cli.misuse import Misused
from apollo.cli.options import Env, JsonLines, Limit, Reason, Redeploy, Yes
from apollo.cli.places import Place, environment_of, project_of
from apollo.cli.render.differences import render_difference
from apollo.cli.render.plan import render_plan
from apollo.cli.render.terminal import on_terminal, show_json, talk
from apollo.cli.session import connected
from apollo.client import Apollo, DeploymentHandle
from apollo.domain.pipeline import of_working_tree
from apollo.domain.turn import Stop
from apollo.errors import Refused
from apollo.files.mistakes import one_line
from apollo.files.project import Project

Version = Annotated[
    str, Parameter(help="A version, or `current`; without one the working tree is packed.")
]
IfBusy = Annotated[
    Literal["refuse", "wait", "supersede"],
    Parameter(help="When another deployment is changing hosts.", show_default=True),
]
Override = Annotated[
    str | None,
    Parameter(help="Why it keeps to no window and waits for no approval; for the audit."),
]
StopBy = Annotated[
    Stop,
    Parameter(
        help="Whose stop hook is used; `ignore`: the running release's, which may fail.",
        show_default=True,
    ),
]
Detach = Annotated[bool, Parameter(help="Start it and leave.")]
Apply = Annotated[bool, Parameter(name="--apply", help="Apply the files here first.")]


@dataclass(frozen=True)
class _Wish:
    """What was asked for on the command line."""

    place: Place
    limit: str | None
    redeploy: bool
    override: str
    reason: str
    yes: bool
    apply: bool


async def deploy(
    env: Env,
    release: Version = "",
    /,
    *,
    limit: Limit = None,
    redeploy: Redeploy = False,
    override: Override = None,
    stop: StopBy = "running",
    if_busy: IfBusy = "refuse",
    reason: Reason = "",
    detach: Detach = False,
    yes: Yes = False,
    apply: Apply = False,
    json: JsonLines = False,
) -> int:
    """Deploy a release and watch it."""
    place = environment_of(env)
    wish = _Wish(place, limit, redeploy, _why(override), reason, yes, apply)
    project = project_of(place)
    _check_stage(project, place, release)
    async with connected() as apollo:
        await _apply(apollo, project, wish)
        version = release or await _pack(apollo, project)
        await _agree(apollo, wish, version)
        handle = await apollo.deploy(
            place.application,
            place.environment,
            version,
            limit=limit,
            redeploy=redeploy,
            override=wish.override,
            stop=stop,
            if_busy=if_busy,
            reason=reason,
        )
        return await follow_or_leave(handle, place, detach=detach, json=json)


def _why(override: str | None) -> str:
    if override is not None and not override.strip():
        raise Misused("--override needs a reason", hint='write --override "the site is down"')
    return (override or "").strip()


def _check_stage(project: Project | None, place: Place, release: str) -> None:
    """What was packed from a working tree is for the first environment only."""
    if release and not of_working_tree(release):
        return
    if project is None:
        if release:
            return
        raise Refused(
            f"there is no apollo.yaml of {place.application} here to pack",
            hint="name a release: apollo release list",
        )
    stages = project.pipeline or tuple(project.environments)
    if stages and place.environment in stages[1:]:
        what = f"{release} was packed from one" if release else f"name a release for {place.word}"
        raise Refused(
            f"only {stages[0]} takes working trees: {what}",
            hint=f"apollo release create VERSION, then apollo deploy {place.word} VERSION",
        )


async def _apply(apollo: Apollo, project: Project | None, wish: _Wish) -> None:
    """Apply what the files here say, when somebody agrees to it."""
    place = wish.place
    if project is None or place.environment not in project.environments:
        return
    found = await difference(apollo, project, place.environment)
    if found.same:
        return
    talk(*render_difference(found))
    if not wish.apply:
        if not on_terminal():
            raise Refused(
                f"the files here differ from what is applied to {place.label}",
                hint=f"apply them: apollo apply {place.word}, or deploy with --apply",
            )
        if not agreed("Apply this first?", yes=wish.yes):
            raise Refused("nothing was applied or deployed")
    await apply_all(apollo, [found], wish.reason)


async def _pack(apollo: Apollo, project: Project | None) -> str:
    assert project
    return (await release_working_tree(apollo, project)).version


async def _agree(apollo: Apollo, wish: _Wish, version: str) -> None:
    place = wish.place
    prepared = await apollo.plan(
        place.application,
        place.environment,
        version,
        limit=wish.limit,
        redeploy=wish.redeploy,
    )
    talk(*render_plan(prepared), "")
    if wish.override:
        talk(f"It keeps to no window and waits for no approval: {one_line(wish.override)}")
    question = f"Deploy {prepared.release.version} to {place.label}?"
    if not agreed(question, yes=wish.yes):
        raise Refused("nothing was deployed")


async def follow_or_leave(
    handle: DeploymentHandle, place: Place, *, detach: bool, json: bool
) -> int:
    """Watch what was started, or say how to come back to it."""
    return await (leave(handle, place, json) if detach else follow(handle, place, json=json))


async def leave(handle: DeploymentHandle, place: Place, json: bool) -> int:
    """Say what was started, and how to come back."""
    status = await opened(handle)
    label = status.deployment.label if status else handle.workflow_id
    link = temporal_link(handle.apollo.settings, handle.workflow_id)
    if json:
        found = {"deployment": status.deployment.label if status else None, "link": link or None}
        show_json({"environment": place.label, "workflow_id": handle.workflow_id, **found})
        return 0
    talk(f"Started {label}. Watch it: apollo watch {place.word}")
    talk(*([f"  Temporal: {link}"] if link else []))
    return 0
