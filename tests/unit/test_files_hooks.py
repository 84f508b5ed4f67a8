"""`notify` in the files: what is read, refused, warned of, and never shown."""

import json
from pathlib import Path

import pytest

from apollo.cli.differences import compare
from apollo.domain.environment import TROUBLE, Webhook
from apollo.files.environment import resolve
from apollo.files.mistakes import InvalidFiles, Mistake
from apollo.files.project import Project, load_project
from tests.support.projects import write

SMALL = """\
application: shop
setup: {root: /srv/shop, hooks: {start: bin/start}, health: {command: bin/well}}
environments:
  dev:
    fleet: {hosts: {web1: 10.0.0.1}}
"""


def load(folder: Path, notify: str) -> Project:
    return load_project(write(folder, {"apollo.yaml": f"{SMALL}    notify: {notify}\n"}))


def mistakes(folder: Path, notify: str) -> tuple[Mistake, ...]:
    with pytest.raises(InvalidFiles) as caught:
        load(folder, notify)
    assert "T0K3N" not in str(caught.value)
    assert "T0K3N" not in json.dumps(caught.value.as_json())
    return caught.value.mistakes


def test_a_webhook_is_applied_with_the_states_that_it_is_told_of(tmp_path: Path) -> None:
    text = '[{webhook: "env:APOLLO_SECRET_HOOK"}, {webhook: "https://x/y", on: [succeeded]}]'
    project = load(tmp_path, text)

    assert project.warnings == ()
    assert resolve(project, "dev").notify == (
        Webhook(webhook="env:APOLLO_SECRET_HOOK", on=TROUBLE),
        Webhook(webhook="https://x/y", on=("succeeded",)),
    )


@pytest.mark.parametrize(
    ("notify", "path", "expected", "hint"),
    [
        ('[{webhook: "env:X", on: [pausd]}]', "notify[0].on[0]", "waiting", "Did you mean paused?"),
        ('[{webhook: "env:X", on: [rolledback]}]', "notify[0].on[0]", "or failed", "rolled_back?"),
        ('[{webhook: "env:X", on: []}]', "notify[0].on", "at least one entry", ""),
        ('[{webhook: "env:X", on: paused}]', "notify[0].on", "a list", "on: [paused]"),
        ('[{webhook: "env:X", when: [paused]}]', "notify[0].when", "a known key", "webhook, on"),
        ("[{on: [paused]}]", "notify[0].webhook", "the key webhook", "env:APOLLO_SECRET_HOOK"),
        ('[{webhook: ""}]', "notify[0].webhook", "text that is not empty", ""),
        ("[{webhook: T0K3N}]", "notify[0].webhook", "a reference to a secret, or a URL", "https"),
        ('[{webhook: "ftp://x/T0K3N"}]', "notify[0].webhook", "or a URL of https or http", ""),
        ('[{webhook: "https:///T0K3N"}]', "notify[0].webhook", "or a URL of https or http", ""),
        ('[{webhook: "https://x:p/T0K3N"}]', "notify[0].webhook", "or a URL", ""),
        ('[{webhook: "https://x/T0K3N", on: [x]}]', "notify[0].on[0]", "waiting", ""),
        ('[{webhook: "command:pass T0K3N"}]', "notify[0].webhook", "a reference to a secret", ""),
        ('{webhook: "env:X"}', "notify", "a list", ""),
    ],
)
def test_a_mistake_says_where_it_is_and_shows_no_url(
    tmp_path: Path, notify: str, path: str, expected: str, hint: str
) -> None:
    (found,) = mistakes(tmp_path, notify)

    assert (found.path, found.line) == (f"environments.dev.{path}", 6)
    assert expected in found.expected
    assert hint in found.hint


def test_what_travels_in_the_clear_is_warned_of_unless_it_stays_here(tmp_path: Path) -> None:
    urls = (
        "http://chat.example/T0K3N",
        "http://127.0.0.1/x",
        "http://[::1]:8/",
        "http://localhost",
    )
    text = ", ".join(f'{{webhook: "{url}"}}' for url in urls)
    (warning,) = load(tmp_path, f"[{text}]").warnings

    assert warning.path == "environments.dev.notify[0].webhook"
    assert "in the clear" in warning.message
    assert "T0K3N" not in warning.render()


def test_a_url_that_changes_is_a_change_but_is_not_shown(tmp_path: Path) -> None:
    before = resolve(load(tmp_path, '[{webhook: "https://chat.example/T0K3N1"}]'), "dev")
    after = resolve(load(tmp_path, '[{webhook: "https://chat.example/T0K3N2"}]'), "dev")

    (change,) = compare(before, after)
    assert (change.path, change.before) == ("notify[1].webhook", "https://chat.example/…")
    assert change.after == change.before
    assert list(compare(before, before)) == []
