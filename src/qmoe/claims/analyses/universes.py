"""From the results of a study to those at every specification, as the judge takes them: of a multiverse, or of `[noise]`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from qmoe.claims.from_records import runs_of
from qmoe.claims.runs import ArmKey, StudyRuns, Universe
from qmoe.studies.noise_measures import noise_surfaces, surface_trials
from qmoe.studies.store import StudyResults

#: The choice that the protocols of `[noise]` are alternatives of.
NOISE_PROTOCOL = "noise_protocol"


def universes(
    results: StudyResults, measurements: Mapping[str, Mapping[str, np.ndarray]] | None = None
) -> tuple[Universe, ...]:
    """The results of a study at each of its specifications, its own first; none for a study with one alone.

    A specification of which no trial is finished is left out; one that is finished in part keeps what is missing as missing,
    so that the judge leaves it open. Of a study with `[noise]` each protocol is one, with exact expectation values, as far
    as it was measured; the study's own is the models that were trained at each strength.

    Args:
        results: the study with its store.
        measurements: what was measured beside its trials, as a store gives it.
    """
    if results.study.noise is not None:
        return _noise_universes(results, measurements or {})
    found = results.specifications
    return tuple(
        Universe(each.specification.choices, runs_of(each).selected(each.specification.select))
        for place, each in enumerate(found)
        if place == 0 or each.columns.done.any()
    )


def _noise_universes(
    results: StudyResults, measurements: Mapping[str, Mapping[str, np.ndarray]]
) -> tuple[Universe, ...]:
    own = runs_of(results).at(results.study.training.lr)
    by_protocol: dict[str, dict[ArmKey, np.ndarray]] = {}
    for (arm, protocol), surface in noise_surfaces(results, measurements).items():
        exact = surface.accuracy[:, :, surface.shots.index(None)]
        for place, strength in enumerate(surface.strengths):
            by_protocol.setdefault(protocol, {})[ArmKey(arm, strength)] = exact[:, place]
    others = [
        Universe({NOISE_PROTOCOL: protocol}, _measured(results, own, values))
        for protocol, values in by_protocol.items()
        if protocol != "retrained"
    ]
    return (Universe({NOISE_PROTOCOL: "retrained"}, own), *others)


def _measured(results: StudyResults, own: StudyRuns, values: Mapping[ArmKey, np.ndarray]) -> StudyRuns:
    """The study with the accuracies of trained models under noise in place of those at the end of training."""
    arms = dict(own.arms)
    for key, accuracy in values.items():
        clean, at = own.arms[ArmKey(key.name, 0.0)], {}
        for place, trial in enumerate(surface_trials(results, key.name)):
            at[trial.data_seed, trial.init_seed] = accuracy[place]
        seeds = zip(clean.data_seeds.tolist(), clean.init_seeds.tolist(), strict=True)
        found = np.array([at.get(pair, np.nan) for pair in seeds])
        kept = {name: clean.values[name] for name in ("chance",) if name in clean.values}
        arms[key] = dataclasses.replace(
            clean,
            strength=key.strength,
            values={"test_accuracy": found, **kept},
            done=clean.done & np.isfinite(found),
        )
    return dataclasses.replace(own, arms=arms)
