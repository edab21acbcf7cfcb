import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import qmoe
from qmoe.analysis import (
    centred,
    centred_alignment,
    fidelity_kernel,
    geometric_difference,
    kernel_target_alignment,
    target_kernel,
)
from qmoe.errors import ConfigError, ShapeError, UnsupportedError


def gram(n, d, seed):
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return rows @ rows.T


@pytest.mark.parametrize("encoding", [*(qmoe.AngleEncoding(r) for r in "XYZ"), qmoe.AmplitudeEncoding()])
def test_fidelities_are_pennylanes(encoding):
    qml = pytest.importorskip("pennylane")
    x = np.random.default_rng(0).uniform(-4, 4, (5, 2 if isinstance(encoding, qmoe.AngleEncoding) else 4))

    @qml.qnode(qml.device("default.qubit", wires=2))
    def state(row):
        if isinstance(encoding, qmoe.AmplitudeEncoding):
            qml.AmplitudeEmbedding(row, wires=range(2), normalize=True)
        else:
            if encoding.rotation == "Z":
                qml.Hadamard(0)
                qml.Hadamard(1)
            qml.AngleEmbedding(row, wires=range(2), rotation=encoding.rotation)
        return qml.state()

    states = np.array([state(row) for row in x])
    expected = np.abs(states.conj() @ states.T) ** 2
    assert fidelity_kernel(encoding, x) == pytest.approx(expected, abs=1e-12)
    assert fidelity_kernel(encoding, torch.tensor(x), x[:2]) == pytest.approx(expected[:, :2], abs=1e-12)


def test_closed_forms_by_hand():
    x = np.array([[0.0, 0.0], [math.pi / 2, math.pi / 3], [math.pi, 0.0]])
    found = fidelity_kernel("angle", x)
    assert found[0] == pytest.approx([1, 0.5 * 0.75, 0], abs=1e-15)
    assert np.diag(found) == pytest.approx(1)
    amplitude = fidelity_kernel("amplitude", np.array([[1.0, 0], [1, 1], [-3, 0], [0, 2]]))
    assert amplitude[0] == pytest.approx([1, 0.5, 1, 0])


def test_alignment_with_the_ideal_kernel_is_one():
    labels = np.array([0, 0, 1, 2, 2, 2, 1])
    ideal = target_kernel(labels)
    assert kernel_target_alignment(ideal, labels) == pytest.approx(1)
    assert kernel_target_alignment(7 * ideal + 3, labels) == pytest.approx(1)
    signs = np.where(labels == 1, 1.0, -1.0)
    assert kernel_target_alignment(np.outer(signs, signs), torch.tensor(labels == 1)) == pytest.approx(1)
    # Without centring, the constant would pass for agreement.
    assert kernel_target_alignment(np.eye(7), labels) < 0.7


def test_centring_is_that_of_the_features():
    rows = np.random.default_rng(1).normal(size=(6, 3)) + 5
    shifted = rows - rows.mean(axis=0)
    assert centred(rows @ rows.T) == pytest.approx(shifted @ shifted.T)
    expected = np.sum((shifted @ shifted.T) * centred(gram(6, 2, 2)))
    expected /= np.linalg.norm(shifted @ shifted.T) * np.linalg.norm(centred(gram(6, 2, 2)))
    assert centred_alignment(rows @ rows.T, gram(6, 2, 2)) == pytest.approx(expected)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.floats(0, 1e3), st.integers(2, 8))
def test_alignment_ignores_scale_constants_and_order(seed, scale, constant, n):
    one, other = gram(n, 3, seed), gram(n, 2, seed + 1)
    found = centred_alignment(one, other)
    assert -1e-12 <= found <= 1 + 1e-12
    assert centred_alignment(scale * one + constant, other) == pytest.approx(found, abs=1e-6)
    assert centred_alignment(other, one) == pytest.approx(found)
    order = np.random.default_rng(seed).permutation(n)
    assert centred_alignment(one[np.ix_(order, order)], other[np.ix_(order, order)]) == pytest.approx(found)


def test_geometric_difference_is_the_formula():
    k1, k2 = gram(6, 8, 0), gram(6, 9, 1)
    k1, k2 = 6 * k1 / np.trace(k1), 6 * k2 / np.trace(k2)

    def root(matrix):
        values, vectors = np.linalg.eigh(matrix)
        return vectors * np.sqrt(values) @ vectors.T

    plain = root(k2) @ np.linalg.inv(k1) @ root(k2)
    assert geometric_difference(k1, k2).value == pytest.approx(math.sqrt(np.linalg.norm(plain, 2)))
    # The largest row sum is another norm, and a common mistake.
    assert geometric_difference(k1, k2).value < 0.99 * math.sqrt(np.linalg.norm(plain, np.inf))
    lam = 0.1
    inverse = np.linalg.inv(k1 + lam * np.eye(6))
    value = root(k2) @ root(k1) @ inverse @ inverse @ root(k1) @ root(k2)
    error = root(k2) @ inverse @ inverse @ root(k2)
    found = geometric_difference(k1, k2, lam)
    assert found.value == pytest.approx(math.sqrt(np.linalg.norm(value, 2)))
    assert found.training_error == pytest.approx(lam * math.sqrt(np.linalg.norm(error, 2)))
    assert found.regularisation == lam


def test_known_limits_of_the_geometric_difference():
    k = gram(5, 7, 3)
    assert geometric_difference(k, k).value == pytest.approx(1)
    assert geometric_difference(k, 10 * k).value == pytest.approx(1)
    assert geometric_difference(k, k).training_error == 0
    lam, values = 0.3, np.linalg.eigvalsh(5 * k / np.trace(k))
    assert geometric_difference(k, k, lam).value == pytest.approx(np.max(values / (values + lam)))
    # Diagonal kernels: g^2 is the largest ratio of eigenvalues.
    one, two = np.diag([1.0, 1, 1, 1]), np.diag([2.5, 0.5, 0.5, 0.5])
    assert geometric_difference(one, two).value == pytest.approx(math.sqrt(2.5))
    assert geometric_difference(two, one).value == pytest.approx(math.sqrt(2))
    # The identity against one direction that has everything: sqrt(N).
    assert geometric_difference(np.eye(9), np.ones((9, 9))).value == pytest.approx(3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.floats(1e-2, 1e2), st.floats(0, 10))
def test_geometric_difference_ignores_scale_and_order_and_is_at_least_one(seed, scale, lam):
    k1, k2 = gram(5, 9, seed), gram(5, 9, seed + 1)
    found = geometric_difference(k1, k2, lam)
    order = np.random.default_rng(seed).permutation(5)
    ix = np.ix_(order, order)
    other = geometric_difference(scale * k1[ix], k2[ix] / scale, lam)
    assert (other.value, other.training_error) == pytest.approx((found.value, found.training_error), rel=1e-6)
    assert geometric_difference(k1, k2).value >= 1 - 1e-9
    assert found.value <= geometric_difference(k1, k2).value * (1 + 1e-9)


def test_refusals():
    k = gram(4, 6, 0)
    with pytest.raises(UnsupportedError, match="uploads=1"):
        fidelity_kernel(qmoe.AngleEncoding(uploads=2), np.zeros((2, 2)))
    with pytest.raises(ShapeError, match="Row 1 is all zeros"):
        fidelity_kernel("amplitude", np.array([[1.0, 0], [0, 0]]))
    with pytest.raises(ShapeError, match="one space"):
        fidelity_kernel("angle", np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ShapeError, match="finite"):
        fidelity_kernel("angle", np.full((2, 2), np.nan))
    with pytest.raises(ConfigError, match="constant"):
        kernel_target_alignment(k, [1, 1, 1, 1])
    with pytest.raises(ConfigError, match="'one' tells no two samples apart"):
        centred_alignment(np.ones((4, 4)), k)
    with pytest.raises(ShapeError, match="same rows"):
        centred_alignment(k, gram(3, 2, 0))
    with pytest.raises(ShapeError, match="symmetric"):
        centred(np.triu(np.ones((3, 3))))
    with pytest.raises(ShapeError, match=r"expected \(N,\)"):
        target_kernel(np.zeros((2, 2)))
    with pytest.raises(ConfigError, match="k1 is singular"):
        geometric_difference(gram(4, 2, 0), k)
    assert geometric_difference(gram(4, 2, 0), k, 1e-3).value > 1
    assert geometric_difference(k, gram(4, 2, 0)).value > 1
    with pytest.raises(ShapeError, match="k2 has the eigenvalue -"):
        geometric_difference(k, np.diag([1.0, 1, 1, -1]))
    with pytest.raises(ShapeError, match="trace"):
        geometric_difference(k, -k)
    with pytest.raises(ConfigError, match="regularisation"):
        geometric_difference(k, k, -1.0)
