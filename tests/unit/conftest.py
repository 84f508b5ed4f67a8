"""The databases on which the catalog is tested."""

from collections.abc import Iterator

import pytest

from tests.support.catalogs import on_server


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def every_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each test of the module runs once on each database."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    with on_server(request.getfixturevalue("postgres")):
        yield "postgres"
