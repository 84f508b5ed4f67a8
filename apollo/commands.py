"""Which commands of an environment's a worker runs: what its settings allow."""

import os
import shlex
from collections.abc import Sequence


def allowed(words: Sequence[str], entries: Sequence[str]) -> bool:
    """Whether an entry covers a command: by its first words, or by the folder of its program.

    Words and not letters are compared: `/opt/lb/` covers no `/opt/lb/../../bin/sh`, and `lbctl`
    no `lbctl2`.
    """
    folder = os.path.dirname(words[0]) if words else ""
    for entry in entries:
        first = shlex.split(entry)
        if first and list(words[: len(first)]) == first:
            return True
        if folder and entry == f"{folder}/":
            return True
    return False
