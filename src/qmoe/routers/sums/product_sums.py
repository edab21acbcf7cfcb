"""Sums of products made ready for the kernels: which products there are, and calls on tensors."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.compiled.cache import declare, kernel
from qmoe.compiled.lanes import WIDTH, n_lanes
from qmoe.routers.functions.feature_blocks import MIN_FUNCTIONS, cover
from qmoe.routers.functions.products import Products
from qmoe.routers.sums.sum_layout import N_GIVEN, TILE, BlockRecord, SumCall, SumHeader
from qmoe.torch_internals import is_symbolic_zero

KERNELS = declare("qmoe.routers.sums.sum_kernels", ("sum_products", 2), ("differentiate_sums", 2))

#: Cells for each function, at most, and cells that never are too many.
_MAX_CELLS, _FEW_CELLS = 16, 4096
#: Blocks, at most: more are not looked for.
_MAX_BLOCKS = 256
#: Multiplications of a call up to which the kernels take it. What is larger is left to the matrix products of torch, which
#: share it among threads.
MAX_OPERATIONS = 5e7
#: Vectors of samples that the backward pass holds at once.
_MAX_GROUPS = 16
_CPU = torch.device("cpu")  # a user's default device may be another
#: Tensors of other classes may hold no values, or hold them elsewhere.
_KINDS, _DTYPES = (Tensor, nn.Parameter), (torch.float32, torch.float64)
_CallArray = ctypes.c_int64 * len(SumCall._fields)


class ProductSums:
    """``W (phi(x) - centre) / scale + b`` for the products phi, in compiled code.

    Args:
        products: the products; one variable for each feature.
        n_features: number of features F.
        chosen: the features of each block.
        home: ``(K,)`` the block of each product.
    """

    def __init__(self, products: Products, n_features: int, chosen: list[np.ndarray], home: np.ndarray) -> None:
        self._made_of = products, n_features, chosen, home
        self._n_functions, self._n_features = len(products), n_features
        side = 2 * products.top + 1
        self._cost = sum(side ** len(block) for block in chosen)

    @classmethod
    def of(cls, products: Products, n_features: int) -> ProductSums | None:
        """For these products; None where blocks do not suit them, or their variables are not the features."""
        if products.variables is not None:
            return None
        K = len(products)
        found = cover(products, max(_MAX_CELLS * K, _FEW_CELLS), _MAX_BLOCKS)
        return None if found is None else cls(products, n_features, *found)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._made_of  # without addresses

    def takes(self, x: Tensor, weight: Tensor, bias: Tensor, centre: Tensor, scale: Tensor) -> bool:
        """Whether these are tensors of one model, laid out as the kernels read them, and few enough."""
        n_functions, n_features = self._n_functions, self._n_features
        if bias.dim() != 1 or x.dim() == 0 or x.shape[-1] != n_features:
            return False
        n_outputs = bias.shape[0]
        if weight.shape != (n_outputs, n_functions) or not centre.shape == scale.shape == (n_functions,):
            return False
        if x.dtype not in _DTYPES or not 0 < x.numel() // n_features * n_outputs * self._cost <= MAX_OPERATIONS:
            return False
        own = weight, bias, centre, scale
        return _has_memory(x, x.dtype) and all(_has_memory(t, x.dtype) and t.is_contiguous() for t in own)

    def run(self, x: Tensor, weight: Tensor, bias: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E)`` sums; all tensors contiguous, on the CPU and of one dtype."""
        out = x.new_empty((*x.shape[:-1], bias.shape[0]))
        self._ready(x.element_size())(False, x, weight, bias, centre, scale, out, None, None, None, None)
        return out

    def differentiate(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        centre: Tensor,
        scale: Tensor,
        cotangent: Tensor,
        *,
        features: bool,
        weights: bool,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of x, weight and bias, those that are wanted, from those of the sums."""
        gx = torch.empty_like(x) if features else None
        gweight, gbias = (torch.empty_like(weight), torch.empty_like(bias)) if weights else (None, None)
        given = x, weight, bias, centre, scale, None, cotangent, gx, gweight, gbias
        self._ready(x.element_size())(True, *given)
        return gx, gweight, gbias

    def _ready(self, itemsize: int) -> _Ready:
        known: dict[int, _Ready] = self.__dict__.setdefault("_known", {})
        found = known.get(itemsize)
        if found is None:
            found = known[itemsize] = _Ready(*self._made_of, itemsize)
        return found


def _has_memory(tensor: Tensor, dtype: torch.dtype) -> bool:
    is_plain = type(tensor) in _KINDS and tensor.dtype == dtype and tensor.device.type == "cpu"
    return is_plain and not tensor.is_neg() and not is_symbolic_zero(tensor) and tensor.data_ptr() != 0


class _Ready:
    """Products as the kernels read them, for tensors of one precision."""

    def __init__(
        self, products: Products, n_features: int, chosen: list[np.ndarray], home: np.ndarray, itemsize: int
    ) -> None:
        side, is_single = 2 * products.top + 1, itemsize == 4
        # Few functions in double precision, since it costs nothing: a sum that takes up the centres of its functions loses
        # digits where these hardly vary.
        itemsize = 8 if len(products) < MIN_FUNCTIONS else itemsize
        lanes = n_lanes(itemsize)
        self._lanes, self._n_waves, self._n_angles = lanes, n_features * side, n_features * products.top
        self._n_functions = len(products)
        blocks, places, cells, first = [], np.zeros(len(products), dtype=np.int64), 0, 0
        for number, block in enumerate(chosen):
            n_left = len(block) // 2
            n_right = len(block) - n_left
            left, right = side**n_left, side**n_right
            stride = -(-right // lanes) * lanes
            steps = np.concatenate([stride * side ** np.arange(n_left)[::-1], side ** np.arange(n_right)[::-1]])
            own = np.flatnonzero(home == number)
            at = np.minimum(np.searchsorted(block, products.features[own]), len(block) - 1)
            places[own] = cells + (products.waves[own] * steps[at]).sum(1)
            blocks.append(BlockRecord(first, n_left, n_right, left, right, stride, cells))
            cells, first = cells + left * stride, first + len(block)
        cells += (TILE - 1) * max(block.stride for block in blocks)
        features = np.concatenate(chosen).astype(np.int64)
        records = np.array(blocks, dtype=np.int64)
        sizes = n_features, products.top, len(products), len(blocks), cells
        addresses = (a.ctypes.data for a in (places, records, features))
        header = np.array([*sizes, *addresses, is_single], dtype=np.int64)
        assert len(header) == len(SumHeader._fields)
        self._kept, self._header, self._cells = (places, records, features, header), header.ctypes.data, cells
        self._widest = max(block.left for block in blocks), max(block.right for block in blocks)
        halves = [block.n_left for block in blocks], [block.n_right for block in blocks]
        # Of all stages of a half: 1 + side + side^2 + ...
        self._stages = tuple(sum(side**i for i in range(max(n) + 1)) for n in halves)
        self._kernels = tuple(kernel(one, itemsize) for one in KERNELS)
        self._laid_out = functools.lru_cache(maxsize=256)(self._lay_out)

    def __call__(self, backward: bool, *tensors: Tensor | None) -> None:
        """Runs a kernel; ``tensors`` are those of `SumCall` in their order."""
        x, bias = tensors[0], tensors[2]
        assert x is not None
        assert bias is not None
        n_batch, n_outputs = x.numel() // x.shape[-1], bias.shape[0]
        chunk, offsets, size = self._laid_out(n_batch, n_outputs, backward)
        addresses = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
        scratch = torch.empty(size, dtype=torch.uint8, device=_CPU)
        start = scratch.data_ptr()
        call = _CallArray(n_batch, n_outputs, chunk, *addresses, *[start + offset for offset in offsets])
        self._kernels[backward](self._header, ctypes.addressof(call))

    def _lay_out(self, n_batch: int, n_outputs: int, backward: bool) -> tuple[int, tuple[int, ...], int]:
        """Samples of a chunk, where each section of the memory to work in begins, and its size."""
        n_groups = min(-(-n_batch // self._lanes), _MAX_GROUPS) if backward else 1
        chunk, (left, right), (n_left, n_right) = n_groups * self._lanes, self._widest, self._stages
        # In vectors; cells and their gradients are whole ones.
        cells = n_outputs * self._cells // self._lanes
        sections = [
            cells,
            -(-self._n_functions * 8 // WIDTH),
            3 * 8 * self._n_angles * self._lanes // WIDTH,
            self._n_waves * n_groups,
            n_left,
            n_right,
            max(left, right),
            n_outputs * n_groups,
        ]
        if backward:
            sections += [
                cells,
                left * n_groups,
                -(-right // self._lanes) * chunk,
                TILE * n_groups,
                self._n_waves * n_groups,
                n_left,
                n_right,
            ]
        offsets = np.concatenate([[0], np.cumsum(sections)]) * WIDTH
        missing = len(SumCall._fields) - N_GIVEN - len(sections)
        return chunk, (*offsets[:-1].tolist(), *[0] * missing), int(offsets[-1])
