"""The three models of the page: a quantum router, its twin and a linear router, each with two linear experts."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qmoe.circuits import AngleEncoding, Circuit, Expval
from qmoe.circuits.ansatze import NoEntangler, StronglyEntangling
from qmoe.errors import ConfigError, TrainingError
from qmoe.experts import LinearExperts
from qmoe.explorer.explored_data import ExploredData
from qmoe.moe import MixtureOfExperts
from qmoe.routers import LinearRouter, QuantumRouter, Router, TwinRouter
from qmoe.seeding import Seed, child, torch_generator
from qmoe.training import TrainingConfig, train_stack

#: The most layers whose weights the page shows as sliders.
MAX_LAYERS = 6
LAYERS = range(1, MAX_LAYERS + 1)
#: As in the paper's notebooks.
TRAINING = TrainingConfig(epochs=50, batch_size=32, lr=0.1, evaluate="end")
#: Scaling that the models are trained with.
SCALING = "minmax_pi"
_ARMS = ("quantum", "twin", "linear")
#: Whatever the page's controls make of a circuit is among the functions of this one, so its twin can always follow.
_ALL_WAVES = Circuit(n_qubits=2, n_layers=3)


@dataclass(frozen=True, eq=False)
class ExploredArms:
    """Trained models, in float64.

    Attributes:
        models: a mixture of two linear experts each, by ``"quantum"``, ``"twin"`` and ``"linear"``.
        scaling: what their features were scaled by.
        is_given: whether the first of them is a user's own.
    """

    models: dict[str, MixtureOfExperts]
    scaling: str
    is_given: bool


def explored_arms(
    data: ExploredData, seed: int, model: nn.Module | None = None, scaling: str = SCALING
) -> ExploredArms:
    """Trains the models on the training part of the data.

    Args:
        data: the rows.
        seed: of first weights and of the order of the batches.
        model: a trained mixture with a quantum router to show in place of one trained here.
        scaling: what scales the features, also those that ``model`` takes.

    Raises:
        ConfigError: for a model that is not what the page simulates.
        TrainingError: for a training whose loss stopped being finite.
    """
    split = data.split
    x = torch.as_tensor(data.scalers[scaling](split.x_train))
    y = torch.as_tensor(split.y_train)
    quantum = None if model is None else _checked(model)
    made: dict[str, MixtureOfExperts] = {}
    for number, name in enumerate(_ARMS):
        generator = torch_generator(child(seed, 1 + number))
        if name == "quantum" and quantum is not None:
            made[name] = quantum
            continue
        if name == "quantum":
            router: Router = QuantumRouter(2, 2, n_qubits=2, n_layers=3, generator=generator, dtype=torch.float64)
        elif name == "twin":
            router = TwinRouter(_ALL_WAVES, 2, generator=generator, dtype=torch.float64).standardise(x)
        else:
            router = LinearRouter(2, 2, generator=generator, dtype=torch.float64)
        experts = LinearExperts(2, 2, n_experts=2, generator=generator, dtype=torch.float64)
        made[name] = _trained(MixtureOfExperts(router, experts), x, y, child(seed, 1 + number, 0))
    return ExploredArms({name: one.double().eval() for name, one in made.items()}, scaling, quantum is not None)


def _trained(model: MixtureOfExperts, x: Tensor, y: Tensor, seed: Seed) -> MixtureOfExperts:
    found = train_stack([model], x[None], y[None], TRAINING, [seed])
    if found.failures:
        raise TrainingError(f"The training of {type(model.router).__name__} failed: {found.failures[0]}.")
    return model


def _router(model: MixtureOfExperts) -> QuantumRouter:
    assert isinstance(model.router, QuantumRouter)
    return model.router


def _checked(model: nn.Module) -> MixtureOfExperts:
    """A copy of a user's model, if the page can simulate it."""
    obstacle = _obstacle(model)
    if obstacle:
        raise ConfigError(
            f"The page cannot show this model: {obstacle}. It simulates a MixtureOfExperts(QuantumRouter(2, 2, n_qubits=2), "
            "LinearExperts(2, 2, n_experts=2)) with angle encoding and the strongly entangling layers."
        )
    assert isinstance(model, MixtureOfExperts)
    copied = copy.deepcopy(model).double()
    _router(copied).shots = None
    return copied


def _obstacle(model: nn.Module) -> str:
    """Why the page cannot simulate a model; "" where it can."""
    if not isinstance(model, MixtureOfExperts) or not isinstance(model.router, QuantumRouter):
        return f"it is a {type(model).__name__} without a quantum router"
    router, experts = model.router, model.experts
    circuit = router.circuit
    encoding = circuit.encoding
    noise = circuit.noise
    plain = model.head is None and model.shared is None and model.gating is None and model.top_k in (None, 2)
    found = {
        f"its router takes {router.in_features} features": router.in_features == 2,
        f"it has {router.n_experts} experts": router.n_experts == 2,
        f"its circuit has {circuit.n_qubits} qubits": circuit.n_qubits == 2,
        "it encodes the features otherwise": isinstance(encoding, AngleEncoding) and encoding.uploads == 1,
        "its layers are others": type(circuit.ansatz) in (StronglyEntangling, NoEntangler),
        f"it has {circuit.n_layers} layers, and the page shows 1 to {MAX_LAYERS}": circuit.n_layers in LAYERS,
        "it measures something else than Z of both qubits": type(circuit.readout) is Expval and circuit.n_outputs == 2,
        "its noise has channels of its own": noise is None or not noise.channels,
        "its experts are not linear": type(experts) is LinearExperts,
        "its experts have other than two outputs": getattr(experts, "out_features", 0) == 2,
        "it has a head, shared experts, top-k or another gating": plain,
    }
    return next((words for words, holds in found.items() if not holds), "")
