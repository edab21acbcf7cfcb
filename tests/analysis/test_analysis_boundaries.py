import numpy as np
import pytest
import torch

import qmoe
from qmoe.analysis import make_grid, mean_boundary, off_a_line, probabilities
from qmoe.errors import ShapeError
from qmoe.seeding import torch_generator


def models(n, kind=qmoe.QuantumRouter):
    made = []
    for seed in range(n):
        generator = torch_generator(seed)
        router = kind(2, 2, generator=generator)
        made.append(qmoe.MixtureOfExperts(router, qmoe.LinearExperts(2, 2, 2, generator=generator)))
    return made


def test_grid_surrounds_the_points():
    grid = make_grid(np.array([[0.0, -1.0], [2.0, 3.0]]), n=5, margin=0.1)
    assert (grid.x[0], grid.x[-1]) == pytest.approx((-0.2, 2.2))
    assert (grid.y[0], grid.y[-1]) == pytest.approx((-1.4, 3.4))
    assert grid.points.shape == (25, 2)
    image = grid.image(grid.points[:, 1])
    assert np.array_equal(image[:, 0], grid.y)
    with pytest.raises(ShapeError, match="two features"):
        make_grid(np.zeros((4, 3)))


@pytest.mark.parametrize("kind", [qmoe.QuantumRouter, qmoe.LinearRouter])
def test_probabilities_are_those_of_each_model_alone(kind):
    made, x = models(3, kind), torch.rand(11, 2)
    found = probabilities(made, x)
    assert found.shape == (3, 11)
    alone = torch.stack([m(x).softmax(-1)[:, 1] for m in made]).detach().double().numpy()
    assert found == pytest.approx(alone, abs=1e-6)


def test_each_model_may_have_points_of_its_own():
    made, x = models(2), torch.rand(2, 7, 2)
    found = probabilities(made, x)
    assert found[1] == pytest.approx(probabilities(made[1:], x[1])[0], abs=1e-6)
    with pytest.raises(ShapeError, match="expected"):
        probabilities(made, torch.rand(3, 7, 2))


def test_mean_boundary_counts_the_models():
    found = mean_boundary(np.array([[0.9, 0.2, 0.6], [0.7, 0.4, 0.2]]))
    assert found.mean == pytest.approx([0.8, 0.3, 0.4])
    assert found.share.tolist() == [1.0, 0.0, 0.5]
    assert found.n == 2


def test_off_a_line_tells_straight_from_curved():
    grid = make_grid(np.array([[-1.0, -1.0], [1.0, 1.0]]), n=40)
    x, y = grid.points.T
    straight = (2 * x - y + 0.3 > 0).astype(float)
    circle = (x**2 + y**2 < 0.5).astype(float)
    shares = off_a_line(np.stack([straight, circle, np.ones_like(x)]), grid.points)
    assert shares[0] < 0.005
    assert shares[1] > 0.2
    assert shares[2] == 0.0
