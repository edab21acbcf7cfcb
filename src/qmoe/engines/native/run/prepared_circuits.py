"""Circuits made ready to run on tensors, with and without noise, forward and backward."""

from __future__ import annotations

import functools
from dataclasses import replace

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.compiled.cache import machine_code
from qmoe.compiled.lanes import WIDTH, n_lanes
from qmoe.engines.calling import CompiledCircuit
from qmoe.engines.memory import require_memory
from qmoe.engines.native.kernels.names import kernels_for
from qmoe.engines.native.plan.batch_plan import make_plan
from qmoe.engines.native.plan.pauli_program import make_noisy_program
from qmoe.engines.native.plan.scratch import Layout
from qmoe.engines.native.run.calls import Gradients, Inputs, Pass, Prepared, plain
from qmoe.engines.native.run.large_block import LargeBlock

#: Bytes of final states up to which they are kept for the backward pass, which otherwise runs forward again.
KEEP_BYTES = 1 << 28
#: Operations of a forward pass below which the backward pass runs it again sooner than it fetches what was kept.
KEEP_OPERATIONS = 5e4


class StateVectors(Prepared):
    """Circuits without noise."""

    def __init__(self, circuit: Circuit, stack: torch.Size, batch: torch.Size, itemsize: int) -> None:
        super().__init__(circuit, stack, batch, itemsize)
        require_memory(circuit, itemsize, 2, self.n_models * self.n_batch * circuit.n_outputs)
        self._plan = make_plan(circuit, self.n_batch, itemsize)
        self._n_blocks, _, self._n_chunks = self._plan.layout.chunks(self.n_batch)
        n_states = self.n_models * self._n_blocks
        self.keeps = n_states * self._plan.layout.cost >= KEEP_OPERATIONS
        self.keeps &= n_states * self._plan.state_bytes <= KEEP_BYTES
        if not self._plan.is_large:
            self._forward = Pass("evaluate", 1, self._plan.layout, self)
            self._backward = Pass("differentiate", 3, self._plan.layout, self)

    def compiled(self) -> CompiledCircuit | None:
        return None if self._plan.is_large else _compiled(self._plan.layout, self, self._plan.state_bytes)

    def run(self, inputs: Inputs, keep: bool) -> tuple[Tensor, Tensor | None]:
        out, states = inputs.x.new_empty(self.out_shape), None
        if keep and self.keeps:
            states = out.new_empty((self.n_models, self._n_blocks, *self._plan.state))
        if self._plan.is_large:
            for block in LargeBlock.all(self._plan, self, inputs):
                block.run(out, states)
        else:
            self._forward(inputs, out, states)
        return out, states

    def differentiate(self, inputs: Inputs, kept: Tensor | None, cotangent: Tensor, features: bool) -> Gradients:
        cotangent = plain(cotangent).contiguous()
        gx = cotangent.new_zeros((*self.stack, *self.batch, self.circuit.in_features)) if features else None
        if self._plan.is_large:
            gw = cotangent.new_zeros((self.n_models, self.circuit.n_weights))
            for block in LargeBlock.all(self._plan, self, inputs):
                block.differentiate(kept, cotangent, gx, gw)
            return gx, gw.view(inputs.shape), None
        gw = _partial(inputs, self.n_models, self._n_chunks)
        self._backward(inputs, None, kept, cotangent, gx, gw)
        return gx, _total(gw, inputs.shape), None


class PauliVectors(Prepared):
    """Circuits with noise."""

    def __init__(self, circuit: Circuit, stack: torch.Size, batch: torch.Size, itemsize: int) -> None:
        super().__init__(circuit, stack, batch, itemsize)
        assert circuit.noise is not None
        # Of any strength, which comes with the inputs.
        program = make_noisy_program(circuit.with_noise(replace(circuit.noise, depolarizing=0.0)))
        cost = circuit.dim**2 * WIDTH / 4 * (1.0 + program.cost)
        self._layout = layout = Layout(program.header, program.parts(itemsize), n_lanes(itemsize), cost, program)
        self._n_chunks = layout.chunks(self.n_batch)[2]
        self._forward = Pass("evaluate_noisy", 1, layout, self)
        self._backward = Pass("differentiate_noisy", 4, layout, self)

    def compiled(self) -> CompiledCircuit | None:
        return _compiled(self._layout, self, 0)

    def run(self, inputs: Inputs, keep: bool) -> tuple[Tensor, Tensor | None]:
        del keep
        out = inputs.x.new_empty(self.out_shape)
        self._forward(inputs, out)
        return out, None

    def differentiate(self, inputs: Inputs, kept: Tensor | None, cotangent: Tensor, features: bool) -> Gradients:
        del kept
        cotangent = plain(cotangent).contiguous()
        gx = cotangent.new_zeros((*self.stack, *self.batch, self.circuit.in_features)) if features else None
        gw = _partial(inputs, self.n_models, self._n_chunks)
        gs = cotangent.new_zeros((self.n_models, self._n_chunks))
        self._backward(inputs, None, None, cotangent, gx, gw, gs)
        return gx, _total(gw, inputs.shape), _total(gs, self.stack)


@functools.lru_cache(maxsize=1024)
def prepare(circuit: Circuit, stack: torch.Size, batch: torch.Size, itemsize: int) -> Prepared:
    """What runs ``circuit`` on a stack and batch of these shapes, in floats of ``itemsize`` bytes; made once."""
    return (StateVectors if circuit.noise is None else PauliVectors)(circuit, stack, batch, itemsize)


def _compiled(layout: Layout, shape: Prepared, state_bytes: int) -> CompiledCircuit:
    """The kernels on one model of ``shape``; ``state_bytes`` are those of the final state of a block."""
    n_blocks, chunk, n_chunks = layout.chunks(shape.n_batch)
    forward, backward = (
        machine_code(one, shape.itemsize) for one in kernels_for(noisy=shape.circuit.noise is not None)
    )
    return CompiledCircuit(
        forward=forward.address,
        backward=backward.address,
        header=layout.header.ctypes.data,
        parts=layout.parts.ctypes.data,
        n_chunks=n_chunks,
        chunk=chunk,
        scratch=int(layout.parts[-1]),
        states=n_blocks * state_bytes,
        cost=n_blocks * layout.cost,
        kept=(forward, backward, layout),
    )


def _partial(inputs: Inputs, n_models: int, n_chunks: int) -> Tensor:
    """Zeros for the weights' gradients: ``(M, chunks, P)``, or already as the weights are where there is one chunk."""
    weights = inputs.weights
    if n_chunks == 1:
        return weights.new_zeros(inputs.shape)
    return weights.new_zeros((n_models, n_chunks, weights.numel() // n_models))


def _total(partial: Tensor, shape: torch.Size) -> Tensor:
    """Sums over the chunks (axis 1), in their order."""
    if partial.numel() == shape.numel():
        return partial.view(shape)
    total = partial[:, 0]
    for i in range(1, partial.shape[1]):
        total = total + partial[:, i]
    return total.view(shape)
