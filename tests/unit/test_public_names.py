"""`from apollo import Apollo`: public names are loaded when they are asked for."""

import json
import subprocess
import sys

import pytest

import apollo
import apollo.client

SLOW = {"temporalio", "sqlalchemy", "asyncssh", "alembic", "pydantic", "ruamel", "rich"}
LOADED = "print(json.dumps(sorted(sys.modules)))"


def loaded(code: str) -> set[str]:
    """The modules that a Python has that runs this."""
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys; {code}; {LOADED}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(done.stdout))


def test_importing_apollo_loads_nothing_of_it() -> None:
    found = loaded("import apollo")

    assert {name for name in found if name.startswith("apollo.")} == set()
    assert {name.partition(".")[0] for name in found}.isdisjoint(SLOW)
    assert {"temporalio", "apollo.client"} <= loaded("from apollo import Apollo"), "the control"
    assert "temporalio" not in loaded("from apollo import ApolloError")


def test_the_names_are_those_of_their_modules() -> None:
    assert apollo.__all__ == sorted(apollo.__all__)
    assert set(apollo.__all__) <= set(dir(apollo))
    for name in apollo.__all__:
        assert getattr(apollo, name) is not None
    assert apollo.Apollo is apollo.client.Apollo
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = apollo.nonsense
