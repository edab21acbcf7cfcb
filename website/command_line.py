"""The page about the command line, generated from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

INTRODUCTION = """Every command with its arguments and options, as `qmoe COMMAND --help` prints them.
All of them end with a message and an exit code other than 0 when something is wrong."""


def pages() -> dict[str, str]:
    """Name -> Markdown of the page."""
    return {"command-line": page()}


def page() -> str:
    """What ``qmoe --help`` and the help of every command say."""
    from qmoe.cli.app import app

    root = typer.main.get_command(app)
    lines = ["# Command line", "", INTRODUCTION, ""]
    for name, command in commands(root):
        lines += described(name, command)
    return "\n".join(lines)


def commands(group: Any, name: str = "qmoe") -> Iterator[tuple[str, Any]]:
    """Every command by its full name, in the order of the help; a group of commands before its own."""
    context = typer.Context(group, info_name=name)
    for last in group.list_commands(context):
        command = group.get_command(context, last)
        yield f"{name} {last}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {last}")


def described(name: str, command: Any) -> list[str]:
    """A command: its usage, its help, its arguments and options."""
    context = typer.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [f"## `{name}`", "", "```text", usage, "```", "", *prose(command.help or "")]
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            lines += [f"`{record[0]}`", f": {' '.join(record[1].split()) or 'Required.'}", ""]
    return lines


def prose(text: str) -> list[str]:
    """The help of a command as paragraphs, its example as a block of code."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        words = " ".join(paragraph.replace("\b", "").split())
        example = words.removeprefix("Example: ")
        lines += ["```sh", example, "```", ""] if example != words else [words, ""]
    return lines
