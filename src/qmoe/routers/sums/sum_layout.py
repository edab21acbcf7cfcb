"""How the kernels of sums are told what to compute, and where: arrays of 64-bit integers in the order of these records."""

from __future__ import annotations

from typing import NamedTuple


class SumHeader(NamedTuple):
    """Which products there are; the same for all calls.

    Attributes:
        n_features: number of features F.
        top: the highest frequency; a feature has ``2 top + 1`` waves.
        n_functions: number of products K.
        n_blocks: number of blocks.
        n_cells: numbers that the coefficients of all blocks take, for one output, with room for `TILE` rows at the end.
        places: address of the ``(K,)`` places of the products' coefficients among those.
        blocks: address of the blocks, each a `BlockRecord`.
        features: address of the features of the blocks, one block after the other.
        is_single: whether the tensors of a call hold float32, whatever the sums are computed in; else float64.
    """

    n_features: int
    top: int
    n_functions: int
    n_blocks: int
    n_cells: int
    places: int
    blocks: int
    features: int
    is_single: int


class BlockRecord(NamedTuple):
    """One block: all products of the waves of some features, the left half of them times the right one.

    Attributes:
        first: where its features begin.
        n_left: how many are in the left half.
        n_right: and in the right one, which follow.
        left: number of products of the left half.
        right: and of the right one.
        stride: numbers from one product of the left half to the next: ``right``, filled up to whole vectors.
        cells: where its coefficients begin.
    """

    first: int
    n_left: int
    n_right: int
    left: int
    right: int
    stride: int
    cells: int


class SumCall(NamedTuple):
    """The tensors of a call, all contiguous, and the memory to work in. Addresses are 0 for what is not there.

    Attributes:
        n_batch: number of samples B.
        n_outputs: number of outputs E.
        chunk: samples whose products are held at once in the backward pass, a multiple of the lanes.
        x: address of the features ``(B, F)``.
        weight: of the weights ``(E, K)``.
        bias: ``(E,)``.
        centre: ``(K,)``.
        scale: ``(K,)``.
        out: of the sums ``(B, E)``.
        cotangent: of their gradients.
        gx: of the gradients of the features, which are written.
        gweight: of those of the weights.
        gbias: of those of the biases.
        cells: of the coefficients of all blocks, for each output.
        inverses: of ``1 / scale``, doubles.
        angles: of angles, their cosines and their sines, doubles for one vector of samples.
        tables: of the waves of all features, vectors of samples; of a whole chunk in the backward pass.
        left: of the products of the first features, of the first two, ... of the left half.
        right: of those of the right half.
        mixed: of the sums over the products of one half, for each of the other.
        sums: of vectors for each output, of a whole chunk in the backward pass.
        gcells: of the gradients of the coefficients.
        lefts: of the products of the left half for all samples of a chunk.
        rights: of those of the right half, a vector for each sample.
        given: of the left half times the gradient of one output, `TILE` products side by side for each sample.
        gtables: of the gradients of the waves.
        gleft: of the gradients of ``left``.
        gright: of those of ``right``.
    """

    n_batch: int
    n_outputs: int
    chunk: int
    x: int
    weight: int
    bias: int
    centre: int
    scale: int
    out: int
    cotangent: int
    gx: int
    gweight: int
    gbias: int
    cells: int
    inverses: int
    angles: int
    tables: int
    left: int
    right: int
    mixed: int
    sums: int
    gcells: int
    lefts: int
    rights: int
    given: int
    gtables: int
    gleft: int
    gright: int


#: How many of these come before the memory to work in.
N_GIVEN = SumCall._fields.index("cells")
#: Products of a half that are handled side by side: their sums, of two registers each where vectors are two, fill most of 16
#: registers. A multiple of 3, as the number of products mostly is.
TILE = 6
