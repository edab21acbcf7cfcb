"""From a study with alternatives to specifications: full sets of choices of its analysis, each a plain study."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from qmoe.studies.specs.multiverse import CHOICES, MultiverseSpec
from qmoe.studies.specs.study import ArmSpec, ModelSpec, Study, TrainingSpec
from qmoe.studies.trials import Member, from_canonical, make_trials

Select = Literal["all", "best_rate", "best_start"]
_SELECT: dict[str, Select] = {"adam-best": "best_rate", "lbfgs-best": "best_start"}
#: What stands for the number of epochs where training has none.
TO_A_MINIMUM = "to a minimum"


@dataclass(frozen=True)
class Specification:
    """One full set of analysis choices.

    Attributes:
        choices: for each choice that has alternatives the one taken, in words.
        study: the plain study with these choices, under the name of the one it is of.
        select: what counts of its trials: ``"all"`` of them; those at each arm's learning rate of least training loss
            (``"best_rate"``); for each draw of the data the start with the least training loss (``"best_start"``).
    """

    choices: Mapping[str, str]
    study: Study
    select: Select = "all"

    @property
    def label(self) -> str:
        """The choices in one line."""
        return ", ".join(f"{choice} {alternative}" for choice, alternative in self.choices.items())


def specifications(study: Study) -> tuple[Specification, ...]:
    """All sets of choices of a study, its own first; none without ``multiverse``.

    Every combination of the alternatives is one. Those that come to the same trials, selected alike, are one, such as those
    that differ in epochs and train to a minimum.

    Raises:
        ConfigError: when a file that the study is about has changed since it was read.

    Example:
        >>> from qmoe.studies import load_preset, specifications
        >>> len(specifications(load_preset("ladder-moons")))
        18
    """
    return _specifications(study.canonical) if study.multiverse is not None else ()


def all_members(study: Study) -> Iterator[Member]:
    """The trials of a study, then those that its other specifications need, each once."""
    seen = set()
    for plain in (study, *(specification.study for specification in specifications(study))):
        for member in make_trials(plain):
            if member.trial.hash not in seen:
                seen.add(member.trial.hash)
                yield member


@functools.lru_cache(maxsize=64)
def _specifications(canonical: str) -> tuple[Specification, ...]:
    study = from_canonical(canonical)
    multiverse = study.multiverse
    assert multiverse is not None
    own = _own_choices(study)
    varied = [choice for choice in CHOICES if getattr(multiverse, choice)]
    base = study.model_copy(update={"multiverse": None, "lr_factors": ()})
    found = [Specification({choice: str(own[choice]) for choice in varied}, base)]
    keys = {(base.canonical, "all")}
    for alternatives in itertools.product(*(getattr(multiverse, choice) for choice in varied)):
        chosen = dict(zip(varied, alternatives, strict=True))
        if chosen == {choice: own[choice] for choice in varied}:
            continue
        specification = _specify(study, multiverse, chosen)
        key = specification.study.canonical, specification.select
        if key not in keys:
            keys.add(key)
            found.append(specification)
    return tuple(found)


def _own_choices(study: Study) -> dict[str, Any]:
    """The study's own alternative for each choice."""
    axes = [axis for arm in study.arms if (axis := _axis(arm.model.router)) is not None]
    training = study.training
    return {
        "scaling": study.data.scaling,
        "rotation": axes[0] if axes else "X",
        "optimiser": training.optimiser,
        "epochs": training.epochs if training.optimiser == "adam" else TO_A_MINIMUM,
        "initial_scale": training.initial_scale,
    }


def _specify(study: Study, multiverse: MultiverseSpec, chosen: dict[str, Any]) -> Specification:
    optimiser = chosen.get("optimiser", study.training.optimiser)
    training = study.training.model_copy(
        update={name: chosen[name] for name in ("epochs", "initial_scale") if name in chosen}
    )
    seeds = study.seeds
    fewer = {"per_data": min(multiverse.per_data or seeds.per_data, seeds.per_data)}
    words = {choice: str(alternative) for choice, alternative in chosen.items()}
    if optimiser == "lbfgs-best":
        training = TrainingSpec(
            optimiser="lbfgs",
            max_iterations=multiverse.max_iterations,
            tolerance=multiverse.tolerance,
            initial_scale=training.initial_scale,
        )
        fewer = {"data": min(multiverse.data or seeds.data, seeds.data), "per_data": multiverse.starts}
        words |= {"epochs": TO_A_MINIMUM} if "epochs" in words else {}
    arms = [arm for arm in study.arms if not multiverse.arms or arm.name in multiverse.arms]
    plain = study.model_copy(
        update={
            "data": study.data.model_copy(update={"scaling": chosen.get("scaling", study.data.scaling)}),
            "training": training,
            "seeds": seeds.model_copy(update=fewer),
            "lr_factors": (multiverse.lr_factors or study.lr_factors) if optimiser == "adam-best" else (),
            "arms": tuple(_turned(arm, chosen["rotation"]) if "rotation" in chosen else arm for arm in arms),
            "multiverse": None,
            # Of the study as a whole, not of one way to analyse it.
            "timed": 0,
            "effective_dimension": (),
            "boundaries": (),
            "baselines": (),
            "keep": "all",
            "ladder": False,
            "quick": {},
        }
    )
    return Specification(words, plain, _SELECT.get(optimiser, "all"))


def _axis(part: Any) -> str | None:
    """The axis of a router's or experts' angle encoding; None where there is none, as in a circuit by its name."""
    has_one = hasattr(part, "rotation") and getattr(part, "encoding", "angle") == "angle"
    return part.rotation if has_one and getattr(part, "circuit", None) is None else None


def _turned(arm: ArmSpec, rotation: str) -> ArmSpec:
    """The arm with every angle encoding about that axis."""
    model: ModelSpec = arm.model
    for name in ("router", "experts"):
        part = getattr(model, name)
        if _axis(part) not in (None, rotation):
            model = model.model_copy(update={name: part.model_copy(update={"rotation": rotation})})
    return arm.model_copy(update={"model": model})
