"""What errors flip, against matrices; the operators of channels, against the channels."""

import itertools
import math

import numpy as np
import pytest
import torch

from qmoe.circuits import GATES, AmplitudeDamping, Channel, Depolarizing, Gate, Kraus, PhaseDamping, ThermalRelaxation
from qmoe.circuits.noise.channels import pauli_words
from qmoe.engines.reference import gate_matrix
from qmoe.engines.trajectories.error_effects import Effects, letters_of
from qmoe.engines.trajectories.kraus_branches import operators_of


@pytest.mark.parametrize("name", sorted({name for name, (_, n_angles) in GATES.items() if n_angles == 0} - {"T"}))
def test_an_error_in_front_of_a_gate_is_another_behind_it(name: str) -> None:
    n_wires = GATES[name][0]
    wires = tuple(range(n_wires))
    effects = Effects(n_wires, 2 * n_wires)
    for wire in wires:  # notes the error that is there behind the gate
        effects.pass_frame(wire, 2 * wire, 2 * wire + 1)
    behind = {effects.of(letters_of(word, n_wires), wires): word for word in range(4**n_wires)}
    effects.pass_fixed(name, wires)
    matrix, words = gate_matrix(Gate(name, wires), torch.empty(0, dtype=torch.float64)).numpy(), pauli_words(n_wires)
    for word in range(4**n_wires):
        moved = matrix @ words[word] @ matrix.conj().T
        overlap = np.trace(words[behind[effects.of(letters_of(word, n_wires), wires)]] @ moved) / 2**n_wires
        assert abs(overlap) == pytest.approx(1)


@pytest.mark.parametrize("name", ["RX", "RY", "RZ", "IsingXX", "IsingYY", "IsingZZ"])
def test_an_error_in_front_of_a_rotation_flips_it_or_not(name: str) -> None:
    n_wires = GATES[name][0]
    letters, wires = name[-n_wires:], tuple(range(n_wires))
    effects = Effects(n_wires, 1)
    effects.pass_sign(letters, wires, 0)
    there, back = (
        gate_matrix(Gate(name, wires, (angle,)), torch.empty(0, dtype=torch.float64)).numpy() for angle in (0.7, -0.7)
    )
    for word, error in enumerate(pauli_words(n_wires)):
        behind = back if effects.of(letters_of(word, n_wires), wires) & 1 else there
        assert np.allclose(there @ error, error @ behind)


@pytest.mark.parametrize(
    "channel",
    [
        AmplitudeDamping(0.2),
        AmplitudeDamping(0.2, 0.5),
        ThermalRelaxation(50, 40, 5, 0.1),
        PhaseDamping(0.3),
        Depolarizing(0.2, 2),
        Kraus([np.kron(a, b) for a in AmplitudeDamping(0.1).kraus() for b in AmplitudeDamping(0.3, 0.2).kraus()]),
    ],
    ids=repr,
)
def test_operators_make_the_channel_and_the_first_is_likeliest(channel: Channel) -> None:
    operators, shares = operators_of(channel)
    words = pauli_words(channel.n_wires)
    images = np.einsum("k,kab,jbc,kdc->jad", shares, operators, words, operators.conj())
    transfer = np.einsum("iab,jba->ij", words, images).real / words.shape[-1]
    np.testing.assert_allclose(transfer, channel.transfer(), atol=1e-12)
    assert math.fsum(shares) == pytest.approx(1)
    assert all(a >= b for a, b in itertools.pairwise(shares))
    plain = (np.abs(channel.kraus()) ** 2).sum((1, 2)) / words.shape[-1]
    assert shares[0] >= plain.max() - 1e-12
    norms = (np.abs(operators) ** 2).sum((1, 2))
    np.testing.assert_allclose(norms, words.shape[-1])
