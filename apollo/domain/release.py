"""One immutable version of an application."""

from pydantic import Field

from apollo.domain.base import Name, Version, Wire
from apollo.domain.setup import Setup


class Artifact(Wire):
    """A packed release: sha256 of the .tar.gz in hexadecimal, sizes in bytes."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    unpacked: int = Field(default=0, ge=0, exclude_if=lambda size: size == 0)
    """What it takes on a host's disk; 0: not known. Left out then, so that digests of manifests
    that were made before it was known stay as they are."""

    @property
    def room(self) -> int:
        """Bytes that it takes unpacked, or that it may be expected to take."""
        return self.unpacked or 3 * self.size


class Release(Wire):
    """Version, artifact and setup of an application; never changes once created."""

    application: Name
    version: Version
    artifact: Artifact
    setup: Setup
