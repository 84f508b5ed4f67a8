"""Secrets are resolved within what the worker allows, and never shown."""

import sys
from pathlib import Path

import pytest

from apollo.hosts.secrets import ReferenceSecrets, clean, clean_end, redact

VALUE = "hunter2-dont-look"


def test_what_is_allowed_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(f"{VALUE}\n")
    monkeypatch.setenv("APOLLO_SECRET_X", VALUE)
    program = f"{sys.executable} -c \"import sys; print(sys.argv[1])\" '{VALUE}'"
    resolver = ReferenceSecrets(("env:APOLLO_SECRET_", f"file:{tmp_path}/", "command:"))

    found = resolver.resolve(
        {"A": "env:APOLLO_SECRET_X", "B": f"file:{tmp_path}/key", "C": f"command:{program}"}
    )

    assert found == {"A": VALUE, "B": VALUE, "C": VALUE}


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:HOME", "may not resolve"),
        ("file:/etc/apollo/secrets/../passwd", "may not resolve"),
        ("command:echo x", "may not resolve"),
        ("vault:x", "may not resolve"),
        ("env:APOLLO_SECRET_NONE", "has no variable APOLLO_SECRET_NONE"),
        ("file:/etc/apollo/secrets/none", "No such file"),
    ],
)
def test_what_is_not_allowed_or_has_no_value_is_said(reference: str, words: str) -> None:
    resolver = ReferenceSecrets(("env:APOLLO_SECRET_", "file:/etc/apollo/secrets/"))

    with pytest.raises(ValueError, match=words):
        resolver.resolve({"A": reference})


def test_no_shell_sees_a_command_and_nobody_what_it_said(tmp_path: Path) -> None:
    resolver = ReferenceSecrets(("command:",))

    assert resolver.resolve({"A": "command:echo a; echo $HOME"}) == {"A": "a; echo $HOME"}
    failing = f"{sys.executable} -c \"import sys; print('{VALUE}'); sys.exit('{VALUE}')\""
    with pytest.raises(ValueError, match="exit 1, expected 0") as caught:
        resolver.resolve({"A": f"command:{failing.replace(VALUE, 'x')}"})
    assert caught.value.__cause__ is None
    with pytest.raises(ValueError, match="No such file"):
        resolver.resolve({"A": "command:no-such-program"})


def test_lines_of_a_value_are_taken_out_each_for_itself() -> None:
    key = "-----BEGIN-----\nAAAABBBB\n-----END-----"

    assert redact("x AAAABBBB y", [key]) == "x [redacted] y"
    assert clean(b"AAAABBBB\x1b[31m", [key]) == "[redacted]·[31m"


@pytest.mark.parametrize("begin", range(len(VALUE) + 3))
def test_an_end_never_begins_within_a_value(begin: int) -> None:
    whole = f"{VALUE} {VALUE} {VALUE} and a good deal of text after that".encode()

    shown = clean_end(whole[begin:], [VALUE])

    assert not any(VALUE[at : at + 4] in shown for at in range(len(VALUE) - 3))
    assert shown.endswith("text after that")
