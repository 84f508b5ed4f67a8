"""What all domain values share: the base models, names, durations and shares."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")]
Version = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$")
]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")


class FileModel(BaseModel):
    """A value that users write: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wire(BaseModel):
    """A value that travels through Temporal: old code reads newer values."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def parse_duration(value: Any) -> Any:
    """Read `30s`, `5m`, `2h` or a number of seconds (as values are stored) as a timedelta."""
    if isinstance(value, bool):
        raise ValueError("expected a duration such as 30s, 5m or 2h")
    if isinstance(value, int | float):
        return timedelta(seconds=value)
    if isinstance(value, str):
        match = _DURATION.match(value)
        if not match:
            raise ValueError("expected a duration such as 30s, 5m or 2h")
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    return value


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
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern}),
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
        return min(total, -int(-total * self._percent // 100))

    def down(self, total: int) -> int:
        """The share of `total`, rounded down: what a budget allows."""
        if self.count is not None:
            return min(self.count, total)
        return min(total, int(total * self._percent // 100))

    @property
    def _percent(self) -> float:
        return self.percent if self.percent is not None else 0.0

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{self._percent:g}%"


def parse_share(value: Any) -> Any:
    """Read `3` or `20%` as a Share."""
    if isinstance(value, Share | dict):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Share(count=value)
    if isinstance(value, str):
        if match := re.match(r"^(\d+(?:\.\d+)?)%$", value):
            percent = float(match[1])
            if percent <= 100:
                return Share(percent=percent)
        elif value.isdigit():
            return Share(count=int(value))
    raise ValueError("expected a count such as 3 or a percentage such as 20%")


ShareOf = Annotated[
    Share,
    BeforeValidator(parse_share),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+%$"}]}),
]
