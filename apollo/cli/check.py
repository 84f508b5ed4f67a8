"""`apollo check`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.options import Json
from apollo.cli.render.terminal import columns, count, show, show_json, talk
from apollo.cli.render.windows import windows_text
from apollo.domain.environment import Environment
from apollo.files.environment import resolve
from apollo.files.mistakes import InvalidFiles
from apollo.files.project import Project, load_project

File = Annotated[Path, Parameter(help="The file, or its folder.")]


def check(file: File = Path("."), /, *, json: Json = False) -> int:
    """Check apollo.yaml and the files that it names."""
    try:
        project = load_project(file)
    except InvalidFiles as error:
        if not json:
            raise
        show_json(error.as_json())
        return error.exit_code
    environments = [resolve(project, name) for name in project.environments]
    if json:
        show_json(_document(project, environments))
        return 0
    talk(*(warning.render() for warning in project.warnings))
    warned = f", {count(len(project.warnings), 'warning')}" if project.warnings else ""
    show([f"✔ {project.application}: no mistakes{warned}"])
    show(columns([_row(each) for each in environments], indent="  "))
    return 0


def _row(environment: Environment) -> tuple[str, ...]:
    fleet = environment.fleet
    places = fleet.locations()
    row = environment.name, count(len(fleet.hosts), "host"), f"in {', '.join(places)}"
    windows = windows_text(environment)
    return (*row, f"windows {windows}") if windows else row


def _document(project: Project, environments: list[Environment]) -> dict[str, object]:
    return {
        "application": project.application,
        "environments": [
            {
                "name": each.name,
                "hosts": len(each.fleet.hosts),
                "locations": each.fleet.sizes(),
            }
            for each in environments
        ],
        "pipeline": project.pipeline,
        "warnings": [warning.as_json() for warning in project.warnings],
    }
