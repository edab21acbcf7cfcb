import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

import qmoe
from qmoe.analysis import specialisation, utilisation
from qmoe.errors import ConfigError, ShapeError


def soft(n, n_experts, seed, temperature=1.0):
    rng = np.random.default_rng(seed)
    g = np.exp(temperature * rng.normal(size=(n, n_experts)))
    return g / g.sum(axis=1, keepdims=True)


def test_utilisation_at_its_limits():
    alike = utilisation(np.full((10, 4), 0.25))
    assert alike.entropy == pytest.approx(math.log(4))
    assert alike.effective_experts == pytest.approx(4)
    assert alike.sample_entropy == pytest.approx(math.log(4))
    assert alike.load == pytest.approx(0.25)
    collapsed = utilisation(np.eye(4)[[2] * 10])
    assert (collapsed.entropy, collapsed.effective_experts, collapsed.sample_entropy) == (0.0, 1.0, 0.0)
    assert collapsed.load.tolist() == collapsed.importance.tolist() == [0, 0, 1, 0]
    shared = utilisation(np.eye(4)[[0, 1] * 5])
    assert shared.effective_experts == pytest.approx(2)
    assert shared.sample_entropy == 0.0


def test_importance_and_load_by_hand():
    found = utilisation(torch.tensor([[0.6, 0.4], [0.7, 0.3], [0.1, 0.9], [0.5, 0.5]]))
    assert found.importance == pytest.approx([0.475, 0.525])
    assert found.load == pytest.approx([2.5 / 4, 1.5 / 4])


def test_uniform_routing_knows_nothing_and_a_perfect_split_everything():
    labels = np.repeat([0, 1, 2], [10, 20, 30])
    nothing = specialisation(np.full((60, 3), 1 / 3), labels)
    assert nothing.information == pytest.approx(0, abs=1e-12)
    assert nothing.corrected == pytest.approx(0, abs=1e-12)
    assert nothing.p_value == 1.0
    split = specialisation(np.eye(3)[labels], labels)
    entropy = -sum(p * math.log(p) for p in (1 / 6, 2 / 6, 3 / 6))
    assert split.class_entropy == pytest.approx(entropy)
    assert split.information == pytest.approx(entropy)
    assert split.corrected == pytest.approx(1)
    assert split.p_value == 1 / 1000
    # More experts than classes, each with one class, is as good.
    assert specialisation(np.eye(6)[labels + 3 * (np.arange(60) % 2)], labels).information == pytest.approx(entropy)


def test_hard_routing_is_scikit_learns_mutual_information():
    rng = np.random.default_rng(0)
    labels, experts = rng.integers(0, 3, 80), rng.integers(0, 4, 80)
    found = specialisation(np.eye(4)[experts], labels, n_permutations=4000)
    assert found.information == pytest.approx(mutual_info_score(labels, experts))
    # Theirs has the exact mean over permutations.
    theirs = adjusted_mutual_info_score(labels, experts, average_method="min")
    scale = found.class_entropy - found.chance
    assert found.class_entropy < -sum(p * math.log(p) for p in np.bincount(experts) / 80)
    assert (found.information - found.chance) / scale == pytest.approx(theirs, abs=0.002)


def test_soft_routing_by_hand():
    weights = np.array([[0.8, 0.2], [0.4, 0.6]])
    joint = weights.T / 2
    expected = sum(joint[e, c] * math.log(joint[e, c] / (joint[e].sum() * 0.5)) for e in (0, 1) for c in (0, 1))
    assert specialisation(weights, [0, 1]).information == pytest.approx(expected)
    assert specialisation(weights, [0, 1], hard=True).information == pytest.approx(math.log(2))


def test_labels_that_do_not_matter_are_corrected_to_zero_and_p_is_uniform():
    found = [
        specialisation(soft(40, 4, s, 3.0), np.random.default_rng(s + 500).integers(0, 3, 40), n_permutations=99)
        for s in range(150)
    ]
    assert np.mean([f.information for f in found]) > 0.015
    assert np.mean([f.corrected for f in found]) == pytest.approx(0, abs=0.004)
    assert 0.01 <= np.mean([f.p_value <= 0.05 for f in found]) <= 0.1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_bounds_and_names_do_not_matter(seed, n, n_experts, n_classes, hard):
    weights, labels = soft(n, n_experts, seed, 5.0), np.random.default_rng(seed).integers(0, n_classes, n)
    found = specialisation(weights, labels, hard=hard, n_permutations=9)
    assert 0 <= found.information <= min(found.class_entropy, math.log(n_experts)) + 1e-9
    assert found.corrected <= 1 + 1e-9
    assert 0.1 <= found.p_value <= 1
    other = specialisation(weights[:, ::-1], 7 - 3 * labels, hard=hard, n_permutations=9)
    assert other.information == pytest.approx(found.information, abs=1e-9)
    spread = utilisation(weights)
    assert 1 - 1e-9 <= spread.effective_experts <= n_experts + 1e-9
    assert spread.sample_entropy <= spread.entropy + 1e-9
    assert spread.load.sum() == pytest.approx(1)


def test_one_class_has_nothing_to_say():
    found = specialisation(soft(9, 3, 0), np.zeros(9))
    assert (found.information, found.class_entropy, found.corrected, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_seeds_decide_and_routers_fit():
    router = qmoe.QuantumRouter(2, 3, generator=torch.Generator().manual_seed(0))
    weights, labels = router(torch.rand(30, 2)), torch.arange(30) % 2
    one = specialisation(weights, labels, seed=1, n_permutations=50)
    assert one == specialisation(weights, labels, seed=1, n_permutations=50)
    assert one.chance != specialisation(weights, labels, seed=2, n_permutations=50).chance


def test_refusals():
    with pytest.raises(ShapeError, match="not its logits"):
        utilisation(np.array([[2.0, -1.0]]))
    with pytest.raises(ShapeError, match="no routing weights"):
        utilisation(np.array([[np.nan, 1.0]]))
    with pytest.raises(ShapeError, match=r"expected \(N, E\)"):
        utilisation(np.ones(3))
    with pytest.raises(ShapeError, match="one class for each row"):
        specialisation(soft(4, 2, 0), [0, 1])
    with pytest.raises(ConfigError, match="n_permutations"):
        specialisation(soft(4, 2, 0), [0, 1, 0, 1], n_permutations=0)
