"""Alarms: what watches a release while it is rolled out and baked (rule 13)."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from apollo.domain.base import Duration, FileModel, Wire

Url = str
Standing = Literal["quiet", "firing", "unreadable"]
TOLD = 300
"""Characters of what an alarm says that travel."""


class PrometheusAlarm(FileModel):
    """A query of Prometheus: any series that it returns fires."""

    url: Url = Field(min_length=1)
    query: str = Field(min_length=1)
    token: str | None = None
    """A reference to a bearer token."""


class HttpAlarm(FileModel):
    """A JSON document: fires while what stands at `json` is none of `expect`."""

    url: Url = Field(min_length=1)
    json_: str = Field(alias="json", min_length=1)
    """Keys and indexes, with dots between them: `checks.0.state`."""
    expect: tuple[str, ...] = Field(min_length=1)
    token: str | None = None

    @field_validator("expect", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class CommandAlarm(FileModel):
    """A program for the control worker to run: exit code 0 is quiet, 1 fires."""

    run: str = Field(min_length=1)
    timeout: Duration = Field(default=30.0, validate_default=True)


class CloudWatchAlarm(FileModel):
    """An alarm of AWS CloudWatch, metric or composite: fires while it is in `ALARM`."""

    alarm: str = Field(min_length=1)
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]+$")


class Alarm(FileModel):
    """Something that fires when the release does harm."""

    name: str = ""
    prometheus: PrometheusAlarm | None = None
    http: HttpAlarm | None = None
    command: CommandAlarm | None = None
    cloudwatch: CloudWatchAlarm | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Alarm":
        kinds = (self.prometheus, self.http, self.command, self.cloudwatch)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("expected exactly one of prometheus, http, command and cloudwatch")
        return self

    @property
    def label(self) -> str:
        """What it is called in states, errors and the audit."""
        if self.name:
            return self.name
        if self.prometheus:
            return self.prometheus.query
        if self.cloudwatch:
            return self.cloudwatch.alarm
        return self.http.url if self.http else self.command.run if self.command else ""


class Reading(Wire):
    """How one alarm stands, and what it says."""

    alarm: str
    standing: Standing
    says: str = ""

    @property
    def text(self) -> str:
        """`error ratio fires: 2 series`."""
        verb = {"quiet": "is quiet", "firing": "fires", "unreadable": "cannot be read"}
        said = f": {self.says[:TOLD]}" if self.says else ""
        return f"alarm {self.alarm} {verb[self.standing]}{said}"


class AlarmsInput(Wire):
    """Watch a deployment's alarms until they stand otherwise than was seen."""

    deployment: str
    seen: dict[str, Standing] | None = None
    """Alarm → how it stood; none: tell at once."""


class AlarmsLook(Wire):
    """How alarms stand now; those that are quiet are not among them."""

    readings: tuple[Reading, ...] = ()

    @property
    def standing(self) -> dict[str, Standing]:
        """Alarm → how it stands."""
        return {each.alarm: each.standing for each in self.readings}

    def those(self, standing: Standing) -> dict[str, str]:
        """Those that stand so: alarm → in words."""
        return {each.alarm: each.text for each in self.readings if each.standing == standing}
