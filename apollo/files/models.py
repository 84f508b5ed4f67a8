"""What stands at a path of a model, and which keys it has."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from apollo.files.positions import Path

Model = type[BaseModel]


def model_at(model: Model, path: Path) -> Model | None:
    """The model that describes the mapping at `path`, if one does."""
    found: Any = model
    for part in path:
        found = next((step for option in _options(found) for step in _step(option, part)), None)
    return next((option for option in _options(found) if _is_model(option)), None)


def keys(model: Model) -> list[str]:
    """The keys that users may write."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _options(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _options(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for option in get_args(annotation):
            yield from _options(option)
    else:
        yield annotation
        if origin is tuple:  # one entry may stand where several may
            yield from _options(get_args(annotation)[0])


def _step(annotation: Any, part: str | int) -> Iterator[Any]:
    if _is_model(annotation):
        for name, field in annotation.model_fields.items():
            if part in (name, field.alias):
                yield field.annotation
    elif get_origin(annotation) is dict:
        yield get_args(annotation)[1]
    elif get_origin(annotation) is tuple and isinstance(part, int):
        yield get_args(annotation)[0]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
