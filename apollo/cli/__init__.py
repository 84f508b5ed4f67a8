"""The command line."""

import sys


def main() -> None:
    """Carry out what the command line says, and end the process."""
    from apollo.cli.run import run

    code = run(sys.argv[1:])
    if "apollo.settings" in sys.modules:  # help needs none of what is slow to load or to leave
        from apollo.settings import leave

        leave(code)
    sys.exit(code)
