"""What qmoe computes at the settings of the page: the other side of every comparison."""

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

import qmoe
from qmoe.circuits import Circuit, Depolarizing, NoiseModel, Pauli, Readouts
from qmoe.engines import get_engine
from qmoe.errors import EncodingRangeWarning
from qmoe.explorer.explored_arms import ExploredArms
from qmoe.explorer.explored_data import ExploredData

MAX_SHOTS = 4096
LOG_FACTORIAL = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, MAX_SHOTS + 1)))])


def noise_of(settings: dict[str, Any]) -> NoiseModel:
    """The noise model of the page's settings."""
    dephasing = {"dephasing": settings["dephasing"]}
    if settings["dephasing"] != "none":
        dephasing["dephasing_axis"] = settings["dephasingAxis"]
    p, place = settings["strength"], settings["placement"]
    if place in ("block", "gate"):
        return NoiseModel(p, place, **dephasing)
    return NoiseModel(channels=[Depolarizing(p).after(place)], **dephasing)


def circuit_of(settings: dict[str, Any], n_layers: int, readout: Any = "expval") -> Circuit:
    """The circuit of the page's settings."""
    ansatz = "strongly_entangling" if settings["entangler"] else "no_entangler"
    encoding = qmoe.AngleEncoding(rotation=settings["axis"])
    return Circuit(2, n_layers, encoding, ansatz, readout, noise_of(settings))


def model_of(name: str, state: dict[str, Any], arms: ExploredArms) -> qmoe.MixtureOfExperts:
    """A mixture with the page's weights and settings."""
    given, settings = state["arms"][name], state["settings"]

    def tensor(part: str) -> Tensor:
        return torch.tensor(given[part], dtype=torch.float64)

    experts = qmoe.LinearExperts(2, 2, n_experts=2, dtype=torch.float64)
    values = {"weight": tensor("expertWeight"), "bias": tensor("expertBias")}
    experts.load_state_dict(values)
    if name == "quantum":
        circuit = circuit_of(settings, len(given["angles"]))
        router: Any = qmoe.QuantumRouter(2, 2, circuit=circuit, engine="torch", dtype=torch.float64)
        with torch.no_grad():
            router.quantum.weights.copy_(tensor("angles"))
            router.adapter.weight.copy_(tensor("adapter"))
            router.adapter.bias.copy_(tensor("bias"))
    elif name == "twin":
        router = qmoe.twin(arms.models["quantum"].router)
        router.load_state_dict({part: tensor(part) for part in ("weight", "bias", "centre", "scale")})
    else:
        router = qmoe.LinearRouter(2, 2, dtype=torch.float64)
        router.load_state_dict({"weight": tensor("weight"), "bias": tensor("bias")})
    return qmoe.MixtureOfExperts(router, experts)


def scaled(x: Any, state: dict[str, Any], data: ExploredData) -> Tensor:
    """Rows as the models get them."""
    settings = state["settings"]
    rows = data.scalers[settings["scaling"]](np.asarray(x, dtype=np.float64))
    return torch.as_tensor(rows) * settings["stretch"]


def exactly(model: qmoe.MixtureOfExperts, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Share of the second expert, and difference of both outputs, at each row."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", EncodingRangeWarning)
        out = model(x)
        return model.router(x)[:, 1].numpy(), (out[:, 1] - out[:, 0]).numpy()


def measured(model: Any, state: dict[str, Any], x: Tensor, stream: int, indices: Any) -> tuple[np.ndarray, np.ndarray]:
    """As `exactly`, of a quantum router with the page's shots."""
    settings, router = state["settings"], model.router
    shots, seed = settings["shots"], settings["shotSeed"]
    circuit = circuit_of(settings, len(state["arms"]["quantum"]["angles"]), qmoe.circuits.Probs((0, 1)))
    probabilities = evaluated(circuit, x, router.quantum.weights)
    reads = []
    for row, index in zip(probabilities, indices, strict=True):
        up = row[0] + row[1]
        zeros = binomial(shots, up, uniform(seed, stream, index, 0))
        both = binomial(zeros, row[0] / up if up else 0.0, uniform(seed, stream, index, 1))
        other = binomial(shots - zeros, row[2] / (1 - up) if up < 1 else 0.0, uniform(seed, stream, index, 2))
        reads.append([2 * zeros / shots - 1, 2 * (both + other) / shots - 1])
    with torch.no_grad():
        shares = router.adapter(torch.tensor(reads, dtype=torch.float64)).softmax(-1)
        out = (shares.unsqueeze(-1) * model.experts(x)).sum(-2)
    return shares[:, 1].numpy(), (out[:, 1] - out[:, 0]).numpy()


def bloch_of(state: dict[str, Any], x: Tensor) -> list[list[float]]:
    """The Bloch vectors of both qubits at one point, after the last layer."""
    angles = torch.tensor(state["arms"]["quantum"]["angles"], dtype=torch.float64)
    words = Readouts(tuple(Pauli(word) for word in ("X0", "Y0", "Z0", "X1", "Y1", "Z1")))
    found = evaluated(circuit_of(state["settings"], len(angles), words), x, angles)[0]
    return found.reshape(2, 3).tolist()


def evaluated(circuit: Circuit, x: Tensor, weights: Tensor) -> np.ndarray:
    """Read-outs of a circuit."""
    strength = None if circuit.noise is None else torch.tensor(circuit.noise.depolarizing, dtype=torch.float64)
    with torch.no_grad():
        return get_engine("torch").evaluate(circuit, x, weights.detach(), strength).numpy()


def trained(model: qmoe.MixtureOfExperts, x: Tensor, y: Tensor, steps: int, lr: float) -> qmoe.MixtureOfExperts:
    """The model after so many steps of Adam on all rows."""
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EncodingRangeWarning)
        for _ in range(steps):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
    return model


# --- the page's random numbers, written again -------------------------------------------------------------------------


def mixed(h: int) -> int:
    """A 32-bit number with its bits mixed."""
    h = (h ^ (h >> 16)) * 0x21F0AAAD & 0xFFFFFFFF
    h = (h ^ (h >> 15)) * 0x735A2D97 & 0xFFFFFFFF
    return h ^ (h >> 15)


def uniform(seed: int, stream: int, index: int, draw: int) -> float:
    """A number between 0 and 1."""
    h = mixed(mixed(mixed(seed + 1) ^ mixed(4 * stream + draw + 0x9E37)) + index & 0xFFFFFFFF)
    return (mixed(h) + 0.5) / 2**32


def binomial(n: int, p: float, u: float) -> int:
    """The outcome at which probabilities, added from the likeliest outcome outwards, pass u."""
    p = min(1.0, max(0.0, p))
    if n == 0 or p <= 0:
        return 0
    if p >= 1:
        return n
    k = np.arange(n + 1)
    chance = np.exp(
        LOG_FACTORIAL[n] - LOG_FACTORIAL[k] - LOG_FACTORIAL[n - k] + k * math.log(p) + (n - k) * math.log1p(-p)
    )
    mode = min(n, math.floor((n + 1) * p))
    order = np.lexsort((k < mode, np.abs(k - mode)))
    return int(order[int(np.searchsorted(np.cumsum(chance[order]), u, side="right"))])
