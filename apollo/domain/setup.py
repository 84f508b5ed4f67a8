"""How one host is upgraded: root folder, hooks, health check."""

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from apollo.domain.base import Duration, FileModel, UserName, VariableName
from apollo.domain.fleet import Text

HOOKS = ("install", "stop", "start", "validate")
INSTALL_TIMEOUT = timedelta(minutes=10)
HOOK_TIMEOUT = timedelta(minutes=2)


class Hook(FileModel):
    """A command line, run by `sh -c` in the release's folder."""

    run: str = Field(min_length=1)
    timeout: Duration | None = None
    retries: int = Field(default=0, ge=0, le=100)
    user: UserName | None = None

    def with_timeout(self, step: str) -> "Hook":
        """The hook with its timeout filled in."""
        if self.timeout is not None:
            return self
        timeout = INSTALL_TIMEOUT if step == "install" else HOOK_TIMEOUT
        return self.model_copy(update={"timeout": timeout})


def _hook(value: Any) -> Any:
    return {"run": value} if isinstance(value, str) else value


def _list(value: Any) -> Any:
    return value if value is None or isinstance(value, list | tuple) else (value,)


def _as_written(value: "tuple[Hook, ...]") -> Any:
    """One hook as itself, so that a manifest's digest does not tell whether it stood in a list."""
    return value[0] if len(value) == 1 else list(value)


class _OrOne:
    """In schemas: one entry may stand where several may."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        several = handler(core)
        return {"anyOf": [several["items"], several]}


HookOf = Annotated[Hook, BeforeValidator(_hook)]
HooksOf = Annotated[
    tuple[HookOf, ...],
    Field(min_length=1),
    BeforeValidator(_list),
    PlainSerializer(_as_written, return_type=Hook | list[Hook]),
    _OrOne(),
]
"""One hook, or several that run one after the other."""


@lru_cache(maxsize=256)
def _filled(hooks: tuple[Hook, ...], step: str) -> tuple[Hook, ...]:
    """A fleet asks for the same few again and again."""
    return tuple(hook.with_timeout(step) for hook in hooks)


class Hooks(FileModel):
    """The hooks of a turn, in the order in which they run."""

    install: HooksOf | None = None
    stop: HooksOf | None = None
    start: HooksOf | None = None
    validate_: HooksOf | None = Field(default=None, alias="validate")

    def of(self, step: str) -> tuple[Hook, ...]:
        """The hooks of that name, their timeouts filled in."""
        hooks: tuple[Hook, ...] | None = getattr(self, "validate_" if step == "validate" else step)
        return _filled(hooks or (), step)


class OnceHook(Hook):
    """A hook that runs on one host of a deployment: the first that `on` matches."""

    on: str | None = Field(default=None, min_length=1)

    @field_validator("on")
    @classmethod
    def _no_marks(cls, value: str | None) -> str | None:
        if value and "@" in value:
            raise ValueError("expected hosts by label, location or name")
        return value


OnceHookOf = Annotated[OnceHook, BeforeValidator(_hook)]


class Once(FileModel):
    """Hooks that run once per deployment, in the new release's folder."""

    before: OnceHookOf | None = None
    """Nothing has been drained yet."""
    after: OnceHookOf | None = None
    """Every wave has ended."""


PROBE_TIMEOUT = timedelta(seconds=5)


def _is(default: object) -> Callable[[object], bool]:
    """What a release does not say is not in its manifests: their digests stay what they were."""
    return lambda value: value == default


class HttpCheck(FileModel):
    """A GET that must answer with `status`, and with `body` somewhere in what it says.

    `{NAME}` is replaced by variables, `{release}` by the version. Certificates are not verified:
    the connection already leads to a known host, under a name that is rarely the certificate's.
    """

    port: Text
    path: str = "/"
    status: int = Field(default=200, ge=100, le=599)
    host: str = "127.0.0.1"
    """Where the application listens; for a worker `127.0.0.1` stands for the host's address."""
    scheme: Literal["http", "https"] = Field(default="http", exclude_if=_is("http"))
    headers: dict[str, Text] = Field(default={}, exclude_if=_is({}))
    """Sent with the request: `Host`, `Authorization`."""
    body: str | None = Field(default=None, min_length=1, exclude_if=_is(None))


class TcpCheck(FileModel):
    """A TCP port that must accept a connection."""

    port: Text
    host: str = "127.0.0.1"


class Health(FileModel):
    """When a host counts as healthy: no bad answer for `healthy_for`, within `deadline`."""

    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    command: str | None = None
    from_: Literal["host", "worker"] = Field(default="host", alias="from", exclude_if=_is("host"))
    """Who asks: the host itself, through the SSH connection, or the worker over the network."""
    timeout: Duration = Field(default=PROBE_TIMEOUT, exclude_if=_is(PROBE_TIMEOUT))
    """How long one answer may take."""
    healthy_for: Duration = timedelta(seconds=5)
    deadline: Duration = timedelta(minutes=5)

    @model_validator(mode="after")
    def _one_kind(self) -> "Health":
        if sum(kind is not None for kind in (self.http, self.tcp, self.command)) != 1:
            raise ValueError("expected exactly one of http, tcp and command")
        return self


class Role(FileModel):
    """What hosts of one role do otherwise; what is not said is inherited."""

    hooks: Hooks = Hooks()
    health: Health | None = None
    variables: dict[VariableName, Text] = {}
    balancer: Literal["none"] | None = None


class Setup(FileModel):
    """How one host is upgraded. Frozen inside the release."""

    root: str = Field(pattern=r"^(/|\{)")
    keep: int = Field(default=5, ge=2, le=1000)
    shared: tuple[str, ...] = ()
    env_file: str | None = None
    variables: dict[VariableName, Text] = {}
    secrets: tuple[VariableName, ...] = ()
    hooks: Hooks = Hooks()
    health: Health | None = None
    once: Once | None = None
    roles: dict[str, Role] = {}

    def for_role(self, role: str | None) -> "Setup":
        """The setup as a host of that role has it: its own words first, the rest inherited."""
        own = self.roles.get(role or "")
        if own is None:
            return self
        # Not the fields that were set: what comes from the catalog has set them all.
        said = {name: hooks for name, hooks in own.hooks if hooks is not None}
        hooks = self.hooks.model_copy(update=said)
        return self.model_copy(
            update={
                "hooks": hooks,
                "health": own.health or self.health,
                "variables": {**self.variables, **own.variables},
            }
        )
