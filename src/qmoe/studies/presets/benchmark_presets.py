"""Studies on published benchmarks, beside those that are registered: `qmoe run qml-benchmarks` runs a group of them.

They differ in their data alone and come from one text, ``qml-benchmarks.toml``. What is registered (`PHASES`) does not
contain them, so that `qmoe reproduce` asks what it asked when it was registered.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class BenchmarkPreset:
    """One study of a group: what it is on.

    Attributes:
        group: the name of the group, and of its text.
        family: the name of the data set without the prefix.
        option: the option of the data set.
        value: its value.
        seed: the seed of its published rows.
        words: what readers call the data set.
    """

    group: str
    family: str
    option: str
    value: int
    seed: int
    words: str

    @property
    def name(self) -> str:
        """The name of the study."""
        return f"{self.group}-{self.family.replace('_', '-')}-{self.value}"

    @property
    def data(self) -> str:
        """The name of the data set."""
        return f"qml_benchmarks_{self.family}"

    @property
    def text(self) -> str:
        """The study as TOML."""
        title = self.words.format(self.value)
        known = {"name": self.name, "title": title, "data": self.data, "option": self.option, "value": self.value}
        pattern = resources.files(__package__).joinpath(f"{self.group}.toml").read_text(encoding="utf-8")
        return pattern.format(seed=self.seed, **known)


def _sets(family: str, option: str, seed: int, words: str, *values: int) -> list[BenchmarkPreset]:
    return [BenchmarkPreset("qml-benchmarks", family, option, value, seed, words) for value in values]


_QML = (
    *_sets("linearly_separable", "n_features", 42, "Linearly separable, {} features", 10),
    *_sets("hidden_manifold", "n_features", 3, "Hidden manifold, {} features", 4, 10),
    *_sets("hidden_manifold_diff", "manifold_dim", 3, "Hidden manifold of {} dimensions", 5, 15),
    *_sets("hyperplanes_diff", "n_hyperplanes", 1, "Hyperplanes and parity, {} hyperplanes", 3, 10),
    *_sets("two_curves", "n_features", 3, "Two curves, {} features", 4, 10),
    *_sets("two_curves_diff", "degree", 3, "Two curves of degree {}", 5, 15),
)


def benchmark_presets() -> dict[str, BenchmarkPreset]:
    """The studies of all groups by their names."""
    return {preset.name: preset for preset in _QML}
