"""The pipeline: the environments that a release goes through, in order."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter

from apollo.domain.base import Duration, FileModel, format_duration

_WORKING_TREE = re.compile(r"-dirty\.[0-9a-f]{8}$")


class Stage(FileModel):
    """An environment of the pipeline, and how long a release bakes there before it goes on."""

    environment: str
    bake: Duration = timedelta(0)
    """Counted from the end of the stage's deployment."""

    def __str__(self) -> str:
        bake = f" (bake {format_duration(self.bake)})" if self.bake else ""
        return f"{self.environment}{bake}"


def _named(value: Any) -> Any:
    return {"environment": value} if isinstance(value, str) else value


StageOf = Annotated[Stage, BeforeValidator(_named)]
"""A stage, which users may write as its environment's name alone."""
Pipeline = tuple[StageOf, ...]
_PIPELINE: TypeAdapter[tuple[Stage, ...]] = TypeAdapter(Pipeline)


def read_pipeline(stored: Sequence[Any]) -> tuple[Stage, ...]:
    """The stages of a pipeline: names, or mappings where more is said."""
    return _PIPELINE.validate_python(list(stored))


def stored_pipeline(stages: Sequence[Stage]) -> list[Any]:
    """As the catalog keeps it; a stage that is only a name stays one."""
    return [
        {"environment": stage.environment, "bake": stage.bake.total_seconds()}
        if stage.bake
        else stage.environment
        for stage in stages
    ]


def names_of(stages: Sequence[Stage]) -> tuple[str, ...]:
    """The stages' environments."""
    return tuple(stage.environment for stage in stages)


def stages_between(pipeline: Sequence[Stage], from_: str, to: str) -> tuple[Stage, ...]:
    """The stages after `from_` up to `to`; empty: from the first on, up to the last.

    Raises:
        ValueError: One of them is no stage, or nothing lies between the two.
    """
    names = names_of(pipeline)
    if not names:
        raise ValueError("the application has no pipeline")
    for word, name in (("from", from_), ("to", to)):
        if name and name not in names:
            raise ValueError(f"{word}: {name} is no stage of the pipeline {' → '.join(names)}")
    first = names.index(from_) + 1 if from_ else 0
    last = names.index(to) if to else len(names) - 1
    if first > last:
        raise ValueError(f"nothing comes after {from_} up to {to or names[-1]}")
    return tuple(pipeline[first : last + 1])


def of_working_tree(version: str) -> bool:
    """Whether the release was packed from a working tree: it is for the first stage only."""
    return bool(_WORKING_TREE.search(version))
