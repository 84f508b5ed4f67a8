"""`apollo demo`."""

from typing import Annotated

from cyclopts import Parameter

Hosts = Annotated[int, Parameter(help="How many hosts.", show_default=True)]
Locations = Annotated[int, Parameter(help="How many data centres.", show_default=True)]
Keep = Annotated[bool, Parameter(help="Go on until Ctrl-C, to look around.")]


async def demo(*, hosts: Hosts = 12, locations: Locations = 3, keep: Keep = False) -> int:
    """Deploy to twelve hosts under traffic, all on this machine."""
    from apollo.local.demo import run_demo

    return await run_demo(hosts=hosts, locations=locations, keep=keep)
