"""What ``qmoe presets`` prints of presets and of groups of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable

from qmoe.studies.presets import GROUPS, further_presets, preset_names, preset_text


def list_of_presets() -> str:
    """A line for each preset; a group has one of its own before its members."""
    rows = _titles(preset_names())
    for group, words in GROUPS.items():
        members = _titles(further_presets(group))
        rows |= {group: f"{words} (group of the {len(members)} below)"} | members
    return _lines(rows)


def described_group(group: str) -> str:
    """What a group is, and its members."""
    members = _titles(further_presets(group))
    return (
        f"{group} is a group of {len(members)} studies; run them all with `qmoe run {group}`, or one by its name:\n"
        + _lines(members)
    )


def _titles(names: Iterable[str]) -> dict[str, str]:
    # Texts alone: taking a ladder's quantum router apart may last seconds.
    values = {name: tomllib.loads(preset_text(name)) for name in names}
    return {name: f"{of['title']} ({of['protocol']})" for name, of in values.items()}


def _lines(rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    return "".join(f"{name:{width}}  {words}\n" for name, words in rows.items())
