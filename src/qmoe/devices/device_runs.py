"""Models trained without noise, and their accuracy with a device's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor, nn

from qmoe.engines.quantum_spec import QuantumSpec
from qmoe.errors import ConfigError, TrainingError, unknown
from qmoe.studies import Study
from qmoe.studies.assembly import build_model, prepare_data
from qmoe.studies.run.stack_run import run_stack
from qmoe.studies.specs.imported import ImportedRouterSpec
from qmoe.studies.trials import make_trials

#: Snapshots of 5 to 133 qubits, with CNOT, ECR and CZ, quiet ones and one that is not.
DEVICES = (
    "fake_manila",
    "fake_lima",
    "fake_rochester",
    "fake_jakarta",
    "fake_montreal",
    "fake_sherbrooke",
    "fake_brisbane",
    "fake_torino",
)
#: Models that train side by side between two steps of the progress.
_TOGETHER = 10


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model with the data that it has not seen.

    Attributes:
        model: the mixture.
        x: ``(T, F)`` held-out features, scaled.
        y: ``(T,)`` labels.
        data_seed: seed of the draw.
        init_seed: seed of the first weights.
    """

    model: nn.Module
    x: Tensor
    y: Tensor
    data_seed: int
    init_seed: int

    @torch.inference_mode()
    def accuracy(self, model: nn.Module | None = None) -> float:
        """The share of held-out rows that the model, or another in its place, labels rightly."""
        scores = (self.model if model is None else model)(self.x)
        return float((scores.argmax(-1) == self.y).double().mean())


def trained_models(
    study: Study, arm: str = "quantum", on_progress: Callable[[int, int], object] | None = None
) -> list[TrainedModel]:
    """Trains one arm of a study, one initialisation for each draw of its data.

    Args:
        study: which holds rows out.
        arm: name of the arm.
        on_progress: called with models done and their number.

    Raises:
        ConfigError: for an arm that the study does not have, one with noise, or a study without held-out rows.
        TrainingError: for a model whose training failed.

    Example:
        >>> from qmoe.devices import trained_models
        >>> from qmoe.studies import load_preset
        >>> study = load_preset("phase2-heldout").resized(2, True)
        >>> [model.data_seed for model in trained_models(study)]
        [0, 1]
    """
    arms = {one.name: one for one in study.arms}
    if arm not in arms:
        raise unknown(f"arm of {study.name}", arm, arms)
    if not study.data.holds_out:
        raise ConfigError(f"{study.name} holds no rows out; use its protocol with held-out data.")
    router = arms[arm].model.router
    if isinstance(router, QuantumSpec) and router.mixed:
        raise ConfigError(f"The arm {arm} has noise or dephasing of its own, and devices bring their own noise.")
    if not isinstance(router, QuantumSpec | ImportedRouterSpec):
        raise ConfigError(f"The arm {arm} has no quantum router, so there is no circuit to run on a device.")
    seeds = study.seeds.model_copy(update={"per_data": 1})
    alone = study.model_copy(update={"arms": (arms[arm],), "seeds": seeds, "noise": None})
    trials = [member.trial for member in make_trials(alone)]
    if len(trials) != seeds.data:
        raise ConfigError(f"The arm {arm} trains at several strengths of noise, and devices bring their own noise.")
    found: list[TrainedModel] = []
    for start in range(0, len(trials), _TOGETHER):
        for record in run_stack(tuple(trials[start : start + _TOGETHER])):
            if record.error is not None:
                raise TrainingError(f"{record.error}; use another learning rate.")
            model = build_model(record.trial)
            model.load_state_dict(safetensors.torch.load(record.state))
            data = prepare_data(record.trial.draw)
            dtype = next(model.parameters()).dtype
            seeds_of = record.trial.data_seed, record.trial.init_seed
            found.append(TrainedModel(model.eval(), data.x_test.to(dtype), data.y_test, *seeds_of))
        if on_progress is not None:
            on_progress(len(found), len(trials))
    return found
