"""What a process of Apollo's is told by its environment: `APOLLO_*`."""

import getpass
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _home() -> Path:
    return Path.home() / ".apollo"


def _command(entry: str) -> str:
    if not shlex.split(entry):  # it raises ValueError where a quote is open
        raise ValueError("expected a program, its first words, or a folder that ends with /")
    return entry


LENT = "lent"


class Settings(BaseSettings):
    """Lowest first: default, `APOLLO_*`, flag. Temporal's own are `TEMPORAL_*`."""

    model_config = SettingsConfigDict(env_prefix="APOLLO_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=_home)
    """State of this machine: catalog and store by default, and what `apollo up` runs."""
    catalog: str = ""
    """SQLAlchemy URL of the catalog; by default SQLite in `home`."""
    store: str = ""
    """Folder of artifacts and manifests, by default in `home`; or `s3://`, `gs://`, `az://`.

    `lent`: a host worker without access to it, to whom the control worker lends.
    """
    lent_mb: int = Field(default=4096, ge=1)
    """Megabytes that such a worker keeps of what it was lent."""
    store_public_url: str = Field(default="", pattern=r"^(https?://[^\s\"\\]+)?$", repr=False)
    """Under which a web server publishes the store's folder, for hosts that pull."""
    pull_above: int = Field(default=200, ge=0)
    """Hosts of a deployment above which they pull artifacts, where the store has URLs."""
    ssh_key: Path | None = None
    """Private key with which workers log in; by default the agent and `~/.ssh`."""
    ssh_passphrase: str = ""
    """Where the key's passphrase is found: `file:PATH`, `env:NAME` or `command:WORDS`."""
    encryption_key: str = Field(default="", repr=False)
    """Keys that encrypt what Temporal is told, the newest first; `file:PATH` holds some."""
    codec_token: str = Field(default="", repr=False)
    """What `apollo codec serve` must be shown as `Authorization: Bearer`."""
    identity: str = ""
    """Who is deploying, for the audit; by default the login name."""
    allow_secrets: list[str] = ["env:APOLLO_SECRET_", "file:/etc/apollo/secrets/"]
    """Prefixes of references that this worker resolves."""
    allow_commands: list[Annotated[str, AfterValidator(_command)]] = []
    """First words of commands, or folders of programs, that environments may have run here."""
    ui: str = ""
    """Where the Temporal UI is, for links to it; by default that of `apollo up`."""
    ssh_handshakes: int = Field(default=30, ge=1, le=1000)
    """How many logins a worker has under way at once."""
    ssh_jump_handshakes: int = Field(default=8, ge=1, le=1000)
    """How many of them go through the same jump host: below the first number of MaxStartups."""
    trace_turns: int = Field(default=1000, ge=0)
    """About how many turns of a deployment are traced, where `OTEL_*` asks for traces; and all that
    failed."""
    slots: int = Field(default=200, ge=1, le=5000)
    """How many turns one worker carries at once."""
    takeover: float = Field(default=10.0, ge=2, le=300)
    """Seconds without a sign of life after which another worker takes a turn over."""
    build_id: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._+-]{0,127})?$")
    """Which build of Apollo this worker is: deployments end on the build on which they began."""
    grace: float = Field(default=10.0, ge=0)
    """Seconds in which a stopping worker hands its turns over."""

    @property
    def catalog_url(self) -> str:
        """Where the catalog is."""
        return self.catalog or f"sqlite+aiosqlite:///{self.home / 'catalog.db'}"

    @property
    def store_folder(self) -> Path:
        """Where artifacts and manifests are."""
        return Path(self.store) if self.store else self.home / "store"

    @property
    def who(self) -> str:
        """The declared identity."""
        try:
            return self.identity or getpass.getuser()
        except (KeyError, OSError):  # a container's user need not have a name
            return f"uid {os.getuid()}"

    @property
    def temporal_file(self) -> Path:
        """Where `apollo up` says which Temporal server it runs."""
        return self.home / "temporal.json"


def leave(code: int) -> None:
    """End the process at once, with everything flushed.

    A process that has used the Temporal client can crash while Python tears down its threads.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
