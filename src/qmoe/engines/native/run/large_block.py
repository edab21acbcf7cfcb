"""Large states: all threads work on one block of samples, stage by stage."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import torch
from torch import Tensor

from qmoe.compiled.lanes import WIDTH
from qmoe.compiled.threads import run_in_parts
from qmoe.engines import calling
from qmoe.engines.native import layout as at
from qmoe.engines.native.kernels.names import kernel
from qmoe.engines.native.plan.batch_plan import Plan
from qmoe.engines.native.run.calls import CPU, Call, Inputs, Simulation


class LargeBlock:
    """One block of one model whose state is large: all threads go through it stage by stage."""

    def __init__(self, plan: Plan, shape: Simulation, inputs: Inputs, model: int, block: int, scratch: Tensor) -> None:
        self._plan, self._model, self._block = plan, model, block
        samples, size = plan.layout.samples, shape.itemsize
        self._first = model * shape.n_batch + block * samples
        x_stack, x_batch, x_feature, w_stack = inputs.strides
        self._call = Call()
        self._call[at.N_HERE] = min(samples, shape.n_batch - block * samples)
        self._call[calling.X_BATCH], self._call[calling.X_FEATURE] = x_batch, x_feature
        self._call[calling.X] = inputs.places[0] + (model * x_stack + block * samples * x_batch) * size
        self._call[calling.WEIGHTS] = inputs.places[1] + model * w_stack * size
        self._parts, self._scratch = plan.large_parts, scratch
        self._head = (plan.layout.header.ctypes.data, scratch.data_ptr())
        self._kernel = functools.partial(kernel, itemsize=size)

    @classmethod
    def all(cls, plan: Plan, shape: Simulation, inputs: Inputs) -> list[LargeBlock]:
        """The blocks of all models, which take turns with the same scratch memory."""
        size = int(plan.large_parts[-1]) + (at.SIZE + at.N_PARTS * at.PART_SIZE) * WIDTH
        scratch = torch.empty(size, dtype=torch.uint8, device=CPU)
        n_blocks = plan.layout.chunks(shape.n_batch)[0]
        return [cls(plan, shape, inputs, m, b, scratch) for m in range(shape.n_models) for b in range(n_blocks)]

    def _row(self, tensor: Tensor) -> int:
        """The address of the block's first row in a tensor ``(...S, ...B, n)``."""
        return tensor.data_ptr() + self._first * tensor.shape[-1] * tensor.element_size()

    def run(self, out: Tensor, states: Tensor | None) -> None:
        """Writes the block's read-outs to ``out``, and its final state to ``states``."""
        psi = out.new_empty(self._plan.state) if states is None else states[self._model, self._block]
        self._call[calling.OUT] = self._row(out)
        call = ctypes.addressof(self._call)
        self._prepare(psi)
        self._in_parts(
            [*self._forward(psi), functools.partial(self._kernel("read_large"), *self._head, call, psi.data_ptr())],
        )
        if not self._plan.program.header[at.BORN]:
            self._kernel("finish_large")(*self._head, call)

    def differentiate(self, kept: Tensor | None, cotangent: Tensor, gx: Tensor | None, gw: Tensor) -> None:
        """Adds the block's gradients to ``gw`` and ``gx``; works in the memory of ``kept``."""
        program = self._plan.program
        lam = cotangent.new_empty(self._plan.state)
        if kept is None:
            psi = cotangent.new_empty(self._plan.state)
            self._prepare(psi)
            self._in_parts(self._forward(psi))
        else:
            psi = kept[self._model, self._block]
            self._prepare(None)
        self._call[calling.COTANGENT], self._call[calling.GX] = self._row(cotangent), 0 if gx is None else self._row(gx)
        self._call[calling.GW] = gw[self._model].data_ptr()
        call, both = ctypes.addressof(self._call), (psi.data_ptr(), lam.data_ptr())
        rows = [*program.backward, *(program.start if gx is not None else [])]
        self._in_parts(
            [
                functools.partial(self._kernel("seed_large"), *self._head, call, *both),
                *(functools.partial(self._kernel("undo_large"), *self._head, *both, row.ctypes.data) for row in rows),
            ]
        )
        self._kernel("collect_large")(*self._head, call, lam.data_ptr())

    def _prepare(self, psi: Tensor | None) -> None:
        places = (self._parts.ctypes.data, ctypes.addressof(self._call), self._scratch.data_ptr())
        self._kernel("prepare_large")(self._head[0], *places, 0 if psi is None else psi.data_ptr())

    def _forward(self, psi: Tensor) -> list[Callable[[int], None]]:
        return [
            functools.partial(self._kernel("advance_large"), *self._head, psi.data_ptr(), row.ctypes.data)
            for row in self._plan.program.forward
        ]

    def _in_parts(self, stages: list[Callable[[int], None]]) -> None:
        run_in_parts(stages, at.N_PARTS, min(torch.get_num_threads(), at.N_PARTS))
