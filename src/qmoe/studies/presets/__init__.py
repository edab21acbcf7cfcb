"""The studies that ship with qmoe."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Any

from qmoe.errors import ConfigError, unknown

if TYPE_CHECKING:
    from qmoe.studies.specs.study import Study

#: phase -> its presets; the ladder is our own, not a phase of the paper.
PHASES: dict[str, tuple[str, ...]] = {
    "phase1": (
        "phase1-synthetic-published",
        "phase1-synthetic-heldout",
        "phase1-mnist-published",
        "phase1-mnist-heldout",
    ),
    "phase2": ("phase2-published", "phase2-heldout"),
    "phase3": ("phase3a-published", "phase3a-heldout", "phase3b-published", "phase3b-heldout"),
    "ladder": (
        "ladder-moons",
        "ladder-circles",
        "ladder-spirals",
        "ladder-xor",
        "ladder-checkerboard",
        "ladder-moons-overlap",
        "ladder-parity",
        "ladder-hidden-manifold",
        "ladder-two-curves",
        "ladder-hyperplanes",
    ),
}


#: Groups of further studies, on published benchmarks, and what each is; they are not among those that are registered.
GROUPS: dict[str, str] = {"qml-benchmarks": "Published data sets of Bowles, Ahmed and Schuld"}


def preset_names() -> list[str]:
    """Names of all presets that are registered, in the order of the paper.

    Example:
        >>> from qmoe.studies import PHASES, preset_names
        >>> preset_names()[0], sorted(PHASES)
        ('phase1-synthetic-published', ['ladder', 'phase1', 'phase2', 'phase3'])
    """
    return [name for names in PHASES.values() for name in names]


def further_presets(group: str | None = None) -> list[str]:
    """Names of the presets that are not registered, of one group or of all."""
    from qmoe.studies.presets.benchmark_presets import benchmark_presets

    return [name for name, preset in benchmark_presets().items() if group in (None, preset.group)]


def load_preset(name: str) -> Study:
    """Reads a preset.

    Raises:
        ConfigError: for an unknown name.
    """
    from qmoe.studies.files import parse_study  # imports torch, which names and texts of presets do without

    return parse_study(preset_values(name), f"{name}.toml")


def preset_values(name: str) -> dict[str, Any]:
    """The tables of a preset."""
    return tomllib.loads(preset_text(name))


def refuse_borrowed_name(study: Study) -> None:
    """Raises `ConfigError` for a study that has a preset's name and asks something else.

    The name decides what results stand beside; only the number of seeds may differ.

    Example:
        >>> from qmoe.studies import load_preset, refuse_borrowed_name
        >>> refuse_borrowed_name(load_preset("phase2-heldout"))
    """
    if study.name not in preset_names() and study.name not in further_presets():
        return
    preset = load_preset(study.name)
    differ = [f for f in type(study).model_fields if f != "seeds" and getattr(study, f) != getattr(preset, f)]
    if study.seeds.fixed != preset.seeds.fixed:
        differ.append("seeds.fixed")
    if differ:
        raise ConfigError(
            f"The study is named {study.name!r} as a preset is, but differs from it in {', '.join(differ)}; "
            "give it a name of its own."
        )


def preset_text(name: str) -> str:
    """The TOML text of a preset, with its opening comment.

    Example:
        >>> from qmoe.studies import preset_text
        >>> "[[arms]]" in preset_text("phase2-heldout")
        True
    """
    if name in GROUPS:
        members = further_presets(name)
        raise ConfigError(
            f"{name!r} is a group of {len(members)} studies, which `qmoe run {name}` runs; name one of them: "
            f"{', '.join(members)}."
        )
    if name in further_presets():
        from qmoe.studies.presets.benchmark_presets import benchmark_presets

        return benchmark_presets()[name].text
    if name not in preset_names():
        raise unknown("preset", name, [*preset_names(), *further_presets(), *GROUPS], listed_by="qmoe presets")
    return resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")


def copied_preset(name: str) -> str:
    """The TOML text of a preset as the beginning of a study of your own: opened by what to change, without what it gave.

    Example:
        >>> from qmoe.studies.presets import copied_preset
        >>> copied_preset("phase2-heldout").splitlines()[0]
        '# A copy of the preset phase2-heldout. Before you change anything else:'
    """
    text = preset_text(name)
    if text.startswith("# Expected"):
        text = text[text.index("\nname = ") + 1 :]
    todo = ["Give it a name and a title of its own."]
    if "\nroot = " in text:
        todo.append("Give it a root of its own under [seeds], any integer: this one gives the preset's own draws.")
    if "\nboundaries = " in text:
        todo.append("Remove the line boundaries = ... for data of more than two features or two classes.")
    lines = [f"# A copy of the preset {name}. Before you change anything else:", *(f"# * {line}" for line in todo)]
    return "\n".join([*lines, "", text])
