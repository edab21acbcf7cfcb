"""How many trials studies have, without making one."""

from __future__ import annotations

import math
from collections.abc import Iterable

from qmoe.errors import ConfigError
from qmoe.studies.specifications import specifications
from qmoe.studies.specs.multiverse import CHOICES
from qmoe.studies.specs.study import Study
from qmoe.studies.trials import TrialSpec, first_members

#: Kinds of trials that studies may have at most.
MAX_KINDS = 300_000
#: Draws of the data and initialisations of each: trials of one kind are all pairs of them.
Rectangle = tuple[int, int]


def kinds_of_trials(studies: Iterable[Study]) -> list[tuple[TrialSpec, int]]:
    """The first trial of each kind - one model, on one kind of data, trained in one way - and how many there are of it.

    Trials that several arms, analyses or studies share count once, as they are run.
    """
    studies = list(studies)
    for study in studies:
        _check_kinds(study)
    found: dict[str, tuple[TrialSpec, set[Rectangle]]] = {}
    for study in studies:
        for plain in (study, *(specification.study for specification in specifications(study))):
            rectangle = plain.seeds.data, plain.seeds.per_data
            for member in first_members(plain):
                found.setdefault(member.trial.hash, (member.trial, set()))[1].add(rectangle)
    return [(trial, _area(rectangles)) for trial, rectangles in found.values()]


def n_trials(study: Study) -> int:
    """How many trials `qmoe.studies.specifications.all_members` gives."""
    return sum(count for _, count in kinds_of_trials([study]))


def _check_kinds(study: Study) -> None:
    """Refuses a study whose arms, learning rates and analyses are too many to be listed."""
    alternatives = study.multiverse
    n_analyses = 1
    if alternatives is not None:
        n_analyses += math.prod(max(1, len(getattr(alternatives, choice))) for choice in CHOICES)
    n_rates = len(study.learning_rates) + (0 if alternatives is None else len(alternatives.lr_factors))
    n_arms = sum(len(arm.noise or (None,)) for arm in study.arms)
    if n_analyses * n_rates * n_arms > MAX_KINDS:
        raise ConfigError(
            f"{study.name}: {n_analyses} analyses of {n_arms} arms at {n_rates} learning rates are "
            f"{n_analyses * n_rates * n_arms:,} kinds of trials, and {MAX_KINDS:,} is the most; leave out some."
        )


def _area(rectangles: Iterable[Rectangle]) -> int:
    """Pairs in at least one of the rectangles, which all begin at (0, 0)."""
    area = least = 0
    for data, per_data in sorted(rectangles, reverse=True):  # fewer and fewer draws
        if per_data > least:
            area, least = area + data * (per_data - least), per_data
    return area
