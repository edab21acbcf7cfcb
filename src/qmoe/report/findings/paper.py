"""The paper's published figures, and whether a study follows the protocol that they belong to."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from qmoe.claims.runs import ArmKey
from qmoe.studies import Study, load_preset, preset_names
from qmoe.studies.metrics import metric_facts


@dataclass(frozen=True)
class Published:
    """One published figure.

    Attributes:
        study: name of the study that repeats it.
        arm: name of the arm.
        strength: noise strength, or None.
        quantity: name of a metric, ``"loss"`` or ``"seconds"``.
        epoch: which epoch it belongs to, counted from 0; None for the end of training.
        value: what was published.
        decimals: how many decimals it was printed with.
        where: where it stands.
    """

    study: str
    arm: str
    strength: float | None
    quantity: str
    epoch: int | None
    value: float
    decimals: int
    where: str

    @property
    def is_outcome(self) -> bool:
        """Whether it is a result of training that our runs can be set against one to one."""
        return metric_facts(self.quantity).kind in ("accuracy", "loss")

    @property
    def key(self) -> ArmKey:
        """What tells the arm from the others of its study."""
        return ArmKey(self.arm, self.strength)


@dataclass(frozen=True)
class Paper:
    """The paper and all its published figures.

    Attributes:
        name: of the paper.
        url: where it stands.
        date: when it was published.
        figures: what it published.
        other_data: by study, why the authors' test data may be others than ours.
        unpublished: by study, what of the protocol is not published beside first weights and the order of batches.
    """

    name: str
    url: str
    date: str
    figures: tuple[Published, ...]
    other_data: Mapping[str, str]
    unpublished: Mapping[str, str]

    def of(
        self, study: str, quantity: str | None = None, arm: str | None = None, strength: float | None = None
    ) -> list[Published]:
        """Figures of a study, narrowed down by what is given; a strength of None with an arm means an arm without noise."""
        return [
            f
            for f in self.figures
            if f.study == study
            and quantity in (None, f.quantity)
            and (arm is None or (f.arm == arm and f.strength == strength))
        ]

    def value(self, study: str, quantity: str, arm: str, strength: float | None = None) -> float | None:
        """The one figure of this kind, or None."""
        found = self.of(study, quantity, arm, strength)
        return found[0].value if found else None


@functools.cache
def paper() -> Paper:
    """Reads ``paper.toml``."""
    values = tomllib.loads(resources.files(__package__).joinpath("paper.toml").read_text(encoding="utf-8"))
    about, where, epochs, decimals = (values.pop(key) for key in ("paper", "where", "epoch", "decimals"))
    other_data, unpublished = values.pop("other_data"), values.pop("unpublished")
    figures: list[Published] = []
    for study, arms in values.items():
        for arm, table in arms.items():
            for strength, quantities in _by_strength(table):
                for quantity, value in quantities.items():
                    by_epoch = {int(k): v for k, v in value.items()} if isinstance(value, dict) else {None: value}
                    for epoch, number in by_epoch.items():
                        at = epochs.get(study) if metric_facts(quantity).is_accuracy else epoch
                        figures.append(
                            Published(study, arm, strength, quantity, at, float(number), decimals[study], where[study])
                        )
    return Paper(about["name"], about["url"], about["date"], tuple(figures), other_data, unpublished)


def _by_strength(table: dict[str, Any]) -> list[tuple[float | None, dict[str, Any]]]:
    """An arm is a table of quantities, or of noise strengths that each have one."""
    if all(key.replace(".", "", 1).isdigit() for key in table):
        return [(float(key), value) for key, value in table.items()]
    return [(None, table)]


def is_preset(study: Study) -> bool:
    """Whether a study asks what the preset of its name asks: the same arms on the same data set.

    Its size may differ; `departures` says so.
    """
    if study.name not in preset_names():
        return False
    preset = load_preset(study.name)
    ours = {arm.name: arm.model for arm in study.arms}
    theirs = {arm.name: arm.model for arm in preset.arms}
    return study.data.name == preset.data.name and all(theirs.get(name) == model for name, model in ours.items())


def departures(study: Study) -> list[str]:
    """What sets a study apart from the preset of its name, in words; an empty list where the protocol is the same.

    The number of seeds is no departure. A study that is no preset departs from nothing.
    """
    if study.name not in preset_names():
        return []
    found = []
    preset = load_preset(study.name)
    for part in ("data", "training"):
        ours, theirs = getattr(study, part).model_dump(), getattr(preset, part).model_dump()
        found += [f"{part}.{key} is {ours[key]!r}, not {theirs[key]!r}" for key in ours if ours[key] != theirs[key]]
    if study.seeds.fixed != preset.seeds.fixed:
        found.append(f"seeds.fixed is {study.seeds.fixed!r}, not {preset.seeds.fixed!r}")
    models = {arm.name: arm.model for arm in preset.arms}
    found += [f"arm {arm.name} is another model" for arm in study.arms if models.get(arm.name, arm.model) != arm.model]
    return found
