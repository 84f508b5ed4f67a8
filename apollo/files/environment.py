"""An environment as it is applied."""

from apollo.domain.environment import Environment
from apollo.domain.fleet import Fleet, select
from apollo.errors import NotFound
from apollo.files.configuration import applied
from apollo.files.inventory import Inventory, inline_inventory, inventory_of
from apollo.files.project import Project


def resolve(project: Project, name: str) -> Environment:
    """The environment of that name with its hosts, its files' texts and its locations' variables.

    Raises:
        NotFound: The project has no environment of that name.
    """
    spec = project.environments.get(name)
    if spec is None:
        known = ", ".join(project.environments)
        raise NotFound(
            f"{project.application} has no environment {name!r}", hint=f"Environments are: {known}."
        )
    inventory = read_inventory(project, name)
    hosts = tuple(select(inventory.hosts, spec.fleet.select))
    locations = {host.location for host in hosts}
    files, files_by_host = applied(spec, project.texts[name])
    return Environment(
        application=project.application,
        name=name,
        fleet=Fleet(hosts=hosts),
        first_use=spec.fleet.host_keys == "first_use",
        root=spec.root,
        variables=spec.variables,
        location_variables={
            location: variables
            for location, variables in inventory.location_variables.items()
            if variables and location in locations
        },
        own_workers=tuple(each for each in inventory.own_workers if each in locations),
        files=files,
        files_by_host=files_by_host,
        secrets=spec.secrets,
        balancer=spec.balancer,
        strategy=spec.strategy,
        alarms=spec.alarms,
        approval=spec.approval == "required",
        windows=spec.windows,
        freezes={path: project.calendars[name][path] for path in spec.freezes},
        notify=spec.notify,
    )


def read_inventory(project: Project, name: str) -> Inventory:
    """The whole inventory of an environment, before `select`."""
    fleet = project.environments[name].fleet
    if fleet.inventory is None:
        return inline_inventory(fleet)
    return inventory_of(project.inventories[fleet.inventory], fleet.user)
