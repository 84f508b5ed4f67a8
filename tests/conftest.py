"""What all tests share: which real parts must be there."""

import gc
import os
import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from tests.support.postgres import PostgresServer, postgres_server, programs

settings.register_profile("apollo", deadline=None)  # a busy machine is no mistake
settings.load_profile("apollo")
gc.set_threshold(20_000)  # as workers do: else a tenth of the time goes into the search for garbage

REQUIRED = frozenset(filter(None, os.environ.get("APOLLO_REQUIRE", "").split(",")))


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Find a real part, such as sshd; without it the test skips, or fails where it is required."""

    def find(name: str) -> str:
        found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if found is None:
            words = f"{name} is not installed"
            if name in REQUIRED:
                pytest.fail(f"{words}, and APOLLO_REQUIRE names it")
            pytest.skip(words)
        return found

    return find


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a bucket, for `APOLLO_STORE`."""
    from tests.support.bucket import a_bucket  # loading what serves it takes a second

    with a_bucket(monkeypatch) as url:
        yield url


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


def pytest_unconfigure() -> None:
    """The Temporal client's threads may crash a process that ends at once."""
    time.sleep(0.3)
