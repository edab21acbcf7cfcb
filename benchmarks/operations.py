"""How many floating point operations a training step needs, by the book, and what the machine can do."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.sizes import Size

#: Edge of the square matrices whose product shows what the machine can do.
GEMM_EDGE = 1024

#: A complex 2x2 matrix times a pair of amplitudes: 4 complex products of 6 operations and 2 complex sums of 2.
GENERAL_GATE = 28
#: RX on a pair: cos and -i sin are real or imaginary, so 4 products of 2 operations and 2 sums of 2.
RX_GATE = 12
#: Im <lambda|P|psi> of a pair for P = X, Y and Z, which the three angles of a Rot are made of: for each, 2 products of 3
#: operations (one part of a complex product) and 2 sums.
ANGLE_GRADIENTS = 24


def step_flops(size: Size) -> int:
    """Real operations of forward and adjoint backward, gate by gate, for a pure state.

    With D = 2**Q amplitudes in D/2 pairs, for each sample:

    * encoding: Q gates RX, forward only, since no gradient of the features is asked for;
    * layers, forward: L Q general gates;
    * layers, backward: the same gates undone on psi and on lambda, and the gradient of their angles;
    * CNOT moves amplitudes and computes nothing;
    * read-out: D squared moduli (3 operations), Q signed sums by folding (2 D altogether), and lambda = (sum_q g_q Z_q) psi:
      the diagonal by folding (2 D) and a real times a complex number (2 D).

    An implementation that fuses gates or uses that the encoded state is a product needs fewer; this count does not change
    with it, so the rate made of it is of use to a reader, not of the processor.
    """
    pairs = size.dim // 2
    encoding = size.n_qubits * RX_GATE * pairs
    layers = size.n_layers * size.n_qubits * (3 * GENERAL_GATE + ANGLE_GRADIENTS) * pairs
    readout = (3 + 2 + 2 + 2) * size.dim
    return size.n_samples * (encoding + layers + readout)


def gemm_flops() -> int:
    """Operations of one `gemm_step`."""
    return 2 * GEMM_EDGE**3


def gemm_step() -> Callable[[], torch.Tensor]:
    """A float32 matrix product, to be timed in the rounds of the contenders."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(GEMM_EDGE, GEMM_EDGE, generator=generator) for _ in range(2))
    out = torch.empty_like(a)
    return lambda: torch.matmul(a, b, out=out)
