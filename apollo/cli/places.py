"""What `ENV` on the command line means."""

import re
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from apollo.cli.misuse import Misused
from apollo.files.project import FILE, Project, load_project

_PLACE = re.compile(r"(?:(?P<app>[a-z0-9][a-z0-9-]*)/)?(?P<env>[a-z0-9][a-z0-9-]*)(?:#(?P<n>\d+))?")


@dataclass(frozen=True)
class Place:
    """An environment, and perhaps one of its deployments."""

    application: str
    environment: str
    number: int | None = None

    @property
    def label(self) -> str:
        """`shop/prod`."""
        return f"{self.application}/{self.environment}"

    @property
    def word(self) -> str:
        """The environment as it is named from here, for commands that are proposed."""
        return self.environment if self.application == application_here() else self.label


def place_of(text: str) -> Place:
    """Read `prod`, `shop/prod` or `shop/prod#42`.

    Raises:
        Misused: It is none of these, or the application is not known from here.
    """
    match = _PLACE.fullmatch(text)
    if not match:
        raise Misused(f"{text!r} names no environment", hint="write prod, shop/prod or shop/prod#7")
    number = int(match["n"]) if match["n"] else None
    return Place(match["app"] or application(), match["env"], number)


def environment_of(text: str) -> Place:
    """Read `prod` or `shop/prod`.

    Raises:
        Misused: It is neither, or the application is not known from here.
    """
    place = place_of(text)
    if place.number is not None:
        raise Misused(f"{text!r} names one deployment", hint=f"write {place.label}")
    return place


def application() -> str:
    """The application of the apollo.yaml here.

    Raises:
        Misused: There is none, or it does not tell.
    """
    found = application_here()
    if not found:
        raise Misused(
            f"no {FILE} here that names an application",
            hint="write APPLICATION/ENV, such as shop/prod, or go where the file lies",
        )
    return found


def application_here() -> str:
    """The same, or nothing; mistakes elsewhere in the file do not matter."""
    try:
        data = YAML(typ="safe", pure=True).load(Path(FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError):
        return ""
    found = data.get("application") if isinstance(data, dict) else None
    return found if isinstance(found, str) else ""


def application_named(text: str) -> str:
    """The application, when `text` names one rather than an environment; else nothing."""
    here = application_here()
    return text if "/" not in text and "#" not in text and here in ("", text) else ""


def project_of(place: Place) -> Project | None:
    """The project here, when it is of that application.

    Raises:
        InvalidFiles: It is, and has mistakes.
    """
    return load_project(".") if application_here() == place.application else None
