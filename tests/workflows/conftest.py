"""One stage for all tests of workflows; each test plays an application of its own on it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.stage import Stage, open_stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage
