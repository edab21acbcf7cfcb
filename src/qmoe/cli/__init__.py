"""The command line: thin wrappers around studies and report."""

import signal
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
        _end(130)
    except SystemExit as end:
        if isinstance(end.code, int) and end.code > 128:
            _end(end.code)
        raise


def _end(status: int) -> None:
    """Ends the program over a signal; another one while Python tidies up would only print a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)
