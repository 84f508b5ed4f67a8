"""`apollo worker`."""

from typing import Annotated, Literal

from cyclopts import Parameter

from apollo.cli.render.terminal import talk
from apollo.cli.session import read_settings
from apollo.workers.worker import run_worker

Role = Annotated[
    Literal["control", "hosts", "all"],
    Parameter(
        help="control: plans and workflows; hosts: everything over SSH; all: both.",
        show_default=True,
    ),
]
Locations = Annotated[str, Parameter(help="Whose own hosts it serves: fra1,ams1.")]


async def worker(*, role: Role = "all", locations: Locations = "") -> int:
    """Work until SIGTERM."""
    settings = read_settings()
    places = [place.strip() for place in locations.split(",") if place.strip()]
    talk(f"Worker ({role}) starts; state in {settings.home}.")
    await run_worker(settings, role, places)
    return 0
