"""What all domain values share: the base models, names, durations and shares."""

import difflib
import math
import re
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError, to_jsonable_python

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")]
Version = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$")
]
Address = Annotated[
    str,
    StringConstraints(
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,254}|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Za-z:.%]*)$"
    ),
]
UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 1000 * _UNITS["d"]
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")


class FileModel(BaseModel):
    """A value that users write: unknown keys are errors, but keys starting with `x-` are free."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _drop_free_keys(cls, value: Any) -> Any:
        return without_free_keys(value)


def without_free_keys(value: Any) -> Any:
    """A mapping without the keys that start with `x-`."""
    if isinstance(value, dict) and any(str(key).startswith("x-") for key in value):
        return {key: each for key, each in value.items() if not str(key).startswith("x-")}
    return value


class Wire(BaseModel):
    """A value that travels through Temporal: old code reads newer values."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(Wire):
    """What people ask of a workflow: a slip in a field's name must not ask for something else."""

    @model_validator(mode="before")
    @classmethod
    def _no_slips(cls, value: Any) -> Any:
        known = {field.alias or name: name for name, field in cls.model_fields.items()}
        for word in value if isinstance(value, dict) else ():
            if word in known or word in known.values():
                continue
            if near := difflib.get_close_matches(str(word), known, n=1, cutoff=0.75):
                names = {"word": str(word), "near": near[0]}
                raise PydanticCustomError("slip", "{word} is no field: did you mean {near}?", names)
        return value


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    """What fields are when nobody says anything of them, as it is written in JSON."""
    told = {n: f.default for n, f in model.model_fields.items() if not f.is_required()}
    written: dict[str, Any] = to_jsonable_python(told)
    return written


def parse_duration(value: Any) -> Any:
    """Read `30s`, `5m`, `2h` or a number of seconds (as values are stored) as a timedelta."""
    if isinstance(value, timedelta):
        return value
    seconds = -1.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        seconds = float(match[1]) * _UNITS[match[2]]
    if not 0 <= seconds <= _LONGEST:
        raise ValueError("expected a duration such as 30s, 5m or 2h")
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """Write a duration the way users do: `1h30m`, `45s`, `0.5s`."""
    seconds = value.total_seconds()
    if seconds < 60:
        return f"{seconds:g}s"
    parts = [(int(seconds // 3600), "h"), (int(seconds % 3600 // 60), "m"), (seconds % 60, "s")]
    return "".join(f"{amount:g}{unit}" for amount, unit in parts if amount)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda value: value.total_seconds(), return_type=float),
    WithJsonSchema({"type": ["string", "number"], "pattern": _DURATION.pattern, "minimum": 0}),
]


class Share(BaseModel):
    """A count of hosts (`3`) or a percentage of them (`20%`)."""

    model_config = ConfigDict(frozen=True)

    count: int | None = None
    percent: float | None = None

    def up(self, total: int) -> int:
        """The share of `total`, rounded up: what a wave reaches."""
        if self.count is not None:
            return min(self.count, total)
        return min(total, math.ceil(total * self._part))

    def down(self, total: int) -> int:
        """The share of `total`, rounded down: what a budget allows."""
        if self.count is not None:
            return min(self.count, total)
        return min(total, math.floor(total * self._part))

    @property
    def _part(self) -> Fraction:
        """The percentage as it is written: 64.4 in binary is a little more."""
        return Fraction(str(self.percent or 0)) / 100

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{self.percent or 0:g}%"


def parse_share(value: Any) -> Any:
    """Read `3` or `20%` as a Share."""
    if isinstance(value, Share):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Share(count=value)
    if isinstance(value, str):
        if match := re.match(r"^(\d+(?:\.\d+)?)%$", value):
            percent = float(match[1])
            if percent <= 100:
                return Share(percent=percent)
        elif value.isdecimal():
            return Share(count=int(value))
    raise ValueError("expected a count such as 3 or a percentage such as 20%")


ShareOf = Annotated[
    Share,
    BeforeValidator(parse_share),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {"type": ["integer", "string"], "minimum": 0, "pattern": r"^(\d+|\d+(\.\d+)?%)$"}
    ),
]
