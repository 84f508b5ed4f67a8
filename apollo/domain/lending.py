"""What the control worker lends from the store to workers that have no access to it."""

from pydantic import Field

from apollo.domain.base import Wire

PIECE = 480 * 1024
"""Bytes of a piece: below the 512 KiB of a payload above which Temporal warns."""


class PieceRequest(Wire):
    """What starts `Piece`: the bytes of some content from `start` on, a piece of them."""

    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    start: int = Field(default=0, ge=0)
