"""The command line: thin wrappers around studies and report."""

from qmoe.cli.app import main

__all__ = ["main"]
