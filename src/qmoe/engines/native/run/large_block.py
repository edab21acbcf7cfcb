"""Large states: all threads work on one block of samples, stage by stage."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import torch
from torch import Tensor

from qmoe.compiled.threads import run_in_parts
from qmoe.engines.calling import PLACE
from qmoe.engines.native.kernels.names import kernel
from qmoe.engines.native.layout import N_PARTS
from qmoe.engines.native.plan.batch_plan import Plan
from qmoe.engines.native.run.calls import CPU, CallArray, Inputs, Prepared


class LargeBlock:
    """One block of one model whose state is large: all threads go through it stage by stage."""

    def __init__(self, plan: Plan, shape: Prepared, inputs: Inputs, model: int, block: int, scratch: Tensor) -> None:
        self._plan, self._model, self._block = plan, model, block
        samples, size = plan.layout.samples, shape.itemsize
        self._first = model * shape.n_batch + block * samples
        x_stack, x_batch, x_feature, w_stack = inputs.strides
        self._call = CallArray()
        self._call[PLACE.n_batch] = min(samples, shape.n_batch - block * samples)
        self._call[PLACE.x_batch], self._call[PLACE.x_feature] = x_batch, x_feature
        self._call[PLACE.x] = inputs.places[0] + (model * x_stack + block * samples * x_batch) * size
        self._call[PLACE.weights] = inputs.places[1] + model * w_stack * size
        self._scratch, self._itemsize = scratch, size
        header, parts = plan.layout.header.ctypes.data, plan.large_parts.ctypes.data
        self._addresses = header, parts, ctypes.addressof(self._call), scratch.data_ptr()

    @classmethod
    def all(cls, plan: Plan, shape: Prepared, inputs: Inputs) -> list[LargeBlock]:
        """The blocks of all models, which take turns with the same scratch memory."""
        scratch = torch.empty(int(plan.large_parts[-1]), dtype=torch.uint8, device=CPU)
        n_blocks = plan.layout.chunks(shape.n_batch)[0]
        return [cls(plan, shape, inputs, m, b, scratch) for m in range(shape.n_models) for b in range(n_blocks)]

    def _row(self, tensor: Tensor) -> int:
        """The address of the block's first row in a tensor ``(...S, ...B, n)``."""
        return tensor.data_ptr() + self._first * tensor.shape[-1] * tensor.element_size()

    def run(self, out: Tensor, states: Tensor | None) -> None:
        """Writes the block's read-outs to ``out``, and its final state to ``states``."""
        psi = out.new_empty(self._plan.state) if states is None else states[self._model, self._block]
        self._call[PLACE.out] = self._row(out)
        self._kernel("prepare_large")(psi.data_ptr())
        self._in_parts([*self._forward(psi), functools.partial(self._kernel("read_large"), psi.data_ptr())])
        if not self._plan.program.sizes.is_born:
            self._kernel("finish_large")()

    def differentiate(self, kept: Tensor | None, cotangent: Tensor, gx: Tensor | None, gw: Tensor) -> None:
        """Adds the block's gradients to ``gw`` and ``gx``; works in the memory of ``kept``."""
        program = self._plan.program
        lam = cotangent.new_empty(self._plan.state)
        if kept is None:
            psi = cotangent.new_empty(self._plan.state)
            self._kernel("prepare_large")(psi.data_ptr())
            self._in_parts(self._forward(psi))
        else:
            psi = kept[self._model, self._block]
            self._kernel("prepare_large")(0)
        self._call[PLACE.cotangent], self._call[PLACE.gx] = self._row(cotangent), 0 if gx is None else self._row(gx)
        self._call[PLACE.gw] = gw[self._model].data_ptr()
        both = psi.data_ptr(), lam.data_ptr()
        rows = program.backward if gx is not None else program.backward[: program.sizes.n_backward]
        undo = self._kernel("undo_large")
        stages = [functools.partial(undo, *both, row.ctypes.data) for row in rows]
        self._in_parts([functools.partial(self._kernel("seed_large"), *both), *stages])
        self._kernel("collect_large")(lam.data_ptr())

    def _kernel(self, name: str) -> Callable[..., None]:
        """A kernel on this block, a function of what stands behind the four addresses."""
        return functools.partial(kernel(name, self._itemsize), *self._addresses)

    def _forward(self, psi: Tensor) -> list[Callable[[int], None]]:
        advance, rows = self._kernel("advance_large"), self._plan.program.forward
        return [functools.partial(advance, psi.data_ptr(), row.ctypes.data) for row in rows]

    def _in_parts(self, stages: list[Callable[[int], None]]) -> None:
        run_in_parts(stages, N_PARTS, min(torch.get_num_threads(), N_PARTS))
