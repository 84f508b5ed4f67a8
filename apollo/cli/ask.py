"""Questions to whoever sits at the terminal."""

import signal
import sys

from apollo.cli.render.terminal import on_terminal


def agreed(question: str, *, yes: bool = False) -> bool:
    """Whether the answer is yes; nobody is asked where nobody sits, or with `--yes`.

    Ctrl-C ends the command: the event loop's own handler would wait for the answer.
    """
    if yes or not on_terminal():
        return True
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    finally:
        signal.signal(signal.SIGINT, before)
