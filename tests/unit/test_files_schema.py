"""The JSON Schemas for editors: what `apollo check` allows is allowed, and mistakes are found."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from apollo.files.mistakes import InvalidFiles
from apollo.files.project import load_project
from apollo.files.schema import KINDS, Kind, schema
from apollo.local.stage import PROJECT as DEMO
from tests.cli.conftest import PROJECT
from tests.support.projects import EVERYTHING, write

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "schema"
BLOCK = re.compile(r"^```yaml[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALL = """\
application: shop
setup:
  root: /srv/shop
  hooks: {start: bin/start}
  health: {tcp: {port: 8080}}
environments:
  prod:
    fleet: {hosts: {web1: 10.0.1.1}}
    balancer: {file: {wait: 5s}}
    strategy: {waves: [1, 10%, {share: 100%, bake: 5m}], max_unavailable: 12.5%}
pipeline: [prod]
"""
MISTAKES = {
    "no root": ("  root: /srv/shop\n", ""),
    "an unknown key": ("pipeline:", "pipelines:"),
    "an unknown key below": ("hooks: {start", "hooks: {begin"),
    "a bad name": ("application: shop", "application: Shop"),
    "a bad name of an environment": ("  prod:\n    fleet", "  Prod:\n    fleet"),
    "a bad name of a host": ("web1:", "web_1/:"),
    "a bad address": ("10.0.1.1", "10.0.1.1/24"),
    "a relative root": ("/srv/shop", "srv/shop"),
    "no command": ("bin/start", '""'),
    "a number for a command": ("bin/start", "5"),
    "two kinds of health": ("tcp: {port: 8080}", "tcp: {port: 8080}, command: x"),
    "no kind of health": ("{tcp: {port: 8080}}", "{}"),
    "a boolean for a port": ("8080", "true"),
    "no fleet": ("fleet: {hosts: {web1: 10.0.1.1}}", "root: /srv"),
    "two fleets": ("fleet: {", "fleet: {inventory: a.yaml, "),
    "no balancer": ("{file: {wait: 5s}}", "{}"),
    "another balancer": ("{file: {wait: 5s}}", "caddy"),
    "no duration": ("5s", "soon"),
    "a negative duration": ("5s", "-5"),
    "no share": ("10%", "ten"),
    "a negative share": ("[1,", "[-1,"),
    "part of a host": ("[1,", "[1.5,"),
    "a list for text": ("pipeline: [prod]", "pipeline: prod"),
    "text for a mapping": ("health: {tcp: {port: 8080}}", "health: tcp"),
}


def validator(kind: Kind = "project") -> Draft202012Validator:
    return Draft202012Validator(schema(kind))


def told(data: Any, kind: Kind = "project") -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(kind).iter_errors(data)]


def parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def accepted(folder: Path, text: str) -> bool:
    try:
        load_project(write(folder, {"apollo.yaml": text}))
    except InvalidFiles:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_committed_is_what_the_models_say(kind: Kind) -> None:
    Draft202012Validator.check_schema(schema(kind))
    name = "apollo" if kind == "project" else kind
    stored = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))

    assert stored == schema(kind), "make schema writes it anew"


def examples() -> list[tuple[str, Kind, str]]:
    """Every file of ours that is one: in pages, in examples, in tests."""
    found: list[tuple[str, Kind, str]] = []
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for text in BLOCK.findall(page.read_text(encoding="utf-8")):
            if text.startswith("application:") or "\napplication:" in text:
                found.append((page.name, "project", text))
            elif text.startswith(("defaults:", "locations:")):
                found.append((page.name, "inventory", text))
    for path in (ROOT / "examples").rglob("*apollo.yaml"):
        found.append((str(path), "project", path.read_text(encoding="utf-8")))
    return [
        *found,
        ("small", "project", SMALL),
        ("demo", "project", DEMO.format(hook_log="x", max_unavailable="25%")),
        ("cli", "project", PROJECT["apollo.yaml"]),
        ("cli", "inventory", PROJECT["fleet.yaml"]),
        ("everything", "project", EVERYTHING["apollo.yaml"]),
        ("everything", "environment", EVERYTHING["environments/staging.yaml"]),
        ("everything", "inventory", EVERYTHING["fleets/prod.yaml"]),
    ]


def test_every_example_is_allowed() -> None:
    found = examples()
    assert len(found) > 8
    mistakes = {(name, kind): told(parsed(text), kind) for name, kind, text in found}
    assert {name: each for name, each in mistakes.items() if each} == {}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_found_as_by_check(tmp_path: Path, mistake: str) -> None:
    old, new = MISTAKES[mistake]
    assert old in SMALL
    text = SMALL.replace(old, new, 1)

    assert accepted(tmp_path / "good", SMALL)
    assert not accepted(tmp_path / "bad", text)
    assert told(parsed(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bin/start", "{run: bin/start, timeout: 90s}"),
        ("10.0.1.1", "{address: 10.0.1.1, labels: {weight: 2}}"),
        ("{file: {wait: 5s}}", "none"),
        ("wait: 5s", "wait: 5"),
        ("pipeline:", "x-team: [a, {b: c}]\npipeline:"),
        ("  prod:\n", "  x-base: 5\n  prod:\n"),
        ("root: /srv/shop", "root: /srv/shop\n  x-why: because"),
        ("max_unavailable: 12.5%", 'max_unavailable: "2"'),
    ],
)
def test_what_check_allows_is_allowed(tmp_path: Path, old: str, new: str) -> None:
    assert old in SMALL
    text = SMALL.replace(old, new, 1)

    assert accepted(tmp_path, text)
    assert told(parsed(text)) == []


def test_defaults_are_written_as_users_write_them() -> None:
    definitions = schema("project")["$defs"]
    health = definitions["Health"]["properties"]

    assert (health["healthy_for"]["default"], health["deadline"]["default"]) == ("5s", "5m")
    assert definitions["Strategy"]["properties"]["max_unavailable"]["default"] == "25%"
    assert "PT" not in json.dumps(schema("project"))
