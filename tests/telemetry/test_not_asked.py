"""Who does not ask for traces and metrics pays nothing for them; who cannot have them deploys."""

import os
import subprocess
import sys
from pathlib import Path

LOADED = """
import asyncio, sys
import apollo.client, apollo.workers.worker
from apollo.telemetry import spans
from apollo.telemetry.exporting import metering, tracing

async def main():
    async with tracing("test"), metering("test"):
        found = sorted(name for name in sys.modules if name.split(".")[0] == "opentelemetry")
        print(len(found), spans.writer() is not None)

asyncio.run(main())
"""
DEAD = """
import asyncio
from datetime import UTC, datetime
from apollo.cli.session import connected
from apollo.telemetry import spans

async def main():
    now = datetime.now(UTC)
    async with connected() as apollo:
        await apollo._trace()
        await spans.write([spans.Span("deploy", "a" * 32, "b" * 16, "", now, now, sampled=True)])
        print(spans.writer() is not None)

asyncio.run(main())
"""
NOT_QUIET = "from apollo.client import Apollo\nconnected = Apollo.connect"
WITHOUT = "import sys\nfor name in ('', '.sdk', '.trace', '.exporter'):\n"
WITHOUT += "    sys.modules['opentelemetry' + name] = None\n"


def run(code: str, **variables: str) -> tuple[str, str]:
    """What a fresh process says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr


def test_nothing_of_opentelemetry_is_loaded_unless_it_is_asked_for() -> None:
    assert run(LOADED)[0] == "0 False"

    count, _, writes = run(LOADED, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")[0].partition(
        " "
    )
    assert (int(count) > 0, writes) == (True, "True")


def test_where_it_is_not_installed_the_log_says_so_and_the_work_goes_on() -> None:
    said, log = run(WITHOUT + LOADED, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert said.endswith("False")
    assert "OTEL_* asks for traces, which are not exported" in log
    assert "OTEL_* asks for metrics, which are not exported" in log
    assert "apollo-deploy[otlp]" in log


def test_a_dead_collector_leaves_no_word_on_the_terminal(tmp_path: Path) -> None:
    variables = {"APOLLO_HOME": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert run(DEAD, **variables) == ("True", "")
    quiet = DEAD.replace("from apollo.cli.session import connected", NOT_QUIET)
    assert run(quiet, **variables)[1] != "", "the control: else there are such words"
