"""`alarms` in the files: what is read, refused, warned of, and never shown."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from apollo.domain.alarms import Alarm, HttpAlarm, PrometheusAlarm
from apollo.domain.environment import Environment
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
BAKES = "strategy: {waves: [{share: 1, bake: 5m}, 100%]}"
QUERY = 'prometheus: {url: "http://prom:9090", query: up == 0}'


def load(folder: Path, alarms: str, more: str = BAKES) -> Project:
    return load_project(
        write(folder, {"apollo.yaml": f"{SMALL}    alarms: {alarms}\n    {more}\n"})
    )


def mistakes(folder: Path, alarms: str) -> tuple[Mistake, ...]:
    with pytest.raises(InvalidFiles) as caught:
        load(folder, alarms)
    assert "T0K3N" not in str(caught.value)
    assert "T0K3N" not in json.dumps(caught.value.as_json())
    return caught.value.mistakes


def test_alarms_are_applied_and_come_back_from_the_catalog_as_they_were(tmp_path: Path) -> None:
    text = (
        f'[{{{QUERY}}}, {{name: page, http: {{url: "https://s/x", json: a.0, expect: none, '
        'token: "env:APOLLO_SECRET_T"}}, {command: {run: bin/well --now, timeout: 5s}}]'
    )
    environment = resolve(load(tmp_path, text), "dev")
    first, second, third = environment.alarms
    assert first == Alarm(prometheus=PrometheusAlarm(url="http://prom:9090", query="up == 0"))
    assert second.http == HttpAlarm.model_validate(
        {"url": "https://s/x", "json": "a.0", "expect": ["none"], "token": "env:APOLLO_SECRET_T"}
    )
    assert third.command
    assert third.command.timeout == timedelta(seconds=5)
    assert [each.label for each in environment.alarms] == ["up == 0", "page", "bin/well --now"]
    stored = environment.model_dump(mode="json", by_alias=True)
    assert Environment.model_validate(stored).alarms == environment.alarms


@pytest.mark.parametrize(
    ("alarms", "path", "expected", "hint"),
    [
        (
            "[{}]",
            "alarms[0]",
            "exactly one of prometheus, http, command and cloudwatch",
            "Add prometheus",
        ),
        (
            f"[{{{QUERY}, command: {{run: x}}}}]",
            "alarms[0]",
            "exactly one of prometheus",
            "Take prometheus or command out.",
        ),
        ("[{promtheus: {}}]", "alarms[0].promtheus", "a known key", "Did you mean prometheus?"),
        (
            '[{prometheus: {url: "http://x"}}]',
            "alarms[0].prometheus.query",
            "the key query",
            "below prometheus",
        ),
        ("[{http: {url: 'http://x', json: a}}]", "alarms[0].http.expect", "the key expect", "none"),
        (
            "[{prometheus: {url: prom:9090, query: up}}]",
            "alarms[0].prometheus.url",
            "a URL of https or http",
            "http://prometheus:9090",
        ),
        (
            "[{prometheus: {url: 'http://x', query: up, token: T0K3N}}]",
            "alarms[0].prometheus.token",
            "a reference to a token, never the token",
            "file:/etc/apollo/secrets/",
        ),
        (
            f"[{{name: a, {QUERY}}}, {{name: a, {QUERY}}}]",
            "alarms[1].name",
            "each name once",
            "a name of its own",
        ),
        ("[{command: {run: x, timeout: soon}}]", "alarms[0].command.timeout", "a duration", "s, m"),
    ],
)
def test_a_mistake_says_where_it_is(
    tmp_path: Path, alarms: str, path: str, expected: str, hint: str
) -> None:
    (only,) = mistakes(tmp_path, alarms)
    assert only.path == f"environments.dev.{path}"
    assert only.expected.startswith(expected)
    assert hint in only.hint


@pytest.mark.parametrize(
    ("strategy", "warned"),
    [
        ("x-nothing: 1", True),
        ("strategy: {waves: [1, 100%]}", True),
        ("strategy: {waves: [{share: 1, bake: 0s}, 100%]}", True),
        (BAKES, False),
    ],
)
def test_alarms_without_a_bake_are_warned_of(
    tmp_path: Path, strategy: str, *, warned: bool
) -> None:
    project = load(tmp_path, f"[{{{QUERY}}}]", strategy)
    messages = [each.message for each in project.warnings]
    told = "alarms are watched while hosts are upgraded, and no wave bakes after that"
    assert (told in messages) is warned
