"""Help: quick, complete, and of every command."""

import importlib
import inspect
import subprocess
import sys
import time

import pytest

from apollo.cli.app import COMMANDS, Command
from tests.cli.conftest import Shop

DOCUMENTED = (
    "demo",
    "up",
    "check",
    "init",
    "schema",
    "apply",
    "doctor",
    "worker",
    "cluster setup",
    "cluster versions",
    "cluster switch",
    "codec key",
    "codec serve",
    "release create",
    "release list",
    "release show",
    "plan",
    "deploy",
    "restart",
    "sync",
    "promote",
    "schedule create",
    "schedule list",
    "schedule pause",
    "schedule resume",
    "schedule trigger",
    "schedule delete",
    "watch",
    "pause",
    "hold",
    "resume",
    "abort",
    "rollback",
    "approve",
    "reject",
    "pace",
    "skip",
    "retry",
    "status",
    "hosts",
    "hosts trust",
    "hosts disable",
    "hosts enable",
    "hosts forget",
    "history",
    "show",
    "workers",
    "logs",
)
SLOW = ("temporalio", "sqlalchemy", "asyncssh", "alembic", "pydantic", "ruamel", "httpx2")
HELP = "from apollo.cli import main; import sys; sys.argv = ['apollo', '--help']; main()"


def seconds(code: str) -> float:
    """The quickest of three runs."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        found.append(time.perf_counter() - began)
    return min(found)


def test_help_takes_little_more_than_starting_python() -> None:
    assert seconds(HELP) < 60 * seconds("pass")


def test_help_loads_nothing_that_is_slow() -> None:
    code = f"{HELP[:-6]}\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded.isdisjoint(SLOW)
    assert {name for name in done.stderr.split() if name.startswith("apollo.cli.")} == {
        "apollo.cli.app",
        "apollo.cli.render",
        "apollo.cli.render.errors",
        "apollo.cli.run",
    }


def test_the_commands_are_those_that_are_documented() -> None:
    assert tuple(command.name for command in COMMANDS) == DOCUMENTED


def test_help_names_every_command(shop: Shop) -> None:
    out = shop.good("--help").out

    for command in COMMANDS:
        assert f" {command.name.partition(' ')[0]} " in out
    assert "Exit codes: 0 done" in out
    assert "create" in shop.good("release", "--help").out
    assert "trust" in shop.good("hosts", "--help").out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help_and_every_parameter_is_explained(
    shop: Shop, command: Command
) -> None:
    out = shop.good(*command.name.split(), "--help").out

    assert command.help.partition("\n")[0] in out
    assert f"Usage: apollo {command.name}" in out
    for line in out.splitlines():
        if line.startswith("│ --"):
            assert len(line.strip("│ ").split("  ")) > 1, f"{line} is not explained"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_function_says_the_same_as_the_table(command: Command) -> None:
    module, _, name = command.target.partition(":")
    function = getattr(importlib.import_module(f"apollo.cli.{module}"), name)
    if command.name == "hosts":
        function = function.default_command

    assert inspect.getdoc(function) == command.help.partition("\n")[0]


def test_the_scan_says_from_where_it_is_made(shop: Shop) -> None:
    assert "The workers ask the hosts" in shop.good("hosts", "trust", "--help").out
