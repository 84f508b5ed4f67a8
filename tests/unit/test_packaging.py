"""What is built holds what the repository holds: `workflows/` and the like as `apollo.*`."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
AT_THE_TOP = ("activities", "workers", "workflows")


def setuptools() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, Any] = tomllib.load(file)["tool"]["setuptools"]
    return found


def folders(top: str) -> list[Path]:
    """The packages below a folder, links not followed."""
    return sorted(
        path.parent
        for path in (ROOT / top).rglob("__init__.py")
        if not any(part.is_symlink() for part in path.parents)
    )


def package(folder: Path) -> str:
    name = ".".join(folder.relative_to(ROOT).parts)
    return name if name.startswith("apollo") else f"apollo.{name}"


FOLDERS = [folder for top in ("apollo", *AT_THE_TOP) for folder in folders(top)]


def test_every_package_is_built() -> None:
    assert sorted(map(package, FOLDERS)) == setuptools()["packages"]


def test_folders_at_the_top_are_packages_of_apollo() -> None:
    assert setuptools()["package-dir"] == {f"apollo.{name}": name for name in AT_THE_TOP}


@pytest.mark.parametrize("name", AT_THE_TOP)
def test_a_link_leads_to_each(name: str) -> None:
    link = ROOT / "apollo" / name

    assert link.is_symlink()
    assert link.readlink() == Path("..") / name


def test_files_that_are_no_modules_are_built_too() -> None:
    data = setuptools()["package-data"]
    others = [
        (package(folder), path.name)
        for folder in FOLDERS
        for path in folder.iterdir()
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    ]

    assert others, "at least the script for hosts"
    for owner, name in others:
        assert any(Path(name).match(pattern) for pattern in data.get(owner, [])), (owner, name)


def test_the_command_is_where_the_project_says() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        module, _, name = tomllib.load(file)["project"]["scripts"]["apollo"].partition(":")

    assert (module, name) == ("apollo.cli", "main")
