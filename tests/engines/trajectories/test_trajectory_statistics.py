"""Means over trajectories are right on average, error bars say how far they are off, and both follow the theory."""

import math

import numpy as np
import pytest
import torch

from qmoe.circuits import (
    AmplitudeDamping,
    BitFlip,
    BitPhaseFlip,
    Circuit,
    Depolarizing,
    Kraus,
    NoiseModel,
    Pauli,
    PauliError,
    PhaseDamping,
    PhaseFlip,
    Probs,
    ReadoutConfusion,
    ReadoutError,
    ThermalRelaxation,
)
from qmoe.engines import TorchEngine, TrajectoryEngine
from qmoe.testing.random_circuits import random_inputs

# A turn about X by 0.3 with probability 0.1: no mixture of Pauli errors.
_TURN = np.sqrt(0.1) * np.array([[math.cos(0.15), -1j * math.sin(0.15)], [-1j * math.sin(0.15), math.cos(0.15)]])
_SOMETIMES = Kraus([np.sqrt(0.9) * np.eye(2), _TURN])
_PAIR = Kraus([np.kron(a, b) for a in AmplitudeDamping(0.05).kraus() for b in np.array(_SOMETIMES.kraus())])
_CONFUSED = ((0.9, 0.05, 0.03, 0.02), (0.1, 0.8, 0.05, 0.05), (0, 0.1, 0.9, 0), (0.2, 0, 0, 0.8))

#: One of every kind of channel.
NOISES = {
    "depolarizing after blocks": NoiseModel(0.1),
    "depolarizing after gates": NoiseModel(0.02, "gate"),
    "dephasing": NoiseModel(dephasing="all", dephasing_axis="Y"),
    "depolarizing pairs": NoiseModel(channels=[Depolarizing(0.03, n_wires=2).after("two_qubit_gate")]),
    "bit flips": NoiseModel(channels=[BitFlip(0.03).after("gate")]),
    "phase flips": NoiseModel(channels=[PhaseFlip(0.05).after("layer"), BitPhaseFlip(0.04).after("encoding")]),
    "Pauli errors": NoiseModel(channels=[PauliError((("XY", 0.03), ("ZI", 0.05))).after("two_qubit_gate")]),
    "phase damping": NoiseModel(channels=[PhaseDamping(0.1).after("gate", gates=["CNOT"])]),
    "amplitude damping": NoiseModel(
        channels=[AmplitudeDamping(0.05).after("layer"), AmplitudeDamping(0.03, 0.2).after("encoding")]
    ),
    "thermal relaxation": NoiseModel(0.01, channels=[ThermalRelaxation(50.0, 40.0, 1.0, 0.1).after("two_qubit_gate")]),
    "Kraus": NoiseModel(0.01, channels=[_SOMETIMES.after("encoding"), _PAIR.after("two_qubit_gate", wires=(0, 1))]),
    "read-out": NoiseModel(
        0.05, channels=[ReadoutError(0.05, 0.1).before_readout(), AmplitudeDamping(0.1).before_readout()]
    ),
    "read-out of pairs": NoiseModel(0.05, channels=[ReadoutConfusion(_CONFUSED).before_readout((0, 2))]),
}
N_SEEDS = 40


@pytest.mark.parametrize("name", NOISES)
def test_means_are_unbiased_and_error_bars_cover_them_at_six_qubits(name: str) -> None:
    circuit = Circuit(6, 2, noise=NOISES[name])
    x, weights = random_inputs(circuit, 1, batch=(3,), dtype=torch.float64)
    exact = TorchEngine().evaluate(circuit, x, weights)
    found = [TrajectoryEngine(150, seed).estimate(circuit, x, weights) for seed in range(2 * N_SEEDS)]
    means, errors = (torch.stack(list(part)) for part in zip(*found, strict=True))
    off = (means - exact) / errors
    assert (errors > 0).all()
    assert 0.92 < float((off.abs() < 1.96).double().mean()) < 0.98
    assert 0.85 < float(off.square().mean().sqrt()) < 1.2
    bias = (means.mean(0) - exact) / (means.std(0) / math.sqrt(2 * N_SEEDS))
    assert float(bias.abs().max()) < 4


@pytest.mark.parametrize("readout", ["born", [Pauli("X0 Y1"), Pauli("Z0 Z2"), Probs((2, 0))]])
def test_error_bars_cover_probabilities_and_words(readout: object) -> None:
    for name in ("depolarizing after gates", "amplitude damping", "read-out of pairs"):
        circuit = Circuit(4, 2, readout=readout, noise=NOISES[name])  # type: ignore[arg-type]
        x, weights = random_inputs(circuit, 1, batch=(3,), dtype=torch.float64)
        exact = TorchEngine().evaluate(circuit, x, weights)
        found = [TrajectoryEngine(200, seed).estimate(circuit, x, weights) for seed in range(3 * N_SEEDS)]
        means, errors = (torch.stack(list(part)) for part in zip(*found, strict=True))
        # Rare errors change a probability by much or by nothing: the fewer of them are drawn, the less a bar covers.
        assert 0.9 < float(((means - exact).abs() < 1.96 * errors).double().mean()) < 0.99
        bias = (means.mean(0) - exact) / (means.std(0) / math.sqrt(3 * N_SEEDS))
        assert float(bias.abs().max()) < 4


def test_error_falls_with_the_root_of_the_number_of_trajectories() -> None:
    circuit = Circuit(5, 3, noise=NoiseModel(0.1, "gate"))
    x, weights = random_inputs(circuit, 2, batch=(4,), dtype=torch.float64)
    exact = TorchEngine().evaluate(circuit, x, weights)
    counts = [50, 200, 800]
    off = [
        float(
            torch.stack(
                [TrajectoryEngine(n, seed).evaluate(circuit, x, weights) - exact for seed in range(N_SEEDS)]
            ).square().mean().sqrt()
        )
        for n in counts
    ]  # fmt: skip
    slope = np.polyfit(np.log(counts), np.log(off), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.05)


def test_listing_what_is_likely_makes_error_bars_smaller() -> None:
    # With few errors, almost all weight is on patterns that are listed: errors are a share of those of plain draws.
    circuit = Circuit(6, 2, noise=NoiseModel(0.001, "gate"))
    x, weights = random_inputs(circuit, 3, batch=(2,), dtype=torch.float64)
    n_places = sum(len(op.wires) for op in circuit.operations if type(op).__name__ == "Depolarize")
    one_or_more = 1 - (1 - 0.001) ** n_places
    found = TrajectoryEngine(50).estimate(circuit, x, weights)
    assert float(found.standard_error.max()) < one_or_more / math.sqrt(49)
    more = TrajectoryEngine(400).estimate(circuit, x, weights)  # lists single errors too
    assert float(more.standard_error.max()) < 0.1 * float(found.standard_error.max())


@pytest.mark.parametrize("name", ["depolarizing after gates", "amplitude damping"])
def test_gradients_of_weights_and_features_are_unbiased(name: str) -> None:
    circuit = Circuit(4, 2, noise=NOISES[name])
    x, weights = (t.requires_grad_() for t in random_inputs(circuit, 4, batch=(2,), dtype=torch.float64))

    def gradients(engine: TorchEngine | TrajectoryEngine) -> torch.Tensor:
        out = engine.evaluate(circuit, x, weights).sin().sum()
        return torch.cat([t.flatten() for t in torch.autograd.grad(out, (x, weights))])

    # The sine of a mean is not the mean of sines: enough trajectories make that part small beside the spread.
    found = torch.stack([gradients(TrajectoryEngine(400, seed)) for seed in range(N_SEEDS)])
    off = found.mean(0) - gradients(TorchEngine())
    assert (off.abs() < 4 * found.std(0) / math.sqrt(N_SEEDS) + 1e-9).all()


def test_gradient_of_the_strength_is_unbiased() -> None:
    circuit = Circuit(4, 2, noise=NoiseModel(0.0, "gate", channels=[AmplitudeDamping(0.05).after("encoding")]))
    x, weights = random_inputs(circuit, 5, batch=(3,), dtype=torch.float64)
    strength = torch.tensor(0.02, dtype=torch.float64, requires_grad=True)

    def gradient(engine: TorchEngine | TrajectoryEngine) -> torch.Tensor:
        return torch.autograd.grad(engine.evaluate(circuit, x, weights, strength).sum(), strength)[0]

    found = torch.stack([gradient(TrajectoryEngine(300, seed)) for seed in range(N_SEEDS)])
    exact = gradient(TorchEngine())
    assert abs(float(exact)) > 20 * float(found.std() / math.sqrt(N_SEEDS)), "nothing that could be missed"
    assert abs(float(found.mean() - exact)) < 4 * float(found.std() / math.sqrt(N_SEEDS))
