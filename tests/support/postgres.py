"""A PostgreSQL server for tests, on loopback, whose databases are copies of one template."""

import itertools
import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from apollo.catalog.migration import upgrade
from apollo.catalog.tables import catalog, metadata
from apollo.testing.ports import ReservedPort

USER = "apollo"
_EMPTY = "".join(
    f'DELETE FROM "{table.name}";'
    for table in reversed(metadata.sorted_tables)
    if table is not catalog
)


@dataclass
class PostgresServer:
    """Where it answers, and the databases that tests have been given."""

    port: int
    bin_folder: Path
    folder: Path
    user: str | None
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    _names: dict[Path, str] = field(default_factory=dict)
    _free: list[str] = field(default_factory=list)
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def initialise(self) -> None:
        """Make its files. The locale does not sort as Python does: nothing may rely on it."""
        made = [f"{self.bin_folder}/initdb", "--pgdata", f"{self.folder}/data", "--auth=trust"]
        made += [f"--username={USER}", "--no-sync", "--encoding=UTF8"]
        made += ["--locale-provider=icu", "--icu-locale=en"]
        subprocess.run(made, check=True, user=self.user, cwd=self.folder, capture_output=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [f"{self.bin_folder}/postgres", "-D", f"{self.folder}/data"]
        command += ["-p", str(self.port), "-k", str(self.folder)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, user=self.user, cwd=self.folder, stdout=log, stderr=log
            )
        ready = [f"{self.bin_folder}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready).returncode != 0:
            assert self.process.poll() is None, "postgres has ended"

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it; as it is, like a crash: it recovers from its log when it starts again."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def empty(self, file: Path) -> str:
        """The URL of the database that stands for this file; made empty when it is new."""
        if file not in self._names:
            self._names[file] = self._new("template0")
        return self.url(self._names[file])

    def copy(self, file: Path) -> str:
        """The same, with the catalog's tables."""
        self._names[file] = self._free.pop() if self._free else self._new("catalog_template")
        return self.url(self._names[file])

    def give_back(self, file: Path) -> None:
        """Let another file have the copy that stands for this one, emptied."""
        name = self._names.pop(file)
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute(_EMPTY.encode())
        self._free.append(name)

    def make_template(self) -> None:
        """Make the tables once."""
        self.run("CREATE DATABASE catalog_template")
        upgrade(make_url(self.url("catalog_template")))

    def run(self, statement: str, database: str = "postgres") -> None:
        """Run a statement."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _new(self, template: str) -> str:
        name = f"t{next(self._count)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


def programs() -> Path | None:
    """The folder of the newest PostgreSQL that is installed; Debian has it beside PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    places = [Path(folder) / "initdb" for folder in os.environ["PATH"].split(":")]
    return next((each.parent for each in [*reversed(found), *places] if each.exists()), None)


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """A server, while the context is open; it does not run as root, as PostgreSQL demands."""
    bin_folder = programs()
    assert bin_folder is not None
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="apollo-pg") as name:
        port = ReservedPort()
        if user:
            os.chown(name, pwd.getpwnam(user).pw_uid, -1)
        server = PostgresServer(port.number, bin_folder, Path(name), user, folder / "postgres.log")
        server.initialise()
        server.start()
        try:
            server.make_template()
            yield server
        finally:
            server.stop(signal.SIGINT)  # SIGTERM would wait for clients
            port.release()


def _version(path: Path) -> float:
    return float(path.parts[-3])
