"""One immutable version of an application."""

from pydantic import Field

from apollo.domain.base import Name, Version, Wire
from apollo.domain.setup import Setup


class Artifact(Wire):
    """A packed release: sha256 of the .tar.gz in hexadecimal, size in bytes."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class Release(Wire):
    """Version, artifact and setup of an application; never changes once created."""

    application: Name
    version: Version
    artifact: Artifact
    setup: Setup
