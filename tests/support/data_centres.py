"""Data centres on one machine: each is a network of its own, with one line to the outside."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.line import Line
from tests.support.openssh import OpenSshFleet, OpenSshHost, free_net, openssh_fleet, run


@dataclass
class DataCentre:
    """Hosts that only what runs inside can reach; its line leads to one address, no further."""

    location: str
    network: str
    """The network namespace; its line's outer end has the same name."""
    gate: str
    """The outer end's address."""
    hosts: tuple[OpenSshHost, ...] = ()

    def make(self, inside: str) -> None:
        """Make the network and its line."""
        run("ip", "netns", "add", self.network)
        line = f"ip link add {self.network} type veth peer name line netns {self.network}"
        for command in (
            line,
            f"ip addr add {self.gate}/24 dev {self.network}",
            f"ip link set {self.network} up",
            f"ip netns exec {self.network} ip addr add {inside}/24 dev line",
            f"ip netns exec {self.network} ip link set line up",
            f"ip netns exec {self.network} ip link set lo up",
        ):
            run(*command.split())

    def remove(self) -> None:
        """Take the network away."""
        run("ip", "link", "del", self.network, check=False)
        run("ip", "netns", "del", self.network, check=False)

    def cut(self) -> None:
        """Take the line away: what is on its way is lost, and nobody is told."""
        run("ip", "link", "set", self.network, "down")

    def heal(self) -> None:
        """Give the line back."""
        run("ip", "link", "set", self.network, "up")

    def start_worker(self, folder: Path, **variables: str) -> "subprocess.Popen[bytes]":
        """Its worker, inside: it knows Temporal and a key, and has a home of its own."""
        home = folder / f"home-{self.location}"
        words = ("worker", "--role", "hosts", "--locations", self.location)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "APOLLO_HOME": str(home),
            "APOLLO_CATALOG": "postgresql://nobody@catalog.invalid/none",
            "APOLLO_GRACE": "1",
            **variables,
        }
        with (folder / f"worker-{self.location}.log").open("ab") as log:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.network, sys.executable, "-m", "apollo.cli", *words],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


@contextmanager
def data_centres(
    folder: Path, locations: Mapping[str, int], program: Callable[[str], str]
) -> Iterator[tuple[dict[str, DataCentre], OpenSshFleet]]:
    """Data centres with so many hosts each; nothing of them is left afterwards."""
    program("sshd")
    token, net = secrets.token_hex(3), free_net()
    centres = {
        location: DataCentre(location, f"ad{token}{number}", f"10.{net}.{200 + number}.254")
        for number, location in enumerate(locations)
    }
    names = {f"{place}-{n}": place for place, many in locations.items() for n in range(1, many + 1)}
    try:
        for number, centre in enumerate(centres.values()):
            centre.make(f"10.{net}.{200 + number}.1")
        within = {name: centres[location].network for name, location in names.items()}
        with openssh_fleet(folder, list(names), program, within=within) as fleet:
            for centre in centres.values():
                centre.hosts = tuple(
                    host for name, host in fleet.hosts.items() if names[name] == centre.location
                )
            nobody_outside = [
                f"{host.address.rpartition('.')[0]}.0/24" for host in fleet.hosts.values()
            ]
            try:
                for hosts in nobody_outside:  # and who tries is told at once
                    run("ip", "route", "add", "unreachable", hosts)
                yield centres, fleet
            finally:
                for hosts in nobody_outside:
                    run("ip", "route", "del", "unreachable", hosts, check=False)
    finally:
        for centre in centres.values():
            centre.remove()


@asynccontextmanager
async def leading_to(
    centres: Mapping[str, DataCentre], address: str
) -> AsyncIterator[dict[str, str]]:
    """What each data centre's line leads to: location → the address there of a port of ours."""
    host, _, port = address.rpartition(":")
    lines: list[Line] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line()
        lines.append(line)
        await line.serve((host, int(port)), reader, writer)

    async with AsyncExitStack() as stack:
        found = {}
        for location, centre in centres.items():
            server = await asyncio.start_server(serve, centre.gate, 0)
            stack.callback(server.close)
            found[location] = f"{centre.gate}:{server.sockets[0].getsockname()[1]}"
        yield found
        for line in lines:
            line.cut()
