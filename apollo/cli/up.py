"""`apollo up`."""

import asyncio
import signal
from typing import Annotated

from cyclopts import Parameter

from apollo.cli.render.terminal import show, talk
from apollo.cli.session import read_settings
from apollo.local.up import Up, locked

Port = Annotated[int, Parameter(help="Of the Temporal server; by default 7233, or a free one.")]
UiPort = Annotated[int, Parameter(help="Of its web pages; by default 8233, or a free one.")]


async def up(*, port: Port = 0, ui_port: UiPort = 0) -> int:
    """Run Temporal, the catalog and a worker on this machine."""
    settings = read_settings()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with locked(settings):
        async with Up(settings, port, ui_port, talk) as running:
            show(
                [
                    f"Temporal  {running.address}",
                    f"UI        {running.ui}",
                    f"State     {settings.home}",
                ]
            )
            talk("", "Next, beside your apollo.yaml: apollo check, apollo apply, apollo deploy ENV")
            talk("Ctrl-C stops it; deployments go on when it runs again.")
            await running.watch(stop)
    talk("Stopped.")
    return 0
