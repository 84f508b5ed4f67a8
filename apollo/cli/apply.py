"""`apollo apply`."""

from collections.abc import Sequence

from apollo.cli.ask import agreed
from apollo.cli.differences import Difference, difference, differing
from apollo.cli.misuse import Misused
from apollo.cli.options import Env, Json, Reason, Yes
from apollo.cli.places import environment_of
from apollo.cli.render.differences import difference_json, render_difference
from apollo.cli.render.terminal import show, show_json, talk
from apollo.cli.session import connected
from apollo.client import Apollo
from apollo.errors import Refused
from apollo.files.project import Project, load_project


async def apply(*env: Env, reason: Reason = "", yes: Yes = False, json: Json = False) -> int:
    """Apply environments and the pipeline of apollo.yaml."""
    project = load_project(".")
    wanted = _environments(project, env)
    async with connected() as apollo:
        differences = [await difference(apollo, project, name) for name in wanted]
        if not json:
            for each in differences:
                show(render_difference(each))
        todo = differing(differences)
        if todo and not agreed("Apply this?", yes=yes):
            raise Refused("nothing was applied")
        revisions = await apply_all(apollo, todo, reason)
    if json:
        documents = (difference_json(each, _revision(each, revisions)) for each in differences)
        show_json({"application": project.application, "environments": list(documents)})
    elif not todo:
        talk("Nothing to apply.")
    return 0


async def apply_all(
    apollo: Apollo, differences: Sequence[Difference], reason: str
) -> dict[str, int]:
    """Apply what differs and say so; `shop/prod` and revision of each."""
    done: dict[str, int] = {}
    for each in differences:
        label = each.wanted.label
        done[label] = await apollo.apply(each.wanted, each.pipeline, reason)
        talk(f"Applied {label}, revision {done[label]}.")
    return done


def _revision(difference: Difference, revisions: dict[str, int]) -> int:
    return revisions.get(difference.wanted.label, difference.revision)


def _environments(project: Project, given: Sequence[str]) -> list[str]:
    places = [environment_of(each) for each in given]
    for place in places:
        if place.application != project.application:
            raise Misused(f"{place.label} is not of the application here, {project.application}")
    return [place.environment for place in places] or list(project.environments)
