"""Chebyshev polynomials of the features, and the gate on them."""

import math

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev

from qmoe import ConfigError, QMoEClassifier
from qmoe.routers import ChebyshevRouter
from qmoe.testing import RouterConformance

F64 = torch.float64


class TestChebyshevRouter(RouterConformance):
    def make_router(self, in_features, n_experts, dtype, generator):
        return ChebyshevRouter(in_features, n_experts, generator=generator, dtype=dtype)


class TestChebyshevRouterOfOneFeature(RouterConformance):
    in_features = 1

    def make_router(self, in_features, n_experts, dtype, generator):
        return ChebyshevRouter(in_features, n_experts, degree=5, low=-4.0, high=4.0, generator=generator, dtype=dtype)


def generator():
    return torch.Generator().manual_seed(0)


def test_functions_are_numpys_polynomials_and_their_products():
    router = ChebyshevRouter(2, 2, degree=3, low=-1.0, high=1.0, generator=generator(), dtype=F64)
    x = 2 * torch.rand(50, 2, generator=generator(), dtype=F64) - 1
    table = chebyshev.chebvander2d(x[:, 0].numpy(), x[:, 1].numpy(), [3, 3])
    np.testing.assert_allclose(router.features(x).numpy(), table[:, 1:], rtol=0, atol=1e-14)


def test_the_interval_is_mapped_onto_the_domain():
    router = ChebyshevRouter(1, 2, degree=3, generator=generator(), dtype=F64)
    u = torch.linspace(0, math.pi, 9, dtype=F64)
    x = (u.cos() + 1) * math.pi / 2  # T_k(cos u) = cos(k u)
    expected = torch.stack([(k * u).cos() for k in (1, 2, 3)], -1)
    torch.testing.assert_close(router.features(x[:, None]), expected, rtol=0, atol=1e-14)


def test_functions_are_orthogonal_on_the_nodes():
    router = ChebyshevRouter(2, 2, degree=2, generator=generator(), dtype=F64)
    nodes = (torch.cos((torch.arange(3, dtype=F64) + 0.5) * math.pi / 3) + 1) * math.pi / 2
    values = router.features(torch.cartesian_prod(nodes, nodes))
    gram = values.mT @ values / 9
    torch.testing.assert_close(gram, gram.diagonal().diag(), rtol=0, atol=1e-14)
    assert gram.diagonal().min() > 0.2
    torch.testing.assert_close(values.sum(0), torch.zeros(8, dtype=F64), rtol=0, atol=1e-14)


def test_outside_of_the_interval_the_same_polynomials_grow():
    router = ChebyshevRouter(1, 2, degree=3, low=-1.0, high=1.0, generator=generator(), dtype=F64)
    assert router.features(torch.tensor([[2.0]], dtype=F64)).tolist() == [[2.0, 7.0, 26.0]]


def test_another_interval_means_other_functions_of_the_same_shape():
    with pytest.raises(ConfigError, match=r"with interval=\(0, 3.14159\), this one has \(-1, 1\)"):
        ChebyshevRouter(2, 2, low=-1.0, high=1.0).load_state_dict(ChebyshevRouter(2, 2).state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degree": 0}, "degree is 0, expected an integer of at least 1"),
        ({"low": 1.0, "high": 1.0}, "expected an interval of finite length"),
        ({"high": math.inf}, "high is inf"),
        ({"degree": 16}, "4912 functions, more than 4096; lower the degree"),
    ],
)
def test_bad_options_are_refused_with_the_remedy(options, message):
    with pytest.raises(ConfigError, match=message):
        ChebyshevRouter(3, 2, **options)


def test_the_estimator_knows_it_by_name():
    rows = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    model = QMoEClassifier(router="chebyshev", epochs=20, random_state=0).fit(rows, rows[:, 0] * rows[:, 1] > 0)
    assert isinstance(model.module_.router, ChebyshevRouter)
    assert model.score(rows, rows[:, 0] * rows[:, 1] > 0) > 0.95
