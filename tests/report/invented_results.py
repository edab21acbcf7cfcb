"""Invented results of studies, and a study of a user, for tests of the report."""

import numpy as np

from qmoe.studies import Record, StudyResults, load_preset, make_trials
from qmoe.studies.store import Execution

EPOCHS = 3

OWN = {
    "name": "my.own-study",
    "title": "Circles, two routers",
    "phase": "own",
    "protocol": "heldout",
    "about": "A study of <a user> & friends.",
    "data": {"name": "circles", "options": {"n_samples": 60}, "scaling": "standard"},
    "seeds": {"data": 3, "per_data": 1},
    "training": {"epochs": EPOCHS},
    "arms": [
        {
            "name": "mine_1",
            "label": "mine & 100%",
            "model": {"router": {"kind": "linear"}, "experts": {"kind": "linear"}},
        },
        {
            "name": "noisy",
            "label": "noisy_router",
            "noise": [0.0, 0.3],
            "model": {"router": {"kind": "quantum", "n_qubits": 2, "n_layers": 1}, "experts": {"kind": "linear"}},
        },
    ],
}


def invented(name, mean, seeds=30, rates=False, spread=0.01):
    """A study with invented accuracies: ``mean(arm, strength, factor)``, the factor that of the learning rate."""
    study = load_preset(name).resized(seeds=seeds)
    if not rates:
        study = study.model_copy(update={"lr_factors": (), "multiverse": None})
    members = make_trials(study)
    generator = np.random.default_rng(1)
    common, records = {}, {}
    for m in members:
        factor = m.trial.training.lr / study.training.lr
        luck = common.setdefault((m.trial.data_seed, m.trial.init_seed), generator.normal(0, spread))
        score = float(mean(m.arm, m.strength, round(factor, 6)) + luck + generator.normal(0, spread / 2))
        metrics = {"test_accuracy": score, "train_accuracy": score, "loss": 1 / score, "parameters": 36.0}
        metrics["router_parameters"] = 24.0
        history = {"loss": [1.0] * study.training.epochs}
        records[m.trial.hash] = Record(m.trial, metrics, history, b"", Execution(1.0, 10, 1, "torch", "0", None))
    return StudyResults.of_records(study, tuple(members), records)
