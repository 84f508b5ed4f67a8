"""Where an application runs: fleet, configuration, strategy, balancer, gates."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from apollo.domain.alarms import Alarm
from apollo.domain.balancer import BalancerSpec
from apollo.domain.base import Address, FileModel, HostName, Name, VariableName
from apollo.domain.fleet import Fleet, Text
from apollo.domain.strategy import Strategy
from apollo.domain.windows import WindowText

StateName = Literal[
    "waiting",
    "running",
    "baking",
    "awaiting",
    "paused",
    "rolling_back",
    "succeeded",
    "partial",
    "halted",
    "rolled_back",
    "rollback_failed",
    "aborted",
    "superseded",
    "refused",
    "failed",
]
"""A deployment's state. An enum would write out, in its error, a list that aliases make endless."""
TROUBLE: tuple[StateName, ...] = (
    "paused",
    "awaiting",
    "halted",
    "rolled_back",
    "rollback_failed",
    "partial",
    "failed",
)
"""The states of which a webhook is told that does not say which."""


class Webhook(FileModel):
    """Where somebody is told of a deployment's states: a URL, or a reference to one."""

    webhook: str = Field(min_length=1)
    on: tuple[StateName, ...] = Field(default=TROUBLE, min_length=1)


class ConfigurationFile(FileModel):
    """A file that an environment puts into the release's folder; `${NAME}` is replaced.

    `{role}`, `{location}` and `{host}` in `from` choose another file for other hosts.
    """

    from_: str = Field(alias="from")
    mode: str = Field(default="0644", pattern=r"^0?[0-7]{3}$")


class ConfigurationTexts(FileModel):
    """The same as it is applied, where hosts have different files."""

    from_: str = Field(alias="from")
    mode: str
    texts: dict[str, str]
    """`from` as it is for some hosts → the template's text."""


def named_by_address(value: Any) -> Any:
    """A host that is written as its address alone."""
    return {"address": value} if isinstance(value, str) else value


class InlineHost(FileModel):
    """A host written where it is used."""

    address: Address
    port: int = Field(default=22, ge=1, le=65535)
    user: str | None = None
    location: Name = "default"
    labels: dict[str, Text] = {}
    variables: dict[VariableName, Text] = {}
    host_key: str | None = None


class FleetSpec(FileModel):
    """Where the hosts come from: written here, or an inventory file."""

    hosts: dict[HostName, Annotated[InlineHost, BeforeValidator(named_by_address)]] | None = None
    inventory: str | None = None
    select: str | None = None
    user: str | None = None
    host_keys: Literal["known", "first_use"] = "known"

    @model_validator(mode="after")
    def _one_kind(self) -> "FleetSpec":
        if (self.hosts is None) == (self.inventory is None):
            raise ValueError("expected exactly one of hosts and inventory")
        return self


def _balancer(value: Any) -> Any:
    return None if value == "none" else value


class EnvironmentSpec(FileModel):
    """An environment as users write it."""

    fleet: FleetSpec
    root: str | None = Field(default=None, pattern=r"^(/|\{)")
    variables: dict[VariableName, Text] = {}
    files: dict[str, ConfigurationFile] = {}
    secrets: dict[VariableName, str] = {}
    balancer: Annotated[BalancerSpec | None, BeforeValidator(_balancer)] = None
    strategy: Strategy = Strategy()
    alarms: tuple[Alarm, ...] = ()
    approval: Literal["required"] | None = None
    windows: tuple[WindowText, ...] = ()
    freezes: tuple[str, ...] = ()
    """Files of calendars (`.ics`), in whose events no host begins a turn."""
    notify: tuple[Webhook, ...] = ()


class Environment(FileModel):
    """An environment as it is applied: the fleet is read, files are stored by digest."""

    application: Name
    name: Name
    fleet: Fleet
    first_use: bool = False
    root: str | None = None
    variables: dict[str, Text] = {}
    location_variables: dict[str, dict[str, Text]] = {}
    own_workers: tuple[Name, ...] = ()
    """The locations whose hosts only their own workers touch."""
    files: dict[str, tuple[str, str]] = {}
    """Path in the release → (template's text, mode)."""
    files_by_host: dict[str, ConfigurationTexts] = {}
    """The same, where `from` names role, location or host."""
    secrets: dict[str, str] = {}
    balancer: BalancerSpec | None = None
    strategy: Strategy = Strategy()
    alarms: tuple[Alarm, ...] = ()
    """What is watched from the first turn to the end of the last bake."""
    approval: bool = False
    windows: tuple[WindowText, ...] = ()
    """When hosts may begin turns; none: at any time."""
    freezes: dict[str, str] = {}
    """Path of a calendar → its text; in its events no host begins a turn."""
    notify: tuple[Webhook, ...] = ()

    @property
    def label(self) -> str:
        """`shop/prod`."""
        return f"{self.application}/{self.name}"

    @property
    def timed(self) -> bool:
        """Whether there are times at which hosts may not begin turns."""
        return bool(self.windows or self.freezes)
