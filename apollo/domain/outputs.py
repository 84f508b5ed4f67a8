"""What the hooks of a turn have printed, packed so that it fits into a history.

A batch of 500 hosts keeps each turn's end twice in its history, which Temporal ends at 50 MB, and
one payload, which ends at 2 MB, brings the ends of 50 turns. Hence the budgets: 16 KiB for a turn
that failed and 4 KiB for one that went well, packed. Ordinary logs shrink to a fifth: then all of
the last 64 KiB of the step that failed fit; of what does not shrink, the end is kept.
"""

import base64
import zlib
from collections.abc import Sequence

from pydantic import TypeAdapter

from apollo.domain.base import Wire

FAILED = 16 * 1024
"""Bytes of the packed outputs of a turn that failed."""
WELL = 4 * 1024
"""Bytes of the packed outputs of a turn that went well."""
LARGEST = 1 << 20
"""Characters that packed outputs may unpack to: more is nothing that was packed here."""


class StepOutput(Wire):
    """What a step has printed: the end of it, without secrets and control characters."""

    step: str
    text: str = ""
    cut: int = 0
    """How many bytes came before this text, and were left out."""


_OUTPUTS = TypeAdapter(list[StepOutput])


def pack(outputs: Sequence[StepOutput], most: int) -> str:
    """The outputs as one text of at most `most` characters; the longest lose their beginnings."""
    kept = [output for output in outputs if output.text]
    longest = max((len(output.text) for output in kept), default=0)
    while kept:
        packed = _packed([_end(output, longest) for output in kept])
        if len(packed) <= most:
            return packed
        longest = longest * 4 // 5
        if longest == 0:
            break
    return ""


def unpack(packed: str) -> list[StepOutput]:
    """The outputs again; nothing where the text is none of `pack`'s."""
    if not packed:
        return []
    try:
        decompressor = zlib.decompressobj()
        data = decompressor.decompress(base64.b64decode(packed, validate=True), LARGEST)
        return _OUTPUTS.validate_json(data)
    except (ValueError, zlib.error):
        return []


def _packed(outputs: list[StepOutput]) -> str:
    return base64.b64encode(_compressed(_OUTPUTS.dump_json(outputs))).decode()


def _compressed(data: bytes) -> bytes:
    """Its window is no larger than the data: the usual one takes longer to make than most need."""
    window = min(zlib.MAX_WBITS, max(9, len(data).bit_length()))
    compressor = zlib.compressobj(wbits=window, memLevel=min(zlib.DEF_MEM_LEVEL, window - 7))
    return compressor.compress(data) + compressor.flush()


def _end(output: StepOutput, longest: int) -> StepOutput:
    left_out = output.text[: max(0, len(output.text) - longest)]
    if not left_out:
        return output
    more = len(left_out.encode())
    return output.model_copy(
        update={"text": output.text[len(left_out) :], "cut": output.cut + more}
    )
