"""A fleet of SSH hosts in one process, for trying deployments without machines (Linux only).

Each host has its own port, host key and folder; commands really run. As a program,
`python -m apollo.testing.fleet FOLDER --locations fra1:4,ams1:4` prints one line of JSON when
the hosts are up, and obeys lines such as `refuse fra1-01` on its standard input with `--control`.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import asyncssh

from apollo.testing.processes import kill_marked
from apollo.testing.ssh_host import ADDRESS, HostServer, Login, load_key, public_line

CONTROLS = ("refuse", "accept", "cut", "kill_processes", "rekey")


@dataclass(frozen=True)
class FleetHost:
    """What a client needs to know of a host."""

    name: str
    location: str
    address: str
    port: int
    user: str
    app_port: int
    folder: str
    host_key: str


class SshFleet:
    """Hosts named `fra1-01`… that listen while the context is open.

    Nothing is left running after it.
    """

    def __init__(
        self,
        folder: Path | str,
        locations: Mapping[str, int],
        *,
        user: str = "deploy",
        shell: str = "/bin/sh",
        forwarding: bool = True,
        max_sessions: int | None = None,
        labels: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.folder = Path(folder).resolve()
        self.client_key = self.folder / "client_key"
        self._locations = dict(locations)
        self._options = (user, shell, forwarding, max_sessions)
        self._labels = labels or {}
        self._servers: dict[str, HostServer] = {}
        self._location_of: dict[str, str] = {}

    async def __aenter__(self) -> "SshFleet":
        (self.folder / "keys").mkdir(parents=True, exist_ok=True)
        authorized = asyncssh.import_authorized_keys(public_line(load_key(self.client_key)))
        self.login = Login(authorized, *self._options)
        try:
            for location, count in self._locations.items():
                for number in range(1, count + 1):
                    await self._start(f"{location}-{number:02d}", location)
        except BaseException:
            await self.close()
            raise
        (self.folder / "inventory.yaml").write_text(self.inventory_yaml(), encoding="utf-8")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _start(self, name: str, location: str) -> None:
        server = HostServer(
            name, self.folder / "hosts" / name, self.folder / "keys" / name, self.login
        )
        self._servers[name] = server
        self._location_of[name] = location
        await server.accept()

    async def close(self) -> None:
        """Stop listening, kill all that runs on the hosts, release the ports."""
        servers = list(self._servers.values())
        await asyncio.gather(*(server.refuse() for server in servers))
        await asyncio.to_thread(kill_marked, [server.marker for server in servers])
        await asyncio.gather(*(server.close() for server in servers))

    @property
    def hosts(self) -> tuple[FleetHost, ...]:
        """The hosts, as they are now."""
        return tuple(self._describe(server) for server in self._servers.values())

    def host(self, name: str) -> FleetHost:
        """The host of that name."""
        return self._describe(self._servers[name])

    def _describe(self, server: HostServer) -> FleetHost:
        return FleetHost(
            name=server.name,
            location=self._location_of[server.name],
            address=ADDRESS,
            port=server.port.number,
            user=server.login.user,
            app_port=server.app_port.number,
            folder=str(server.folder),
            host_key=server.host_key,
        )

    def inventory_yaml(self) -> str:
        """An inventory of all hosts, with the variables PORT and BASE for each."""
        lines = [f"defaults: {{user: {json.dumps(self.login.user)}}}", "locations:"]
        for location in self._locations:
            lines += [f"  {location}:", "    hosts:"]
            lines += [
                f"      {host.name}: {json.dumps(self._entry(host))}"
                for host in self.hosts
                if host.location == location
            ]
        return "\n".join(lines) + "\n"

    def _entry(self, host: FleetHost) -> dict[str, object]:
        return {
            "address": host.address,
            "port": host.port,
            "labels": {"role": "web", **self._labels.get(host.name, {})},
            "variables": {"PORT": str(host.app_port), "BASE": host.folder},
            "host_key": host.host_key,
        }

    def connections(self, host: str) -> int:
        """How many connections the host has now."""
        return len(self._servers[host].connections)

    async def refuse(self, host: str) -> None:
        """Let nobody connect to a host, and cut what is connected."""
        await self._servers[host].refuse()

    async def accept(self, host: str) -> None:
        """Let clients connect again."""
        await self._servers[host].accept()

    async def cut(self, host: str) -> None:
        """Drop a host's connections; its commands run on."""
        self._servers[host].cut()

    async def kill_processes(self, host: str) -> int:
        """Kill everything that was started on a host, daemons too; say how many processes."""
        return await self._servers[host].kill_processes()

    async def rekey(self, host: str) -> None:
        """Give a host another host key."""
        await self._servers[host].rekey()


async def _control(fleet: SshFleet) -> None:
    """Obey `CONTROL HOST` lines on standard input until it ends; each answers a line of JSON."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := (await reader.readline()).decode():
        control, _, host = line.strip().partition(" ")
        known = control in CONTROLS and any(one.name == host for one in fleet.hosts)
        if known:
            await getattr(fleet, control)(host)
        _say({"done": known, "control": control, "host": host})


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def _run(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with SshFleet(options.folder, options.locations) as fleet:
        _say(
            {
                "inventory": str(fleet.folder / "inventory.yaml"),
                "client_key": str(fleet.client_key),
                "hosts": [asdict(host) for host in fleet.hosts],
            }
        )
        ends = [asyncio.create_task(stopped.wait())]
        if options.control:
            ends.append(asyncio.create_task(_control(fleet)))  # type: ignore[arg-type]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


def parse_locations(text: str) -> dict[str, int]:
    """Read `fra1:4,ams1:4`."""
    pairs = (part.partition(":") for part in text.split(","))
    return {name: int(count or "1") for name, _, count in pairs}


def main() -> None:
    """Run a fleet until a signal, or with --control the end of standard input, stops it."""
    parser = argparse.ArgumentParser(prog="python -m apollo.testing.fleet", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--locations", type=parse_locations, default={"fra1": 4, "ams1": 4})
    parser.add_argument(
        "--control", action="store_true", help="obey standard input, and stop when it closes"
    )
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
