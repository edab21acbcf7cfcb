import math

import numpy as np
import pytest
import torch

import qmoe
from qmoe.analysis import global_cost, gradient_scaling, gradient_variance, local_cost
from qmoe.circuits import CustomAnsatz
from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics import fit_log_slope

MANY = 8_000


def ry_product(n_qubits, readout, n_layers=1):
    gates = [qmoe.Gate("RY", (w,), (qmoe.Weight(w),)) for w in range(n_qubits)]
    return qmoe.Circuit(n_qubits, n_layers, ansatz=gates, readout=readout)


@pytest.mark.parametrize("n_qubits", [1, 2, 4])
def test_product_of_ry_has_the_closed_form(n_qubits):
    """Cerezo et al. 2021, warm-up example: 1/8 (3/8)^(Q-1) for the global cost, 1/(8 Q^2) for the local one."""
    all_at_once = gradient_variance(ry_product(n_qubits, "born"), n_draws=MANY)
    one_by_one = gradient_variance(ry_product(n_qubits, "expval"), n_draws=MANY)
    assert all_at_once.variance == pytest.approx(np.full((1, n_qubits), (3 / 8) ** (n_qubits - 1) / 8), rel=0.08)
    assert one_by_one.variance == pytest.approx(np.full((1, n_qubits), 1 / (8 * n_qubits**2)), rel=0.03)
    assert one_by_one.n_draws == MANY
    assert one_by_one.of(0, "RY") == pytest.approx(float(one_by_one.variance.mean()), rel=1e-12)
    assert one_by_one.mean == pytest.approx(float(one_by_one.variance.mean()))


def test_the_global_cost_falls_exponentially_and_the_local_one_does_not():
    sizes = range(2, 8)
    slopes = {}
    for readout in ("born", "expval"):
        found = gradient_scaling(lambda q, r=readout: ry_product(q, r), sizes, n_draws=4000)
        slopes[readout] = fit_log_slope(list(found), [v.of(0, "RY") for v in found.values()])
    assert slopes["born"].slope == pytest.approx(math.log(3 / 8), abs=0.1)
    assert slopes["born"].low < math.log(3 / 8) < slopes["born"].high
    assert slopes["born"].r_squared > 0.99
    # 1 / Q^2 is no exponential: a line through its logarithm is shallower than half of the other.
    assert -0.55 < slopes["expval"].slope < -0.3


def test_variance_by_block_of_a_product_of_rotations():
    """<Z> = cos t1 cos t2 - sin t1 sin t2 cos(w1 + p2), by hand; the local cost of one qubit is (1 - <Z>) / 2."""
    found = gradient_variance(qmoe.Circuit(1, 2, ansatz="no_entangler"), n_draws=MANY)
    expected = {(0, "phi"): 0, (0, "theta"): 3 / 8, (0, "omega"): 1 / 8, (1, "phi"): 1 / 8, (1, "theta"): 3 / 8,
                (1, "omega"): 0}  # fmt: skip
    assert [(b.layer, b.kind, b.n_weights) for b in found.blocks] == [(i, f"Rot.{k}", 1) for i, k in expected]
    for (layer, kind), value in expected.items():
        assert found.of(layer, f"Rot.{kind}") == pytest.approx(value / 4, rel=0.03, abs=1e-20)
    assert [b.dead for b in found.blocks] == [value == 0 for value in expected.values()]


def test_a_two_design_falls_as_two_to_the_minus_q():
    found = gradient_scaling(lambda q: qmoe.Circuit(q, 5 * q), [2, 3, 4, 5], lambda z: z[..., 0], n_draws=150)
    fit = fit_log_slope(list(found), [v.of(v.variance.shape[0] // 2, "Rot.theta") for v in found.values()])
    assert fit.slope == pytest.approx(-math.log(2), abs=0.3)
    assert fit.high < 0


def test_gradients_are_those_of_the_mean_over_inputs():
    circuit = ry_product(2, "expval")
    x = torch.tensor([[0.3, 1.0], [2.0, -0.5], [0.1, 0.2]])
    found = gradient_variance(circuit, x=x, n_draws=MANY)
    # <Z_i> = cos(x_i) cos(theta_i), so the inputs enter through their mean cosine.
    scale = x.double().cos().mean(0).square().numpy()
    assert found.variance[0] == pytest.approx(scale / 32, rel=0.03)


def test_costs():
    z = torch.tensor([[1.0, 1.0], [-1.0, 1.0]])
    assert local_cost(z).tolist() == [0.0, 0.5]
    assert global_cost(torch.tensor([[0.25, 0.75], [1.0, 0.0]])).tolist() == [0.75, 0.0]


def test_shared_weights_and_several_kinds():
    gates = [qmoe.Gate("RX", (0,), (qmoe.Weight(0),)), qmoe.Gate("RY", (1,), (qmoe.Weight(0),)),
             qmoe.Gate("CRZ", (0, 1), (qmoe.Weight(1),)), qmoe.Gate("RX", (1,), (0.3,)),
             qmoe.Gate("RX", (1,), (qmoe.Weight(2),))]  # fmt: skip
    found = gradient_variance(qmoe.Circuit(2, 2, ansatz=CustomAnsatz(tuple(gates))), n_draws=10)
    assert [(b.layer, b.kind) for b in found.blocks] == [(i, k) for i in (0, 1) for k in ("RX+RY", "CRZ", "RX")]
    assert found.of(1, "CRZ") == pytest.approx(found.variance[1, 1])


def test_seeds_decide_and_chunks_do_not(monkeypatch):
    circuit = qmoe.Circuit(2, 2)
    one = gradient_variance(circuit, n_draws=20, seed=1)
    monkeypatch.setattr("qmoe.analysis.plateaus._CHUNK", 8)
    assert gradient_variance(circuit, n_draws=20, seed=1).variance == pytest.approx(one.variance, rel=1e-12)
    assert gradient_variance(circuit, n_draws=20, seed=2).mean != pytest.approx(one.mean, rel=1e-3)


def test_log_slope_of_an_exact_line():
    fit = fit_log_slope([1, 2, 3, 5], np.exp(0.7 - 1.5 * np.array([1, 2, 3, 5])))
    assert (fit.slope, fit.low, fit.high, fit.intercept) == pytest.approx((-1.5, -1.5, -1.5, 0.7), abs=1e-7)
    flat = fit_log_slope([1, 2, 3], [0.5] * 3)
    assert (flat.slope, flat.low, flat.high, flat.intercept) == (0, 0, 0, math.log(0.5))


def test_interval_of_the_slope_is_students():
    sizes, logs = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, -1.2, -1.8, -3.0])
    fit = fit_log_slope(sizes, np.exp(logs), level=0.9)
    slope, intercept = np.polyfit(sizes, logs, 1)
    residual = np.square(logs - slope * sizes - intercept).sum() / 2
    reach = 2.91998558 * math.sqrt(residual / np.square(sizes - 2.5).sum())  # t(2) at 95%
    assert (fit.slope, fit.low, fit.high) == pytest.approx((slope, slope - reach, slope + reach))


def test_interval_of_the_slope_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    sizes = np.arange(2, 9)
    fits = [fit_log_slope(sizes, np.exp(-0.5 * sizes + rng.normal(size=7))) for _ in range(400)]
    assert 0.92 <= np.mean([f.low <= -0.5 <= f.high for f in fits]) <= 0.98


def test_refusals():
    with pytest.raises(ConfigError, match="at least 2 draws"):
        gradient_variance(qmoe.Circuit(2, 1), n_draws=1)
    with pytest.raises(ConfigError, match="has 0"):
        gradient_variance(qmoe.Circuit(2, 0))
    with pytest.raises(ConfigError, match="pass inputs"):
        gradient_variance(qmoe.Circuit(2, 1, encoding="amplitude"))
    with pytest.raises(ShapeError, match="one number a sample"):
        gradient_variance(qmoe.Circuit(2, 1), lambda z: z)
    with pytest.raises(ShapeError, match="at least 1"):
        gradient_variance(qmoe.Circuit(2, 1), x=torch.zeros(2))
    with pytest.raises(ConfigError, match=r"no block \(0, 'RX'\). Known: \(0, 'Rot.phi'\)"):
        gradient_variance(qmoe.Circuit(1, 1), n_draws=2).of(0, "RX")
    with pytest.raises(ConfigError, match="not dead"):
        fit_log_slope([1, 2, 3], [0.1, 0.0, 0.1])
    with pytest.raises(ShapeError, match="3 different"):
        fit_log_slope([1, 2, 2], [0.1] * 3)
    with pytest.raises(ConfigError, match="level"):
        fit_log_slope([1, 2, 3], [0.1] * 3, level=95)
