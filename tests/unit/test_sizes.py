"""Modules stay small: one idea each, functions that fit on a screen."""

import ast
from pathlib import Path
from statistics import median, quantiles

import pytest

from apollo.hosts import script

ROOT = Path(__file__).parents[2]
FOLDERS = ("apollo", "workflows", "activities", "workers")
MODULES = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not any(part.is_symlink() for part in path.parents) and "versions" not in path.parts
]


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its lines without its docstring."""
    documented = ast.get_docstring(function, clean=False)
    whole = (function.end_lineno or 0) - function.lineno + 1
    return whole - (len(documented.splitlines()) if documented else 0)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_longer_than_500_lines_and_no_function_than_50(path: Path) -> None:
    assert lines(path) <= 500

    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert {f.name: body_lines(f) for f in functions if body_lines(f) > 50} == {}


def test_a_typical_module_has_about_100_lines_and_few_have_300() -> None:
    sizes = [lines(path) for path in MODULES]

    assert len(sizes) > 50
    assert median(sizes) <= 125
    assert quantiles(sizes, n=10)[-1] <= 320


def test_the_host_script_is_all_of_its_parts_and_each_is_small() -> None:
    folder = ROOT / "apollo/hosts/remote"
    parts = {path.stem: lines(path) for path in folder.iterdir()}

    assert sorted(parts) == sorted(script.PARTS)
    assert {name: size for name, size in parts.items() if size > 150} == {}


def test_the_bare_top_level_names_refuse_to_be_imported() -> None:
    for name in ("workflows", "activities", "workers"):
        source = (ROOT / name / "__init__.py").read_text(encoding="utf-8")
        with pytest.raises(ImportError, match=f"import apollo.{name}"):
            exec(compile(source, name, "exec"), {"__name__": name})
