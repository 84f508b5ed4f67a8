"""A real Temporal server on this machine, whose state lies in one file."""

from pathlib import Path
from types import TracebackType

from temporalio.client import Client

from apollo.local.process import Program, find_program
from apollo.names import SEARCH_ATTRIBUTES
from apollo.testing.ports import ReservedPort

ROOMY = {"history.eventsCacheMaxSizeBytes": str(128 << 20)}
"""Bytes of memory for events that are still needed. In the half megabyte that is the default, the
inputs of 400 turns have room; for each turn beyond, a hundred events are read and decoded again."""

WRITE_AHEAD = "journal_mode=wal"
"""Each write waits for the disk once; with SQLite's usual journal, a file of its own for each
transaction, four times."""


class TemporalServer:
    """The development server of the `temporal` program, on loopback ports that it keeps.

    Raises:
        Unavailable: The program is missing, or does not get ready.
    """

    def __init__(
        self,
        folder: Path | str,
        port: int = 0,
        ui_port: int = 0,
        *,
        dynamic_config: dict[str, str] | None = None,
        codec_endpoint: str = "",
    ) -> None:
        """`codec_endpoint` is what browsers ask to read what is encrypted."""
        self.folder = Path(folder)
        self._ports = [ReservedPort(port), ReservedPort(ui_port), ReservedPort(), ReservedPort()]
        try:
            command = self._command({**ROOMY, **(dynamic_config or {})}, codec_endpoint)
        except BaseException:
            self._release()
            raise
        self._program = Program(command, self.folder / "temporal.log")

    def _command(self, settings: dict[str, str], codec_endpoint: str) -> list[str]:
        port, ui_port, http_port, metrics_port = (str(port.number) for port in self._ports)
        command = [find_program("temporal"), "server", "start-dev", "--ip", "127.0.0.1"]
        command += ["--port", port, "--ui-port", ui_port]
        command += ["--http-port", http_port, "--metrics-port", metrics_port]
        command += ["--db-filename", str(self.folder / "temporal.db"), "--log-level", "error"]
        command += ["--sqlite-pragma", WRITE_AHEAD]
        if codec_endpoint:
            command += ["--ui-codec-endpoint", codec_endpoint]
        for key in SEARCH_ATTRIBUTES:
            command += ["--search-attribute", f"{key.name}={key.indexed_value_type.name.title()}"]
        for name, value in settings.items():
            command += ["--dynamic-config-value", f"{name}={value}"]
        return command

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self._ports[0].number}"

    @property
    def ui_url(self) -> str:
        """Where its web page is."""
        return f"http://127.0.0.1:{self._ports[1].number}"

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._program.pid

    async def __aenter__(self) -> "TemporalServer":
        try:
            await self.restart()
        except BaseException:
            await self._program.kill()
            self._release()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._program.stop()
        self._release()

    async def kill(self) -> None:
        """End the server at once, as a crash does."""
        await self._program.kill()

    async def restart(self) -> None:
        """Start the server on the same ports with the same state; kill it first when it runs."""
        await self._program.kill()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._program.start()
        await self._program.until(self._answers)

    async def _answers(self) -> bool:
        try:
            client = await Client.connect(self.address)
            return await client.service_client.check_health()
        except RuntimeError:
            return False

    def _release(self) -> None:
        for port in self._ports:
            port.release()
