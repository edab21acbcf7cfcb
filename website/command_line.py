"""The page about the command line, generated from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import typer


def pages() -> dict[str, str]:
    """Name -> Markdown of the page."""
    return {"command-line": page()}


def page() -> str:
    """What ``qmoe --help`` and the help of every command say."""
    from qmoe.cli.app import app

    root = typer.main.get_command(app)
    lines = ["# Command line", "", str(root.help), ""]
    lines += ["```sh", "qmoe --help", "```", ""]
    for name, command in commands(root):
        lines += described(name, command)
    return "\n".join(lines)


def commands(group: Any) -> Iterator[tuple[str, Any]]:
    """Every command by its full name, in the order of the help."""
    context = click.Context(group, info_name="qmoe")
    for name in group.list_commands(context):
        yield f"qmoe {name}", group.get_command(context, name)


def described(name: str, command: Any) -> list[str]:
    """A command: its usage, its help, its arguments and options."""
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [f"## `{name}`", "", "```text", usage, "```", "", *prose(command.help or "")]
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            lines += [f"`{record[0]}`", f": {' '.join(record[1].split()) or 'Required.'}", ""]
    return lines


def prose(text: str) -> list[str]:
    """The help of a command as paragraphs; what is indented is a block of code."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):
            lines += ["```sh", paragraph, "```", ""]
        else:
            lines += [paragraph.strip("\b\n"), ""]
    return lines
