"""The command line: thin wrappers around studies and report."""

import sys

from qmoe.cli.packages import what_keeps_from_starting

__all__ = ["main"]


def main() -> None:
    """Runs the command line; a package that does not import is told in one line, by every command alike."""
    try:
        from qmoe.cli.app import main as run
    except Exception:
        reason = what_keeps_from_starting()
        if reason is None:
            raise
        sys.exit(f"qmoe: cannot start: {reason}")
    run()
