"""Whatever is done to good files: they load, or every mistake has a place that exists."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from apollo.files.environment import resolve
from apollo.files.mistakes import InvalidFiles, Mistake
from apollo.files.project import load_project
from tests.support.projects import EVERYTHING, write

Path_ = tuple[str | int, ...]

FILES = ("apollo.yaml", "environments/staging.yaml", "fleets/prod.yaml")
GOOD = {name: YAML(typ="safe", pure=True).load(EVERYTHING[name]) for name in FILES}
NAMES = st.sampled_from(["x", "x-y", "", "a b", "é", "a\nb", "hosts", "root", "1"])
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, 0, 1, -1, 3.5, 10**30, float("inf"), float("nan")),
        *("", "x", "{x}", "..", "/", "30s", "200%", "@failed", "a&", "!x", "tcp:a:1"),
        *("é", "a\nb", "\x1b", "x" * 300),
        *([], [1], ["x"], [{}], [[]], {}, {"a": 1}, {"x": None}, {"ansible": "x"}),
    ]
)


def paths(value: Any, path: Path_ = ()) -> list[Path_]:
    """Every path below a value, but the value's own."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [each for key, below in items for each in [(*path, key), *paths(below, (*path, key))]]


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, Any]:
    """A file, and its content with one to three keys dropped, renamed or given another value."""
    file = draw(st.sampled_from(FILES))
    content = copy.deepcopy(GOOD[file])
    for _ in range(draw(st.integers(1, 3))):
        if not (all_paths := paths(content)):
            break
        *above, last = draw(st.sampled_from(all_paths))
        parent = content
        for key in above:
            parent = parent[key]
        act = draw(st.sampled_from(["drop", "rename", "retype"]))
        if act == "drop":
            del parent[last]
        elif act == "rename" and isinstance(parent, dict):
            parent[draw(NAMES)] = parent.pop(last)
        else:
            parent[last] = copy.deepcopy(draw(VALUES))
    return file, content


def mistakes(folder: Path) -> tuple[Mistake, ...]:
    """Load all of a project; its mistakes if it has some."""
    try:
        project = load_project(folder)
    except InvalidFiles as error:
        json.dumps(error.as_json())
        return error.mistakes
    for name in project.environments:
        resolve(project, name)
    json.dumps([warning.as_json() for warning in project.warnings])
    return ()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("project"), EVERYTHING)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutation=mutations())
@example(mutation=("apollo.yaml", None))
@example(mutation=("fleets/prod.yaml", {"locations": {"a": None}}))
def test_a_changed_value_is_a_mistake_with_a_place_or_fine(
    folder: Path, mutation: tuple[str, Any]
) -> None:
    file, content = mutation
    text = json.dumps(content, indent=1).replace("Infinity", ".inf").replace("NaN", ".nan")
    write(folder, {**EVERYTHING, file: text})

    told = mistakes(folder)

    for mistake in told:
        lines = (folder / mistake.file).read_text(encoding="utf-8").split("\n")
        assert 1 <= mistake.line <= len(lines)
        assert 1 <= mistake.column <= len(lines[mistake.line - 1]) + 1
        check_words(mistake)


@pytest.mark.parametrize("path", [each for each in paths(GOOD["apollo.yaml"]) if each])
def test_aliases_of_aliases_are_no_trap(tmp_path: Path, path: Path_) -> None:
    content = copy.deepcopy(GOOD["apollo.yaml"])
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = "BOMB"
    bomb = ", ".join(f"&a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))
    text = json.dumps(content)[1:].replace('"BOMB"', "*a29")
    write(tmp_path, {**EVERYTHING, "apollo.yaml": f'{{"x-bomb": [&a0 [x], {bomb}], {text}'})

    for mistake in mistakes(tmp_path):
        check_words(mistake)


def check_words(mistake: Mistake) -> None:
    assert mistake.expected
    assert mistake.found
    assert mistake.hint
    assert len(mistake.render().splitlines()) == 4
    assert "Input should" not in mistake.render()
    assert "another value" not in mistake.expected


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    file=st.sampled_from(FILES),
    begin=st.integers(0, 2000),
    length=st.integers(0, 20),
    put=st.text("{}[]:,&*!|>'\"%@`#?- \n\t~<.\\x1é\x85\u2028\r", max_size=3),
)
def test_a_changed_text_is_a_mistake_with_a_place_or_fine(
    folder: Path, file: str, begin: int, length: int, put: str
) -> None:
    text = EVERYTHING[file]
    begin %= len(text)
    changed = text[:begin] + put + text[begin + length :]
    write(folder, {**EVERYTHING, file: changed})

    told = mistakes(folder)

    for mistake in told:
        assert mistake.line >= 1
        assert mistake.column >= 1
        check_words(mistake)
