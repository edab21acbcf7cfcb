import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import qmoe
from qmoe.analysis import (
    Draws,
    ball_draws,
    effective_dimension,
    global_effective_dimension,
    initial_draws,
    local_effective_dimension,
    uniform_draws,
)
from qmoe.errors import ConfigError, ShapeError, StatisticalWarning

POINTS = torch.rand(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * math.pi


def router(generator):
    return qmoe.QuantumRouter(2, 2, generator=generator)


def random_fishers(n_draws, d, rank, seed=0):
    factors = np.random.default_rng(seed).normal(size=(n_draws, d, rank))
    return factors @ factors.swapaxes(1, 2)


def formula(fishers, n_data, gamma=1.0):
    """The definition, term by term, with determinants in place of eigenvalues."""
    d = fishers.shape[1]
    kappa = gamma * n_data / (2 * math.pi * math.log(n_data))
    normalised = d * fishers / np.trace(fishers, axis1=1, axis2=2).mean()
    volumes = [math.sqrt(np.linalg.det(np.eye(d) + kappa * one)) for one in normalised]
    return 2 * math.log(np.mean(volumes)) / math.log(kappa)


def test_it_is_the_formula():
    fishers = random_fishers(7, 5, 3)
    for n_data, gamma in ((50, 1.0), (1000, 0.3)):
        found = effective_dimension(fishers, n_data, gamma)
        assert found.value == pytest.approx(formula(fishers, n_data, gamma), rel=1e-12)
        assert found.kappa == gamma * n_data / (2 * math.pi * math.log(n_data))
    assert (found.n_parameters, found.n_draws, found.rank) == (5, 7, 3)
    assert found.ranks.tolist() == [3] * 7


def test_identity_has_all_dimensions_and_rank_r_has_r():
    d, r = 6, 2
    identity, projector = np.eye(d)[None].repeat(3, 0), np.diag([1.0] * r + [0.0] * (d - r))[None].repeat(3, 0)
    for n_data in (100, 10**6, 1e200):
        kappa = n_data / (2 * math.pi * math.log(n_data))
        flat, low = effective_dimension(identity, n_data), effective_dimension(projector, n_data)
        assert flat.value == pytest.approx(d * math.log1p(kappa) / math.log(kappa))
        assert flat.value == pytest.approx(flat.ceiling)
        assert low.value == pytest.approx(r * math.log1p(kappa * d / r) / math.log(kappa))
    assert flat.value == pytest.approx(d, abs=1e-9)
    assert low.value == pytest.approx(r, abs=0.02)
    assert (flat.rank, low.rank) == (d, r)
    assert (flat.participation_ratio, low.participation_ratio) == (pytest.approx(d), pytest.approx(r))
    assert low.spectrum == pytest.approx([d / r] * r + [0.0] * (d - r))
    assert flat.low == pytest.approx(flat.high)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6), st.integers(1, 6))
def test_scale_and_order_do_not_matter(seed, scale, d):
    rng = np.random.default_rng(seed)
    fishers = random_fishers(4, d, int(rng.integers(1, d + 1)), seed)
    order, draws = rng.permutation(d), rng.permutation(4)
    other = scale * fishers[draws][:, order][:, :, order]
    one, two = effective_dimension(fishers, 500), effective_dimension(other, 500)
    for name in ("value", "low", "high", "participation_ratio", "effective_draws"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), rel=1e-7)
    assert one.rank == two.rank


@pytest.mark.parametrize("n_dead", [1, 4, 20])
def test_dead_parameters_inflate_it_as_documented_and_leave_the_rank(n_dead):
    n_data = 1000
    fishers = random_fishers(9, 6, 4)
    padded = np.pad(fishers, ((0, 0), (0, n_dead), (0, n_dead)))
    live, inflated = effective_dimension(fishers, n_data), effective_dimension(padded, n_data)
    stretch, kappa = (6 + n_dead) / 6, live.kappa
    at_more_data = (
        2
        * math.log(
            np.mean(
                [math.sqrt(np.linalg.det(np.eye(6) + stretch * kappa * f)) for f in 6 * fishers / live_trace(fishers)]
            )
        )
        / math.log(stretch * kappa)
    )
    assert inflated.value == pytest.approx(at_more_data * math.log(stretch * kappa) / math.log(kappa))
    assert inflated.value > live.value
    assert inflated.value - live.value == pytest.approx(4 * math.log(stretch) / math.log(kappa), rel=0.1)
    assert inflated.rank == live.rank == 4
    assert inflated.participation_ratio == pytest.approx(live.participation_ratio)


def live_trace(fishers):
    return np.trace(fishers, axis1=1, axis2=2).mean()


class Padded(nn.Module):
    """A router with parameters that do nothing."""

    def __init__(self, inner, n_dead):
        super().__init__()
        self.inner, self.dead = inner, nn.Parameter(torch.zeros(n_dead))

    def forward(self, x):
        return self.inner(x) + 0 * self.dead.sum()


def test_rank_is_that_of_a_generic_draw():
    fishers = np.concatenate([random_fishers(3, 5, 1), random_fishers(2, 5, 4)])
    found = effective_dimension(fishers, 1000)
    assert found.ranks.tolist() == [1, 1, 1, 4, 4]
    assert found.rank == 4


def test_dead_parameters_of_a_model_inflate_it():
    def options(make):
        return global_effective_dimension(make, POINTS, 1000, n_draws=12, output="probabilities")

    plain, padded = options(router), options(lambda g: Padded(router(g), 24))
    assert (plain.n_parameters, padded.n_parameters) == (24, 48)
    assert plain.rank == padded.rank
    assert padded.value - plain.value > 0.5
    assert padded.participation_ratio == pytest.approx(plain.participation_ratio)


def test_the_papers_router_has_rank_9_of_24():
    found = global_effective_dimension(router, POINTS, 1000, n_draws=50)
    assert found.n_parameters == 24
    assert found.rank == 9
    assert np.count_nonzero(found.ranks == 9) > 40
    assert found.spectrum.sum() == pytest.approx(24)
    assert found.low < found.value < found.high
    assert found.value < 9


def test_a_linear_router_of_two_experts_has_the_rank_of_one_hyperplane():
    found = global_effective_dimension(lambda g: qmoe.LinearRouter(2, 2, generator=g), POINTS, 1000, n_draws=10)
    assert (found.n_parameters, found.rank) == (6, 3)


def test_wrapper_and_matrices_agree_and_the_seed_decides():
    from qmoe.analysis import fisher_matrices

    draws = initial_draws(router, 12, seed=3)
    one = effective_dimension(fisher_matrices(draws, POINTS), 400)
    for two in (global_effective_dimension(draws, POINTS, 400),
                global_effective_dimension(router, POINTS, 400, n_draws=12, seed=3)):  # fmt: skip
        assert (two.value, two.low, two.rank) == pytest.approx((one.value, one.low, one.rank), rel=1e-12)
    other = global_effective_dimension(router, POINTS, 400, n_draws=12, seed=4)
    assert other.value != pytest.approx(one.value, rel=1e-3)


def test_whole_mixtures_and_parts_of_parameters():
    def mixture(generator):
        experts = qmoe.LinearExperts(2, 2, 2, generator=generator)
        return qmoe.MixtureOfExperts(router(generator), experts)

    whole = global_effective_dimension(mixture, POINTS, 1000, n_draws=10)
    assert whole.n_parameters == 36
    # The router's 9 directions, and of the experts' 12 those that differ between the two classes.
    assert whole.rank == 9 + 6

    def frozen_router(generator):
        made = mixture(generator)
        made.router.requires_grad_(False)
        return made

    assert global_effective_dimension(frozen_router, POINTS, 1000, n_draws=10).n_parameters == 12


def test_local_is_around_the_models_own_parameters():
    model = router(torch.Generator().manual_seed(5))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    at_the_point = global_effective_dimension(ball_draws(model, 0.0, 2), POINTS, 500)
    near = local_effective_dimension(model, POINTS, 500, n_draws=20)
    far = local_effective_dimension(model, POINTS, 500, radius=3.0, n_draws=20)
    assert near.value == pytest.approx(at_the_point.value, abs=0.1)
    assert far.value != pytest.approx(at_the_point.value, abs=0.1)
    assert at_the_point.high - at_the_point.low == pytest.approx(0.0, abs=1e-9)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert near.n_draws == 20
    ball = ball_draws(model, 1 / math.sqrt(500), 20)
    same = global_effective_dimension(ball, POINTS, 500, gamma=0.7, level=0.8)
    options = local_effective_dimension(model, POINTS, 500, n_draws=20, gamma=0.7, level=0.8)
    assert (options.value, options.low) == (same.value, same.low)


def test_jackknife_is_that_of_leaving_each_draw_out():
    fishers = random_fishers(8, 4, 4, seed=2)
    found = effective_dimension(fishers, 300)
    without = np.array([formula(np.delete(fishers, m, 0), 300) for m in range(8)])
    error = math.sqrt(7 / 8 * np.square(without - without.mean()).sum())
    assert found.high - found.value == pytest.approx(2.3646242515 * error)  # t(7) at 97.5%
    assert found.value - found.low == pytest.approx(2.3646242515 * error)
    wide = effective_dimension(fishers, 300, level=0.99)
    assert wide.high > found.high


def test_jackknife_covers_as_often_as_it_says():
    reference = formula(random_fishers(40_000, 3, 3, seed=1), 300)
    hits = [
        found.low <= reference <= found.high
        for found in (effective_dimension(random_fishers(50, 3, 3, seed=s + 10), 300) for s in range(80))
    ]
    assert 0.87 <= np.mean(hits) <= 0.99


def test_one_draw_has_no_interval():
    with pytest.warns(StatisticalWarning, match="bounds are NaN"):
        found = effective_dimension(np.eye(3)[None], 100)
    assert math.isnan(found.low)
    assert found.effective_draws == pytest.approx(1)


def test_effective_draws_tell_of_one_that_dominates():
    fishers = np.eye(8)[None].repeat(10, 0)
    assert effective_dimension(fishers, 10**6).effective_draws == pytest.approx(10)
    fishers[0] *= 1000
    assert effective_dimension(fishers, 10**6).effective_draws < 1.1
    assert not effective_dimension(fishers, 10**6).enough
    assert effective_dimension(np.eye(2)[None].repeat(40, 0), 100).enough


@pytest.mark.parametrize(("n_data", "gamma", "need"), [(18, 1.0, 19), (2, 1.0, 19), (1, 1.0, 19), (40, 0.5, 49)])
def test_too_few_data_are_refused_with_how_many_it_takes(n_data, gamma, need):
    with pytest.raises(ConfigError, match=f"n_data of at least {need}\\."):
        effective_dimension(np.eye(2)[None].repeat(2, 0), n_data, gamma)
    assert effective_dimension(np.eye(2)[None].repeat(2, 0), need, gamma).kappa > 1
    with pytest.raises(ConfigError, match="at most 1"):
        effective_dimension(np.eye(2)[None].repeat(2, 0), need - 1, gamma)


def test_refusals():
    eye = np.eye(2)[None].repeat(3, 0)
    with pytest.raises(ShapeError, match="expected \\(M, d, d\\)"):
        effective_dimension(eye[0], 100)
    with pytest.raises(ShapeError, match="do not depend"):
        effective_dimension(0 * eye, 100)
    with pytest.raises(ShapeError, match="All but one"):
        effective_dimension(eye * np.array([1.0, 0, 0])[:, None, None], 100)
    with pytest.raises(ShapeError, match="eigenvalue -1"):
        effective_dimension(eye * np.diag([1.0, -1.0]), 100)
    with pytest.raises(ShapeError, match="not symmetric"):
        effective_dimension(eye + np.eye(2, k=1), 100)
    with pytest.raises(ShapeError, match="not finite"):
        effective_dimension(eye * np.nan, 100)
    for options in ({"gamma": 0.0}, {"gamma": 1.5}, {"level": 95}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            effective_dimension(eye, 100, **options)
    with pytest.raises(ConfigError, match="no trainable parameters"):
        global_effective_dimension(lambda g: qmoe.UniformRouter(2, 2), POINTS, 100)
    with pytest.raises(ConfigError, match="at least 19"):
        local_effective_dimension(router(None), POINTS, 5)


def test_draws_are_what_they_say():
    model = qmoe.QuantumRouter(2, 2, noise=0.1)
    box = uniform_draws(model, -1.0, 2.0, 200)
    values = torch.cat([v.flatten() for v in box.parameters.values()])
    assert isinstance(box, Draws)
    assert len(box) == 200
    assert -1.0 <= values.min() < -0.99
    assert 1.99 < values.max() <= 2.0
    assert float(values.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(box.constants["quantum.noise_strength"].unique()) == pytest.approx(0.1)
    centre = torch.cat([p.detach().flatten() for p in model.parameters()]).double()
    ball = ball_draws(model, 0.5, 400)
    moved = torch.cat([v.flatten(1) for v in ball.parameters.values()], 1) - centre
    distance = torch.linalg.vector_norm(moved, dim=1)
    assert distance.max() <= 0.5
    # The d-th power of the distance is uniform.
    assert float(((distance / 0.5) ** 24).mean()) == pytest.approx(0.5, abs=0.05)
    assert torch.linalg.vector_norm(moved.mean(0)) < 0.06
    for bad in ({"low": 1.0, "high": 1.0}, {"low": 0.0, "high": math.inf}):
        with pytest.raises(ConfigError, match="range"):
            uniform_draws(model, **bad)
    with pytest.raises(ConfigError, match="radius"):
        ball_draws(model, -1.0)
    with pytest.raises(ConfigError, match="n_draws"):
        initial_draws(router, 0)


def test_initial_draws_follow_the_models_own_distribution():
    draws = initial_draws(router, 300, seed=1)
    angles = draws.parameters["quantum.weights"]
    assert angles.dtype == torch.float64
    assert 0 <= angles.min() < 0.01
    assert 6.27 < angles.max() <= 2 * math.pi
    assert draws.parameters["adapter.weight"].abs().max() <= 1 / math.sqrt(2)
    few = initial_draws(router, 3, seed=1)
    assert torch.equal(few.parameters["quantum.weights"], angles[:3])
