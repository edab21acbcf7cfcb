"""The list of commands in ``qmoe --help``: in groups, each command with a line that fits 80 columns."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

#: What a group is about -> its commands, each in a few words; `qmoe COMMAND --help` says all.
COMMAND_GROUPS = {
    "Start here": {
        "doctor": "Show what is installed and which engine runs.",
        "explore": "Play with a trained router in your browser.",
        "reproduce": "Run the paper's studies and write the report.",
        "presets": "List the studies that ship, or print one.",
    },
    "Your own models and data": {
        "audit": "Test whether a layer of your model does anything.",
        "ablate": "Test a quantum router on your own table.",
        "noise": "Test how much noise a trained router stands.",
        "devices": "Test a trained router on snapshots of devices.",
    },
    "Studies": {
        "run": "Run a study and write the report.",
        "status": "Show how far the studies of a folder are.",
        "report": "Write a report again, without training.",
        "diff": "Compare the verdicts of two results folders.",
        "export": "Write all trials as tables or runs of MLflow.",
        "store": "Check the store of results, or merge several.",
        "datasets": "List the data sets and their options.",
    },
    "Claims": {
        "register": "Register studies and claims before they are run.",
        "verify": "Check that claims and runs are as registered.",
        "power": "Plan from a pilot how many draws a claim needs.",
    },
}


class GroupedCommands(TyperGroup):
    """The commands of ``qmoe`` in the order and the groups of `COMMAND_GROUPS`; any other follows at the end."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands, group after group."""
        known = [name for group in COMMAND_GROUPS.values() for name in group]
        return sorted(super().list_commands(ctx), key=lambda name: known.index(name) if name in known else len(known))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes a section for each group."""
        names = self.list_commands(ctx)
        grouped = {
            title: {name: words for name, words in group.items() if name in names}
            for title, group in COMMAND_GROUPS.items()
        }
        listed = {name for group in grouped.values() for name in group}
        others = {name: self.commands[name].get_short_help_str(55) for name in names if name not in listed}
        widest = max(map(len, names), default=0)
        for title, rows in {**grouped, "Others": others}.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl([(name.ljust(widest), words) for name, words in rows.items()])
