"""The command line: thin wrappers around studies and report."""

import sys

from qmoe.cli.packages import starting

__all__ = ["main"]


def main() -> None:
    """Runs the command line; a package that does not import is told in one line, by every command alike."""
    try:
        with starting():
            import pydantic  # noqa: F401  # typer reads arguments with it, and only then imports it

            from qmoe.cli.app import main as run
        run()
    except KeyboardInterrupt:  # before a job takes it, or after
        sys.exit(130)
