"""What all tests share: which real parts must be there."""

import os
import shutil
import time
from collections.abc import Callable

import pytest

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


def pytest_unconfigure() -> None:
    """The Temporal client's threads may crash a process that ends at once."""
    time.sleep(0.3)
