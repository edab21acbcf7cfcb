import math

import numpy as np
import pytest
from scipy.special import expit

from qmoe.analysis import bayes_agreement, boundary_shape, connected_regions, make_grid
from qmoe.analysis.boundary_shape import _pieces
from qmoe.data import Checkerboard, Circles, Moons, Synthetic, Xor
from qmoe.errors import ConfigError, ShapeError

SQUARE = np.array([[-1.0, -1.0], [1.0, 1.0]])


def on_grid(*fields, n=80, corners=SQUARE, steepness=3.0):
    grid = make_grid(corners, n=n, margin=0.0)
    x, y = grid.points.T
    return expit(steepness * np.stack([field(x, y) for field in fields])), grid


def test_curvature_and_length_of_circles():
    radii = np.array([0.3, 0.5, 0.9])
    probability, grid = on_grid(*[lambda x, y, r=r: x**2 + y**2 - r**2 for r in radii])
    found = boundary_shape(probability, grid)
    assert found.length == pytest.approx(2 * np.pi * radii, rel=0.01)
    assert found.mean_curvature == pytest.approx(1 / radii, rel=0.01)
    assert found.total_curvature == pytest.approx(2 * np.pi, rel=0.01)


def test_it_does_not_depend_on_steepness_units_or_the_shape_of_the_cells():
    def circle(x, y):
        return np.hypot(x, y) - 0.5

    for steepness in (1.0, 20.0):
        probability, grid = on_grid(circle, steepness=steepness)
        assert boundary_shape(probability, grid).mean_curvature == pytest.approx(2, rel=0.01)
    probability, grid = on_grid(circle, corners=np.array([[-0.7, -2.0], [0.7, 2.0]]), n=120)
    assert boundary_shape(probability, grid).length == pytest.approx(np.pi, rel=0.01)
    assert boundary_shape(probability, grid).total_curvature == pytest.approx(2 * np.pi, rel=0.01)
    probability, grid = on_grid(lambda x, y: circle(x / 10, y / 10), corners=10 * SQUARE)
    assert boundary_shape(probability, grid).mean_curvature == pytest.approx(0.2, rel=0.01)


def test_straight_lines_have_no_curvature():
    probability, grid = on_grid(lambda x, y: x - 0.3, lambda x, y: 2 * x - y + 0.1, lambda x, y: 1 + 0 * x)
    found = boundary_shape(probability, grid)
    assert found.total_curvature == pytest.approx(0, abs=1e-6)
    # The second line runs from (-0.55, -1) to (0.45, 1).
    assert found.length == pytest.approx([2, math.sqrt(5), 0], rel=1e-9, abs=1e-12)
    assert found.mean_curvature[2] == 0


def test_errors_fall_with_the_square_of_the_spacing():
    def wave(x, y):
        return y - 0.4 * np.sin(3 * x)

    t = np.linspace(-1, 1, 200_001)
    slope, bend = 1.2 * np.cos(3 * t), 3.6 * np.sin(3 * t)
    exact = np.trapezoid(np.abs(bend) / (1 + slope**2), t)
    errors = []
    for n in (41, 161):
        probability, grid = on_grid(wave, n=n)
        errors.append(abs(boundary_shape(probability, grid).total_curvature[0] - exact))
    assert errors[0] < 0.03 * exact
    assert errors[1] < errors[0] / 6


def test_saddles_and_sure_models_give_finite_numbers():
    probability, grid = on_grid(lambda x, y: x * y, lambda x, y: 1000 * x, n=40)
    found = boundary_shape(probability, grid)
    assert found.length == pytest.approx([4, 2], rel=0.01)
    assert np.isfinite([found.length, found.total_curvature, found.mean_curvature]).all()


@pytest.mark.parametrize(("low", "apart"), [(-0.5, True), (-3.0, False)])
def test_a_saddle_keeps_the_corners_of_its_middle_together(low, apart):
    """Two corners are 1, two are ``low``: where the middle is positive, the low ones are cut off, each by one piece."""
    pieces = [
        frozenset(((round(float(u[0]), 9), round(float(v[0]), 9)) for u, v in ends))
        for models, _, _, ends in _pieces(np.array([[[1.0, low], [low, 1.0]]]))
        if len(models)
    ]
    t = round(1 / (1 - low), 9)
    low_right, top_left = frozenset({(t, 0.0), (1.0, round(1 - t, 9))}), frozenset({(0.0, t), (round(1 - t, 9), 1.0)})
    low_left, top_right = frozenset({(t, 0.0), (0.0, t)}), frozenset({(round(1 - t, 9), 1.0), (1.0, round(1 - t, 9))})
    assert set(pieces) == ({low_right, top_left} if apart else {low_left, top_right})
    assert len(pieces) == 2


def test_regions_are_counted():
    probability, grid = on_grid(
        lambda x, y: x + y, lambda x, y: np.hypot(x, y) - 0.5, lambda x, y: x * y, lambda x, y: 1 + 0 * x
    )
    assert connected_regions(grid.image(probability > 0.5)).tolist() == [2, 2, 4, 1]
    board = make_grid(np.array([[0.01, 0.01], [0.99, 0.99]]), n=40, margin=0.0)
    labels = Checkerboard(cells=4).posterior(board.points).argmax(axis=1)
    assert connected_regions(board.image(labels[None])).tolist() == [16]
    thirds = np.repeat([0, 1, 2, 0], 2)[None, :, None].repeat(5, 2)
    assert connected_regions(thirds).tolist() == [4]


def test_small_regions_may_be_left_out():
    labels = np.zeros((1, 6, 6), dtype=int)
    labels[0, 0, 0] = labels[0, 2:4, 2] = 1
    assert [int(connected_regions(labels, k)[0]) for k in (1, 2, 3)] == [3, 2, 1]


def test_agreement_with_the_best_rule():
    dataset = Xor(noise=0.5)
    points = dataset.sample(0).x
    truth = dataset.posterior(points).argmax(axis=1)
    always = np.zeros_like(truth)
    found = bayes_agreement(dataset, points, np.stack([truth, 1 - truth, always]))
    assert found.agreement.tolist() == [1.0, 0.0, pytest.approx((truth == 0).mean())]
    assert found.excess_error[0] == 0.0
    assert found.excess_error[1] == pytest.approx(1 - 2 * found.bayes_error)
    assert found.bayes_error == pytest.approx(dataset.bayes_error(), abs=0.02)
    rate = (1 - dataset.posterior(points)[:, 0]).mean()
    assert found.excess_error[2] == pytest.approx(rate - found.bayes_error)


def test_ties_agree_with_either_class():
    on_the_line = np.array([[0.0, 1.0], [0.0, -2.0]])
    found = bayes_agreement(Xor(), on_the_line, np.array([[0, 1], [1, 0]]))
    assert found.agreement.tolist() == [1.0, 1.0]
    assert found.excess_error == pytest.approx([0.0, 0.0])


def test_every_planar_truth_agrees_with_itself_and_others_are_unknown():
    for dataset in (Moons(), Circles(), Checkerboard()):
        points = dataset.sample(1).x[:50]
        labels = dataset.posterior(points).argmax(axis=1)[None]
        assert bayes_agreement(dataset, points, labels).agreement.tolist() == [1.0]
    unknown = Synthetic()
    points = unknown.sample(0).x[:5]
    assert bayes_agreement(unknown, points, np.zeros((1, 5), dtype=int)) is None


def test_refusals():
    probability, grid = on_grid(lambda x, y: x)
    with pytest.raises(ShapeError, match=r"expected \(M, 6400\)"):
        boundary_shape(probability[:, :-1], grid)
    with pytest.raises(ShapeError, match="3 by 3"):
        boundary_shape(np.ones((1, 4)), make_grid(SQUARE, n=2))
    with pytest.raises(ShapeError, match=r"Grid\.image"):
        connected_regions(probability > 0.5)
    with pytest.raises(ConfigError, match="min_nodes"):
        connected_regions(grid.image(probability > 0.5), 0)
    points = Moons().sample(0).x[:4]
    for bad in (np.zeros((1, 3), dtype=int), np.zeros((1, 4)), np.full((1, 4), 2)):
        with pytest.raises(ShapeError, match="predicted"):
            bayes_agreement(Moons(), points, bad)
