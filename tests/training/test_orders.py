"""Orders of rows against NumPy's generator, whose numbers they are."""

import numpy as np
import pytest

from qmoe import ConfigError
from qmoe.seeding import Seed, child
from qmoe.training.orders import Orders

SEEDS: list[Seed] = [0, 5, 2**40 + 1, 2**130, np.random.SeedSequence(3), child(7, 1, 2)]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 31, 32, 33, 400, 1_001])
def test_orders_are_those_that_numpy_draws(n: int) -> None:
    orders = Orders(SEEDS, n)
    # A half of a number that one epoch leaves over begins the next, across calls too.
    drawn = np.concatenate([orders.take(epochs) for epochs in (1, 3, 2)], axis=1)
    for own, seed in zip(drawn, SEEDS, strict=True):
        expected = np.random.default_rng(seed).permuted(np.broadcast_to(np.arange(n), (6, n)), axis=1)
        np.testing.assert_array_equal(own, expected)


def test_orders_stay_with_any_version_of_numpy() -> None:
    assert Orders([0], 8).take(2)[0].tolist() == [[2, 4, 3, 6, 5, 0, 1, 7], [6, 2, 7, 4, 5, 1, 0, 3]]


def test_every_order_is_equally_likely() -> None:
    drawn = Orders([11], 4).take(24_000)[0]
    _, counts = np.unique(drawn @ (10 ** np.arange(4)), return_counts=True)
    assert len(counts) == 24
    assert ((counts - 1_000.0) ** 2 / 1_000).sum() < 49.7  # chi squared with 23 degrees of freedom, one in a thousand


@pytest.mark.parametrize("seed", [-1, True, None, 1.5])
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(ConfigError, match="A seed is"):
        Orders([seed], 4)  # type: ignore[list-item]
