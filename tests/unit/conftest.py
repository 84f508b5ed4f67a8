"""The databases on which the catalog is tested."""

from collections.abc import Iterator

import pytest

from tests.conftest import REQUIRED
from tests.support.catalogs import on_server
from tests.support.postgres import PostgresServer, postgres_server, programs


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server; without one the test skips, or fails where it is required."""
    if programs() is None:
        words = "postgres is not installed"
        if "postgres" in REQUIRED:
            pytest.fail(f"{words}, and APOLLO_REQUIRE names it")
        pytest.skip(words)
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def every_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each test of the module runs once on each database."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    with on_server(request.getfixturevalue("postgres")):
        yield "postgres"
