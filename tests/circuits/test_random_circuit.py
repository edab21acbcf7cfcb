import math

import numpy as np
import pytest
import torch

from qmoe.circuits import GATES, AmplitudeEncoding, CustomAnsatz, Gate, NoiseModel, Weight
from qmoe.errors import ConfigError
from qmoe.testing import random_circuit, random_inputs

SEEDS = range(300)


def test_same_seed_gives_the_same_circuit() -> None:
    assert random_circuit(5) == random_circuit(5)
    assert random_circuit(np.random.default_rng(5)) == random_circuit(5)
    assert random_circuit(np.random.SeedSequence(5)) == random_circuit(5)
    assert random_circuit(5) != random_circuit(6)


def test_generator_runs_on() -> None:
    rng = np.random.default_rng(5)
    assert random_circuit(rng) != random_circuit(rng)


def test_draws_cover_every_part() -> None:
    circuits = [random_circuit(seed) for seed in SEEDS]
    angles = {circuit.encoding for circuit in circuits if not isinstance(circuit.encoding, AmplitudeEncoding)}
    assert {(encoding.rotation, encoding.uploads) for encoding in angles} == {(r, u) for r in "XYZ" for u in (1, 2, 3)}
    assert {c.in_features < c.dim for c in circuits if isinstance(c.encoding, AmplitudeEncoding)} == {True, False}
    assert {c.n_qubits for c in circuits} == {1, 2, 3, 4}
    assert {c.n_layers for c in circuits} == {0, 1, 2, 3}
    assert {c.readout.name for c in circuits} == {"expval", "born"}
    assert {c.noise and c.noise.placement for c in circuits} == {None, "block", "gate"}
    assert {c.noise and c.noise.dephasing for c in circuits} == {None, "none", "encoding", "layers", "all"}
    assert {c.ansatz.name for c in circuits} == {"strongly_entangling", "basic_entangler", "no_entangler", "custom"}
    lists = [c.ansatz.gates for c in circuits if isinstance(c.ansatz, CustomAnsatz)]
    assert {gate.name for gates in lists for gate in gates} == set(GATES)
    assert any(isinstance(angle, float) for gates in lists for gate in gates for angle in gate.angles)
    assert any(shares_a_weight(gates) for gates in lists)


def shares_a_weight(gates: tuple[Gate, ...]) -> bool:
    indices = [angle.index for gate in gates for angle in gate.angles if isinstance(angle, Weight)]
    return len(indices) > len(set(indices))


@pytest.mark.parametrize("seed", range(10))
def test_what_is_given_is_kept(seed: int) -> None:
    circuit = random_circuit(seed, n_qubits=5, encoding="amplitude", readout="born", noise="gate")
    assert (circuit.n_qubits, circuit.encoding.name, circuit.readout.name) == (5, "amplitude", "born")
    assert circuit.noise.placement == "gate"
    assert random_circuit(seed, noise=False).noise is None
    assert 0 < random_circuit(seed, noise=True).noise.depolarizing < 1
    assert random_circuit(seed, max_qubits=1).n_qubits == 1
    assert random_circuit(seed, noise=True, dephasing="layers").noise.dephasing == "layers"
    assert random_circuit(seed, noise=True, dephasing="none").noise.dephasing == "none"
    assert random_circuit(seed, noise=False, dephasing="all").noise == NoiseModel(dephasing="all")
    assert random_circuit(seed, noise=False, dephasing="none").noise is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "angles"}, "Unknown encoding 'angles'; did you mean 'angle'"),
        ({"readout": "borne"}, "Unknown read-out 'borne'; did you mean 'born'"),
        ({"noise": "gates"}, "Unknown noise placement 'gates'; did you mean 'gate'"),
        ({"dephasing": "layer"}, "Unknown dephasing 'layer'; did you mean 'layers'"),
        ({"max_qubits": 0}, "max_qubits is 0, expected at least 1"),
    ],
)
def test_wrong_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        random_circuit(1, **options)


@pytest.mark.parametrize("seed", range(20))
def test_inputs_fit_the_circuit_and_are_exact_in_float32(seed: int) -> None:
    circuit = random_circuit(seed)
    x, weights = random_inputs(circuit, seed, stack=(2,), batch=(3, 1))
    assert x.shape == (2, 3, 1, circuit.in_features)
    assert weights.shape == (2, *circuit.weight_shape)
    x32, weights32 = random_inputs(circuit, seed, stack=(2,), batch=(3, 1), dtype=torch.float32)
    assert torch.equal(x32.double(), x)
    assert torch.equal(weights32.double(), weights)
    if isinstance(circuit.encoding, AmplitudeEncoding):
        assert float(x.abs().min()) >= 0.5
    else:
        assert float(x.abs().max()) <= math.pi + 1e-6


def test_inputs_ask_for_gradients_when_told() -> None:
    circuit = random_circuit(1)
    assert all(t.requires_grad and t.is_leaf for t in random_inputs(circuit, 1, requires_grad=True))
    assert not any(t.requires_grad for t in random_inputs(circuit, 1))
