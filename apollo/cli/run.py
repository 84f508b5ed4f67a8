"""Carries out a command line; every way to fail becomes a message and an exit code."""

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from cyclopts import CycloptsError

from apollo.cli.app import build
from apollo.cli.render.errors import render_error
from apollo.errors import ApolloError

_BUG = 1
_DETACHED = 130


def run(tokens: Sequence[str]) -> int:
    """Carry out a command line and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        return _code(build()(tokens, result_action="return_value", error_formatter=_usage))
    except ApolloError as error:
        print(render_error(error), file=sys.stderr)
        return error.exit_code
    except SystemExit as end:
        return _code(end.code)
    except KeyboardInterrupt:
        return _DETACHED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BUG
    except Exception:
        traceback.print_exc()
        print("error[Bug] this should not have happened; please report it", file=sys.stderr)
        return _BUG


def _code(result: Any) -> int:
    return result if isinstance(result, int) else 0


def _usage(error: CycloptsError) -> str:
    command = " ".join(("apollo", *(error.command_chain or ())))
    return f"error[Usage] {error}\n  see {command} --help"
