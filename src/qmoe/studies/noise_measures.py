"""Accuracy of trained models under noise and few shots, by several protocols, kept in the store as it comes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import torch

from qmoe.analysis.robustness import NoiseSurface, noisy_accuracy
from qmoe.analysis.robustness.surface import shots_words
from qmoe.engines.mitigation import Extrapolation
from qmoe.seeding import torch_generator
from qmoe.statistics.bootstrap import MIN_CLUSTERS
from qmoe.studies.assembly import prepare_data
from qmoe.studies.boundary_measures import trained_model
from qmoe.studies.run.dispatch import results as results_of
from qmoe.studies.run.executors import InProcess
from qmoe.studies.specs.noise_protocols import NoiseSpec
from qmoe.studies.specs.study import Study
from qmoe.studies.store import Record, Store, StudyResults
from qmoe.studies.trials import NUMERICS, TrialSpec, shots_seed

#: Part of every hash; raised whenever a measurement would give other numbers than before.
VERSION = 1


def accuracy_under_noise(study: Study, protocol: str) -> str:
    """What accuracies of a study's models by one protocol are stored as; each has a name of arm, strength and shots."""
    return f"accuracy under noise on {study.name}, {protocol}"


@dataclass(frozen=True)
class NoiseCell:
    """One accuracy that is measured of all models of an arm.

    Attributes:
        arm: name of the arm.
        protocol: one of `qmoe.analysis.NOISE_PROTOCOLS`.
        strength: depolarizing probability.
        shots: number of shots; None for exact expectation values.
        key: names all that decides the figures.
    """

    arm: str
    protocol: str
    strength: float
    shots: int | None
    key: str

    @property
    def name(self) -> str:
        """What it is called in the store."""
        return f"{self.arm} at p = {self.strength:g}, {shots_words(self.shots)}"


def noisy_arms(study: Study) -> list[str]:
    """Names of the arms that `[noise]` measures."""
    return [arm.name for arm in study.arms if arm.noise is not None and 0.0 in arm.noise]


def noise_cells(results: StudyResults) -> list[NoiseCell]:
    """All that a study with `[noise]` asks to be measured, of the models that are finished."""
    study = results.study
    if study.noise is None:
        return []
    found = []
    for arm in noisy_arms(study):
        trials = _Trained.of(results, arm)
        for protocol in study.noise.protocols:
            for strength, used in trials.used(protocol).items():
                for shots in (*sorted(study.noise.shots), None):
                    key = _key(study.noise, protocol, strength, shots, used)
                    found.append(NoiseCell(arm, protocol, strength, shots, key))
    return found


def missing_noise(studies: Iterable[Study], store: Store) -> list[tuple[StudyResults, list[NoiseCell]]]:
    """Studies with what they ask to be measured under noise and the store does not have, where seeds are enough.

    A study that has not finished is left for the next time.
    """
    found = []
    for study in studies:
        if study.noise is None or study.seeds.data < MIN_CLUSTERS:
            continue
        results = store.load(study.name)
        if not results.n_missing:
            cells = [cell for cell in noise_cells(results) if not store.has_measurement(cell.key)]
            found += [(results, cells)] if cells else []
    return found


def measure_noise(
    results: StudyResults,
    cells: Sequence[NoiseCell],
    store: Store,
    executor: Executor | None = None,
    on_cell: Callable[[], None] | None = None,
) -> None:
    """Measures accuracies under noise on the held-out rows of each draw, and commits each as it comes.

    Args:
        results: the study.
        cells: what to measure.
        store: where to keep it.
        executor: what computes; by default this process.
        on_cell: called after each.
    """
    study = results.study
    assert study.noise is not None
    together: dict[tuple[str, str, float], list[NoiseCell]] = {}
    for cell in cells:
        together.setdefault((cell.arm, cell.protocol, cell.strength), []).append(cell)
    trained = {arm: _Trained.of(results, arm) for arm in {cell.arm for cell in cells}}
    records = {
        arm: results.reader.records({t.hash: t for used in each.by_strength.values() for t in used})
        for arm, each in trained.items()
    }
    tasks = [
        _NoiseTask(
            tuple(records[arm][trial.hash] for trial in trained[arm].used(protocol)[strength]),
            tuple(group),
            study.noise.scales,
            study.seeds.root,
        )
        for (arm, protocol, strength), group in together.items()
    ]
    for measured in results_of(executor or InProcess(), _measure, tasks):
        for cell, values in measured:
            store.save_measurement(cell.key, accuracy_under_noise(study, cell.protocol), cell.name, values)
            if on_cell is not None:
                on_cell()


def noise_surfaces(
    results: StudyResults, measurements: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[tuple[str, str], NoiseSurface]:
    """For each arm and protocol the surface of its accuracies, where all of it was measured.

    The models are in the order of `surface_trials`, and those of one draw of the data are one cluster.
    """
    cells: dict[tuple[str, str], list[NoiseCell]] = {}
    for cell in noise_cells(results):
        cells.setdefault((cell.arm, cell.protocol), []).append(cell)
    found = {}
    for (arm, protocol), members in cells.items():
        known = measurements.get(accuracy_under_noise(results.study, protocol), {})
        trials = surface_trials(results, arm)
        values = [known.get(cell.name, np.zeros(0)) for cell in members]
        if not trials or any(len(one) != len(trials) for one in values):
            continue
        strengths = tuple(dict.fromkeys(cell.strength for cell in members))
        shots = tuple(dict.fromkeys(cell.shots for cell in members))
        accuracy = np.array(values).T.reshape(len(trials), len(strengths), len(shots))
        found[arm, protocol] = NoiseSurface(protocol, strengths, shots, accuracy, [t.data_seed for t in trials])
    return found


def surface_trials(results: StudyResults, arm: str) -> tuple[TrialSpec, ...]:
    """The noise-free trials of an arm that its surfaces are of: of seeds that finished at every strength."""
    return _Trained.of(results, arm).by_strength[0.0]


@dataclass(frozen=True)
class _Trained:
    """The trials of an arm at the study's own learning rate, by strength, of seeds that finished at every one of them."""

    by_strength: Mapping[float, tuple[TrialSpec, ...]]

    @classmethod
    def of(cls, results: StudyResults, arm: str) -> _Trained:
        lr = results.study.training.lr
        found: dict[float, dict[tuple[int, int], TrialSpec]] = {}
        for member, done in zip(results.members, results.columns.done, strict=True):
            trial = member.trial
            if member.arm == arm and member.strength is not None and trial.training.lr == lr:
                at = found.setdefault(member.strength, {})
                if done:
                    at[trial.data_seed, trial.init_seed] = trial
        shared = sorted(set.intersection(*map(set, found.values())))
        return cls({strength: tuple(found[strength][seeds] for seeds in shared) for strength in sorted(found)})

    def used(self, protocol: str) -> dict[float, tuple[TrialSpec, ...]]:
        """For each strength the trials whose models a protocol takes."""
        clean = self.by_strength[0.0]
        return {p: trials if protocol == "retrained" else clean for p, trials in self.by_strength.items()}


def _key(noise: NoiseSpec, protocol: str, strength: float, shots: int | None, trials: Iterable[TrialSpec]) -> str:
    scales = noise.scales if protocol == "mitigated" else ()
    asked = f"{NUMERICS}:{VERSION}:{protocol}:{strength!r}:{shots}:{scales}"
    return hashlib.sha256(f"noise:{asked}:{','.join(t.hash for t in trials)}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _NoiseTask:
    """Cells of one strength, which differ in shots alone, with the trained models."""

    records: tuple[Record, ...]
    cells: tuple[NoiseCell, ...]
    scales: tuple[int, ...]
    root: int


def _measure(task: _NoiseTask) -> list[tuple[NoiseCell, list[float]]]:
    data = [prepare_data(record.trial.draw) for record in task.records]
    dtype = getattr(torch, task.records[0].trial.training.dtype)
    models = [trained_model(record) for record in task.records]
    x, y = torch.stack([d.x_test for d in data]).to(dtype), torch.stack([d.y_test for d in data])
    calibration = torch.stack([d.x_train for d in data]).to(dtype), torch.stack([d.y_train for d in data])
    found = []
    for cell in task.cells:
        accuracy = noisy_accuracy(
            models, x, y, cell.strength, cell.protocol, shots=cell.shots, calibration=calibration,
            extrapolation=Extrapolation(task.scales), generator=torch_generator(shots_seed(task.root, int(cell.key, 16))),
        )  # fmt: skip
        found.append((cell, accuracy.tolist()))
    return found
