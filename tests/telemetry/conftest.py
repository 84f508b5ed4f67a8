"""A stage whose worker and client export to a collector; each test has its own application."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from apollo.telemetry.exporting import metering, tracing
from tests.support.otlp import Collector, collecting
from tests.support.stage import Stage, open_stage


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        for name, value in collector.variables.items():
            monkeypatch.setenv(name, value)
        yield collector


@pytest_asyncio.fixture
async def exporting(collector: Collector) -> AsyncIterator[Collector]:
    """What this process does is told to the collector, until the test ends."""
    async with tracing("test"), metering("test"):
        yield collector


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage
