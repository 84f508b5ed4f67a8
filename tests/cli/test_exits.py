"""Exit codes, and how errors are told."""

import pytest

from apollo.cli import run as entry
from apollo.cli.exits import exit_code
from apollo.domain.status import DeploymentState
from apollo.errors import Refused, Unavailable
from tests.cli.conftest import Shop


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("succeeded", 0),
        ("halted", 3),
        ("failed", 3),
        ("aborted", 3),
        ("rollback_failed", 3),
        ("rolled_back", 4),
        ("refused", 5),
        ("superseded", 5),
        ("partial", 6),
        ("running", 0),
    ],
)
def test_a_state_has_its_exit_code(state: str, code: int) -> None:
    assert exit_code(DeploymentState(state)) == code


def test_every_end_but_success_has_a_code_other_than_0() -> None:
    ended = [state for state in DeploymentState if state.ended]

    assert [state for state in ended if exit_code(state) == 0] == [DeploymentState.SUCCEEDED]


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (("chek",), 'Did you mean "check"?'),
        (("check", "--jsn"), "Did you mean --json?"),
        (("plan", "prod"), "RELEASE"),
        (("deploy", "prod", "1.0", "--if-busy", "maybe"), "--if-busy"),
        (("watch", "prod", "--timeout", "soon"), "--timeout soon: expected a duration"),
        (("watch", "no env"), "'no env' names no environment"),
        (("status", "shop/prod#7"), "'shop/prod#7' names one deployment"),
        (("release", "create", "1/0"), "'1/0' is no version"),
    ],
)
def test_usage_errors_are_2_and_go_to_stderr(
    shop: Shop, tokens: tuple[str, ...], told: str
) -> None:
    said = shop(*tokens)

    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error[Usage] ")
    assert told in said.err


def test_a_setting_that_is_none_is_a_usage_error(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APOLLO_SLOTS", "many")

    said = shop("status")

    assert (said.code, said.err.splitlines()[0][:27]) == (2, "error[Usage] APOLLO_SLOTS: ")


@pytest.mark.parametrize(("error", "code"), [(Refused("no"), 5), (Unavailable("no"), 1)])
def test_an_error_ends_with_its_code(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(entry, "build", fail)

    said = shop("check")

    assert (said.code, said.err) == (code, f"error[{type(error).__name__}] no\n")


def test_a_bug_is_1_and_says_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "build", lambda: 1 / 0)

    said = shop("check")

    assert said.code == 1
    assert "ZeroDivisionError" in said.err
    assert "error[Bug]" in said.err


def test_ctrl_c_is_130(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "build", interrupt)

    assert shop("check").code == 130
