import numpy as np
import pytest
from benchmarks.operations import GENERAL_GATE, RX_GATE, gemm_flops, gemm_step, step_flops
from benchmarks.sizes import Size


class Counted:
    """A real number that counts what is done with it; zeros are free, as in the formulas."""

    done = 0

    def __init__(self, zero=False):
        self.zero = zero

    def __mul__(self, other):
        if self.zero or other.zero:
            return Counted(zero=True)
        Counted.done += 1
        return Counted()

    def __add__(self, other):
        if self.zero or other.zero:
            return Counted(zero=self.zero and other.zero)
        Counted.done += 1
        return Counted()

    __sub__ = __add__


def complex_product(a, b):
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def gate_on_a_pair(matrix):
    """Operations of a 2x2 matrix of (real, imaginary) on a pair of complex amplitudes."""
    Counted.done = 0
    pair = [(Counted(), Counted()), (Counted(), Counted())]
    for row in matrix:
        one, two = (complex_product(entry, amplitude) for entry, amplitude in zip(row, pair, strict=True))
        _ = one[0] + two[0], one[1] + two[1]
    return Counted.done


def test_the_constants_count_what_the_gates_do():
    some, none = Counted(), Counted(zero=True)
    assert gate_on_a_pair([[(some, some)] * 2] * 2) == GENERAL_GATE
    real, imaginary = (some, none), (none, some)
    assert gate_on_a_pair([[real, imaginary], [imaginary, real]]) == RX_GATE


def test_a_step_by_hand():
    # One qubit, one layer, one sample: a single pair. 12 for RX, 28 forward, 2 x 28 + 24 backward, 9 x 2 for the read-out.
    assert step_flops(Size(1, 1, 1)) == 12 + 28 + 56 + 24 + 18


@pytest.mark.parametrize("field", ["n_batch", "n_models"])
def test_samples_and_models_count_alike(field):
    one = {"n_qubits": 4, "n_layers": 3, "n_batch": 1, "n_models": 1}
    assert step_flops(Size(**{**one, field: 7})) == 7 * step_flops(Size(**one))


def test_layers_add_the_same_each():
    one, two, three = (step_flops(Size(8, layers, 256)) for layers in (1, 2, 3))
    assert two - one == three - two == 256 * 8 * 128 * (3 * 28 + 24)


def test_the_matrix_product_has_the_operations_that_are_counted():
    product = gemm_step()()
    assert gemm_flops() == 2 * product.shape[0] * product.shape[1] * 1024
    assert np.isfinite(product.numpy()).all()
