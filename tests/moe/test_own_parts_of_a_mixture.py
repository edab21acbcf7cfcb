"""Routers and experts of a user's own: what they return is compared with what they declare."""

from __future__ import annotations

import pytest
import torch

import qmoe
from qmoe.errors import ShapeError


class OwnRouter(qmoe.routers.SoftmaxRouter):
    """Returns weights of any shape."""

    def __init__(self, change):
        super().__init__(2, 3)
        self.change = change

    def logits(self, x):
        return self.change(x.new_zeros(*x.shape[:-1], 3))


class OwnExperts(qmoe.experts.Experts):
    """Returns outputs of any shape."""

    def __init__(self, change):
        super().__init__(2, 4, 3)
        self.change = change

    def forward(self, x):
        return self.change(x.new_zeros(*x.shape[:-1], 3, 4))


@pytest.mark.parametrize(
    ("change", "shape"),
    [
        (lambda out: out[0], r"\(3,\)"), (lambda out: out[..., :2], r"\(5, 2\)"), (lambda out: out[:1], r"\(1, 3\)"),
        (lambda out: out.unsqueeze(0), r"\(1, 5, 3\)"), (lambda out: out.mT, r"\(3, 5\)"),
    ],
    ids=["no batch", "experts", "one row", "more axes", "turned"],
)  # fmt: skip
def test_a_router_that_returns_other_weights_is_named(change, shape):
    moe = qmoe.MixtureOfExperts(OwnRouter(change), qmoe.LinearExperts(2, 4, 3))
    with pytest.raises(ShapeError, match=rf"OwnRouter returned shape {shape}, expected \(5, 3\) for n_experts=3"):
        moe(torch.rand(5, 2))


@pytest.mark.parametrize(
    ("change", "shape"),
    [
        (lambda out: out[..., :1], r"\(5, 3, 1\)"), (lambda out: out[:, 0], r"\(5, 4\)"),
        (lambda out: out[:1], r"\(1, 3, 4\)"), (lambda out: out.mT, r"\(5, 4, 3\)"),
    ],
    ids=["outputs", "one expert", "one row", "turned"],
)  # fmt: skip
def test_experts_that_return_other_outputs_are_named(change, shape):
    moe = qmoe.MixtureOfExperts(OwnRouter(lambda out: out), OwnExperts(change))
    with pytest.raises(ShapeError, match=rf"OwnExperts returned shape {shape}, expected \(5, 3, 4\).*out_features=4"):
        moe(torch.rand(5, 2))


def test_parts_that_keep_their_word_are_mixed():
    moe = qmoe.MixtureOfExperts(OwnRouter(lambda out: out), OwnExperts(lambda out: out + 1))
    assert torch.equal(moe(torch.rand(2, 5, 2)), torch.ones(2, 5, 4))
