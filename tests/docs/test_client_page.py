"""The page about the Python client names every word there is, with its parameters."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import apollo
from apollo import errors
from apollo.client import Apollo, DeploymentHandle, PromotionHandle

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
KINDS = (Apollo, DeploymentHandle, PromotionHandle)
WORD = re.compile(r"`(\w+)`")
CALL = re.compile(r"`(\w+)\((.*?)\)`")


def section(title: str) -> str:
    """What stands below a heading, up to the next."""
    _, found, rest = PAGE.partition(f"## `{title}`\n")
    assert found, title
    return rest.partition("\n## ")[0]


def documented(title: str) -> dict[str, list[str]]:
    """The words of a table, each with its parameters and their defaults."""
    words: dict[str, list[str]] = {}
    for row in re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE):
        for name, parameters in CALL.findall(row):
            words[name] = _names(parameters)
        if shared := re.fullmatch(r"((?:`\w+`(?:, )?)+) `\((.*?)\)`", row):
            words |= {name: _names(shared[2]) for name in WORD.findall(shared[1])}
    return words


def _names(parameters: str) -> list[str]:
    found = [each.partition("=")[0].strip(" ") for each in parameters.split(",")]
    return [name.strip("*") for name in found if name.strip("*")]


def real(kind: type) -> dict[str, list[str]]:
    """The public words of a class, with their parameters."""
    found = inspect.getmembers(kind, inspect.isfunction)
    return {
        name: [each.removeprefix("*") for each in inspect.signature(word).parameters][1:]
        for name, word in found
        if not name.startswith("_")
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_word_is_on_the_page(kind: type) -> None:
    assert documented(kind.__name__) == real(kind)


def test_every_word_is_explained_and_typed() -> None:
    for kind in KINDS:
        for name in real(kind):
            word = getattr(kind, name)
            assert inspect.getdoc(word), name
            assert "return" in word.__annotations__, name


def test_the_errors_of_the_page_exist() -> None:
    named = set(re.findall(r"`([A-Z]\w+)`", PAGE.partition("## Errors")[2]))

    assert named >= {"ApolloError", "Refused", "NotFound", "Unavailable", "Abandoned"}
    assert all(issubclass(getattr(errors, name), errors.ApolloError) for name in named)


def test_the_program_on_the_page_is_one() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    imported = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]

    assert [alias.name for node in imported for alias in node.names] == ["Apollo"]
    assert "Apollo" in apollo.__all__
