"""The JSON Schema of the files, for editors: what stands where, and what it is for.

`apollo check` knows more: whether names fit together, and what a mistake means.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from apollo.domain.balancer import BalancerSpec
from apollo.domain.base import Address, Name, Share, ShareOf, format_duration
from apollo.domain.environment import EnvironmentSpec, InlineHost
from apollo.domain.pipeline import Stage
from apollo.domain.setup import Hook, OnceHook
from apollo.domain.strategy import Wave
from apollo.files.inventory import InventoryFile, InventoryHost
from apollo.files.phrases import ONE_OF
from apollo.files.project import ProjectFile

Schema = dict[str, Any]
Kind = Literal["project", "environment", "inventory"]
_FILES: dict[str, tuple[type[BaseModel], str, str]] = {
    "project": (ProjectFile, "apollo.yaml", "environments"),
    "environment": (EnvironmentSpec, "environments/NAME.yaml", ""),
    "inventory": (InventoryFile, "An inventory of Apollo's", "locations"),
}
"""Model, title, and the mapping of names in which keys that start with `x-` are free too."""
_ADDRESS: Schema = TypeAdapter(Address).json_schema()
_SHORT: dict[type[BaseModel], Schema] = {
    Hook: {"type": "string", "minLength": 1},
    OnceHook: {"type": "string", "minLength": 1},
    InlineHost: _ADDRESS,
    InventoryHost: _ADDRESS,
    Wave: TypeAdapter(ShareOf).json_schema(),
    Stage: TypeAdapter(Name).json_schema(),
    BalancerSpec: {"const": "none"},
}
"""Models for which something shorter may stand."""
_FREE = "^x-"


def schema(kind: Kind) -> Schema:
    """The JSON Schema (draft 2020-12) of a kind of file."""
    model, title, names = _FILES[kind]
    made = model.model_json_schema(by_alias=True)
    for each in _schemas(made):
        _tidy(each)
    definitions = made.pop("$defs", {})
    for short, also in _SHORT.items():
        if long := definitions.get(short.__name__):
            definitions[short.__name__] = {"anyOf": [also, long]}
    if names:
        _free_names(made["properties"][names])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": title,
        "$defs": definitions,
    }


def _schemas(found: Any) -> Iterator[Schema]:
    """Every schema in a schema."""
    if isinstance(found, dict):
        if "type" in found or "anyOf" in found or "$ref" in found:
            yield found
        for each in list(found.values()):
            yield from _schemas(each)
    elif isinstance(found, list):
        for each in found:
            yield from _schemas(each)


def _tidy(found: Schema) -> None:
    name = found.pop("title", "")
    if "default" in found:
        _default(found)
    if found.get("additionalProperties") is False:
        found["patternProperties"] = {_FREE: True}
    elif "patternProperties" in found:
        found["additionalProperties"] = False
    for model, kinds in ONE_OF.items():
        if name == model.__name__:
            found["oneOf"] = [{"required": [kind]} for kind in kinds]


def _default(found: Schema) -> None:
    """Keep defaults that users could write themselves."""
    default = found["default"]
    if isinstance(default, dict) and default.keys() == Share.model_fields.keys():
        found["default"] = str(Share.model_validate(default))
    elif isinstance(default, dict | list) or default is None:
        del found["default"]
    elif isinstance(default, str) and default.startswith("PT"):
        found["default"] = format_duration(TypeAdapter(timedelta).validate_python(default))


def _free_names(found: Schema) -> None:
    """Let names that start with `x-` hold anything: they name nothing."""
    patterns: Schema = found["patternProperties"]
    made = {f"^(?!x-){pattern.removeprefix('^')}": each for pattern, each in patterns.items()}
    found["patternProperties"] = {**made, _FREE: True}


KINDS: tuple[Kind, ...] = ("project", "environment", "inventory")
