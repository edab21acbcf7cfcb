"""Random circuits and inputs that cover everything a circuit can be."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import (
    ENCODINGS,
    GATES,
    READOUTS,
    AmplitudeEncoding,
    AngleEncoding,
    Ansatz,
    BasicEntangler,
    Circuit,
    CustomAnsatz,
    Encoding,
    Gate,
    NoEntangler,
    NoiseModel,
    StronglyEntangling,
    Weight,
)
from qmoe.circuits.angles.expressions import Angle
from qmoe.circuits.noise import DEPHASINGS, PLACEMENTS
from qmoe.errors import ConfigError, unknown

Random = int | np.random.SeedSequence | np.random.Generator

_ROTATIONS = ("X", "Y", "Z")
_MAX_LAYERS = 3


def random_circuit(
    seed: Random,
    *,
    n_qubits: int | None = None,
    max_qubits: int = 4,
    encoding: str | None = None,
    readout: str | None = None,
    noise: bool | str | None = None,
    dephasing: str | None = None,
    dephasing_axis: str = "Z",
) -> Circuit:
    """Draws a circuit: what is not given is drawn from everything there is.

    Encodings are angles (X, Y, Z, one to three uploads) and amplitudes (padded or not); ansatze are the named ones and
    lists of any `GATES` with shared weights and constant angles; layers are 0 to 3.

    Args:
        seed: a seed, or a generator to draw from. The same seed gives the same circuit.
        n_qubits: number of qubits; by default drawn from 1 to ``max_qubits``.
        max_qubits: the most qubits to draw.
        encoding: ``"angle"`` or ``"amplitude"``.
        readout: ``"expval"`` or ``"born"``.
        noise: depolarizing noise; False for none, ``"block"`` or ``"gate"`` for that placement, True for either.
        dephasing: that of `NoiseModel`; by default drawn for circuits with noise, and ``"none"`` for all others.
        dephasing_axis: that of `NoiseModel`, for circuits that are dephased.

    Raises:
        ConfigError: for an unknown name, or fewer than one qubit.

    Example:
        >>> from qmoe.testing import random_circuit
        >>> random_circuit(0, n_qubits=2).n_qubits
        2
    """
    rng = np.random.default_rng(seed)
    if n_qubits is None:
        if max_qubits < 1:
            raise ConfigError(f"max_qubits is {max_qubits}, expected at least 1.")
        n_qubits = int(rng.integers(1, max_qubits + 1))
    for kind, name, known in (("encoding", encoding, ENCODINGS), ("read-out", readout, READOUTS)):
        if name is not None and name not in known:
            raise unknown(kind, name, known)
    if isinstance(noise, str) and noise not in PLACEMENTS:
        raise unknown("noise placement", noise, PLACEMENTS)
    if dephasing is not None and dephasing not in DEPHASINGS:
        raise unknown("dephasing", dephasing, DEPHASINGS)
    n_layers = int(rng.integers(0, _MAX_LAYERS + 1))
    chosen = _encoding(rng, encoding or _pick(rng, ("angle", "angle", "amplitude")), n_layers)
    top = chosen.n_features(n_qubits)
    in_features = int(rng.integers(1, top + 1)) if isinstance(chosen, AmplitudeEncoding) else top
    return Circuit(
        n_qubits=n_qubits,
        n_layers=n_layers,
        encoding=chosen,
        ansatz=_ansatz(rng, n_qubits),
        readout=readout or _pick(rng, tuple(READOUTS)),
        noise=_noise(rng, noise, dephasing, dephasing_axis),
        in_features=in_features,
    )


def random_inputs(
    circuit: Circuit,
    seed: Random,
    *,
    stack: tuple[int, ...] = (),
    batch: tuple[int, ...] = (3,),
    dtype: torch.dtype = torch.float64,
    requires_grad: bool = False,
) -> tuple[Tensor, Tensor]:
    """Draws features ``(*stack, *batch, F)`` and weights ``(*stack, *circuit.weight_shape)`` for ``circuit``.

    Angles lie in [-pi, pi]. Amplitudes before normalisation have magnitudes from 0.5 to 1.5, since gradients grow as the
    norm falls. All values are exact in float32, so that float32 and float64 runs see the same numbers.

    Example:
        >>> from qmoe.testing import random_circuit, random_inputs
        >>> circuit = random_circuit(0, n_qubits=2)
        >>> x, weights = random_inputs(circuit, 1, batch=(5,))
        >>> x.shape[0]
        5
    """
    rng = np.random.default_rng(seed)
    shape = (*stack, *batch, circuit.in_features)
    if circuit.prepares:
        x = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
    else:
        x = rng.uniform(-math.pi, math.pi, shape)
    weights = rng.uniform(-math.pi, math.pi, (*stack, *circuit.weight_shape))
    tensors = [torch.tensor(values, dtype=torch.float32).to(dtype) for values in (x, weights)]
    return tensors[0].requires_grad_(requires_grad), tensors[1].requires_grad_(requires_grad)


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[rng.integers(len(options))]


def _encoding(rng: np.random.Generator, name: str, n_layers: int) -> Encoding:
    if name == "amplitude":
        return AmplitudeEncoding()
    return AngleEncoding(rotation=_pick(rng, _ROTATIONS), uploads=int(rng.integers(1, max(n_layers, 1) + 1)))


def _ansatz(rng: np.random.Generator, n_qubits: int) -> Ansatz:
    kind = rng.integers(5)
    if kind == 0:
        return StronglyEntangling()
    if kind == 1:
        return BasicEntangler(_pick(rng, _ROTATIONS))
    if kind == 2:
        return NoEntangler()
    return CustomAnsatz(_gates(rng, n_qubits))


def _gates(rng: np.random.Generator, n_qubits: int) -> tuple[Gate, ...]:
    names = sorted(name for name, (n_wires, _) in GATES.items() if n_wires <= n_qubits)
    gates: list[Gate] = []
    n_weights = 0
    for name in rng.choice(names, rng.integers(2, 4 + 2 * n_qubits)):
        n_wires, n_angles = GATES[name]
        angles: list[Angle] = []
        for _ in range(n_angles):
            fate = rng.random()
            if fate < 0.2:
                angles.append(float(rng.uniform(-math.pi, math.pi)))
            elif fate < 0.4 and n_weights:
                angles.append(Weight(int(rng.integers(n_weights))))
            else:
                angles.append(Weight(n_weights))
                n_weights += 1
        wires = tuple(int(wire) for wire in rng.permutation(n_qubits)[:n_wires])
        gates.append(Gate(str(name), wires, tuple(angles)))
    return tuple(gates)


def _noise(rng: np.random.Generator, noise: bool | str | None, dephasing: str | None, axis: str) -> NoiseModel | None:
    if noise is None:
        noise = ("", "block", "gate")[rng.integers(3)]
    elif noise is True:
        noise = _pick(rng, PLACEMENTS)
    if noise:
        p, where = float(rng.uniform(0, 0.3)), dephasing or _pick(rng, ("none", *DEPHASINGS))
        return NoiseModel(p, noise, where, "Z" if where == "none" else axis)
    return None if dephasing in (None, "none") else NoiseModel(dephasing=dephasing, dephasing_axis=axis)
