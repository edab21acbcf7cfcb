"""Kernels on tensors: how the work is split, and what memory it takes."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.native import large
from qmoe.engines.native.lanes import WIDTH, n_lanes
from qmoe.engines.native.noisy import differentiate_noisy, evaluate_noisy
from qmoe.engines.native.noisy_program import make_noisy_program
from qmoe.engines.native.program import BORN, Program, make_program
from qmoe.engines.native.pure import differentiate, evaluate
from qmoe.engines.native.threads import run_in_parts, run_shares

#: Blocks of lanes whose gradients are added up in one go. The sums must not depend on the number of threads, or on what
#: else is in the stack, so the split of a batch depends on the batch alone.
CHUNK = 8
#: Operations below which a second thread costs more than it saves (it takes some 50 us to start).
THREAD_OPERATIONS = 4e6
#: Share of the lanes up to which a batch is run sample by sample, with basis states in the lanes; and how many qubits there
#: must be beyond those.
FEW, MIN_HIGH_QUBITS = 0.5, 3

_ONES = {torch.float32: np.float32(1), torch.float64: np.float64(1)}

Gradients = tuple[Tensor | None, Tensor, Tensor | None]


class Simulation(ABC):
    """Runs one circuit on stacks: ``x`` ``(M, B, F)``, ``weights`` ``(M, P)``, ``strength`` ``(M,)`` or None."""

    @abstractmethod
    def run(self, x: Tensor, weights: Tensor, strength: Tensor | None, keep: bool) -> tuple[Tensor, Tensor | None]:
        """Read-outs ``(M, B, n_outputs)``, and the final states if ``keep`` and the backward pass can use them."""

    @abstractmethod
    def differentiate(
        self,
        x: Tensor,
        weights: Tensor,
        strength: Tensor | None,
        kept: Tensor | None,
        cotangent: Tensor,
        features: bool,
    ) -> Gradients:
        """Gradients with respect to ``x`` (if ``features``), ``weights`` and ``strength``; ``kept`` is used up."""


class _Split:
    """One call: shapes and strides for the kernel, scratch memory, and threads."""

    def __init__(self, samples_a_block: int, parts: np.ndarray, x: Tensor, weights: Tensor, cost: float) -> None:
        n_models, n_batch, _ = x.shape
        self.n_blocks = -(-n_batch // samples_a_block)
        chunk = min(CHUNK, self.n_blocks)
        self.n_chunks = -(-self.n_blocks // chunk)
        self.n_items = n_models * self.n_chunks
        self._shape = (self.n_chunks, chunk, n_batch, *x.stride(), weights.stride(0))
        n_threads = min(torch.get_num_threads(), self.n_items)
        if n_models * self.n_blocks * cost < THREAD_OPERATIONS:
            n_threads = 1
        self._scratch = torch.empty(n_threads, int(parts[-1]), dtype=torch.uint8)

    def run(self, call: Callable[[tuple[int, ...], int], None]) -> None:
        """Calls ``call(shape, scratch address)`` for each share of the items, each in a thread of its own."""
        n = len(self._scratch)
        first, stride = self._scratch.data_ptr(), self._scratch.stride(0)
        if n == 1:
            call((0, self.n_items, *self._shape), first)
            return
        ends = [self.n_items * i // n for i in range(n + 1)]
        shares = [((ends[i], ends[i + 1], *self._shape), first + i * stride) for i in range(n)]
        run_shares([functools.partial(call, *share) for share in shares])


@dataclass(frozen=True)
class _Plan:
    """How one size of batch is run.

    Attributes:
        program: what the kernels read.
        parts: layout of the scratch memory of small states.
        samples: samples a block.
        state: shape of the state of a block.
        cost: operations of one block, roughly.
    """

    program: Program
    parts: np.ndarray
    samples: int
    state: tuple[int, int, int]
    cost: float

    @property
    def is_large(self) -> bool:
        return self.program.n_vectors >= large.MIN_VECTORS


@functools.lru_cache(maxsize=1024)
def _plan(circuit: Circuit, n_batch: int, itemsize: int) -> _Plan:
    lanes = n_lanes(itemsize)
    bits = lanes.bit_length() - 1
    few = n_batch <= lanes * FEW and circuit.n_qubits >= bits + MIN_HIGH_QUBITS
    program = make_program(circuit, bits if few else 0)
    cost = program.n_vectors * lanes * 6.0 * (1 + len(program.sources) + program.n_tables)
    return _Plan(program, program.parts(itemsize), 1 if few else lanes, (program.n_vectors, 2, lanes), cost)


class StateVectors(Simulation):
    """Circuits without noise."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit

    def run(self, x: Tensor, weights: Tensor, strength: Tensor | None, keep: bool) -> tuple[Tensor, Tensor | None]:
        del strength
        weights = _rows(weights)
        plan = _plan(self.circuit, x.shape[1], x.element_size())
        out = x.new_empty(*x.shape[:2], self.circuit.n_outputs)
        n_blocks = -(-x.shape[1] // plan.samples)
        states = x.new_empty(len(x), n_blocks, *plan.state) if keep else None
        if plan.is_large:
            for block in _LargeBlock.all(plan, x, weights):
                block.run(out, states)
            return out, states
        split = _Split(plan.samples, plan.parts, x, weights, plan.cost)
        fixed = (x.data_ptr(), weights.data_ptr(), out.data_ptr(), _address(states))
        head = (_ONES[x.dtype], plan.program.header, plan.parts)
        split.run(lambda shape, scratch: evaluate(*head, shape, *fixed, scratch))
        return out, states

    def differentiate(
        self,
        x: Tensor,
        weights: Tensor,
        strength: Tensor | None,
        kept: Tensor | None,
        cotangent: Tensor,
        features: bool,
    ) -> Gradients:
        del strength
        weights, cotangent = _rows(weights), cotangent.contiguous()
        plan = _plan(self.circuit, x.shape[1], x.element_size())
        gx = torch.zeros_like(x, memory_format=torch.contiguous_format) if features else None
        if plan.is_large:
            gw = x.new_zeros(len(x), self.circuit.n_weights)
            for block in _LargeBlock.all(plan, x, weights):
                block.differentiate(kept, cotangent, gx, gw)
            return gx, gw, None
        split = _Split(plan.samples, plan.parts, x, weights, 3 * plan.cost)
        partial = x.new_zeros(len(x), split.n_chunks, self.circuit.n_weights)
        to = (_address(kept), _address(gx), partial.data_ptr())
        fixed = (x.data_ptr(), weights.data_ptr(), cotangent.data_ptr(), *to)
        head = (_ONES[x.dtype], plan.program.header, plan.parts)
        split.run(lambda shape, scratch: differentiate(*head, shape, *fixed, scratch))
        return gx, _total(partial), None


class _LargeBlock:
    """One block of one model whose state is large: all threads go through it stage by stage."""

    def __init__(self, plan: _Plan, x: Tensor, weights: Tensor, model: int, block: int, scratch: Tensor) -> None:
        self.plan, self.model, self.block, self.scratch = plan, model, block, scratch
        self.x, self.weights = x, weights
        self.sample = block * plan.samples
        self.n_here = min(plan.samples, x.shape[1] - self.sample)
        layouts = large.shared_parts(plan.program, x.element_size()), large.own_parts(plan.program, x.element_size())
        self._head = (_ONES[x.dtype], plan.program.header, *layouts, scratch.data_ptr())
        self._shape = (self.n_here, x.stride(1), x.stride(2))
        self._x_at = x[model, self.sample :].data_ptr()

    @classmethod
    def all(cls, plan: _Plan, x: Tensor, weights: Tensor) -> list[_LargeBlock]:
        """The blocks of all models, which take turns with the same scratch memory."""
        size = x.element_size()
        shared, own = large.shared_parts(plan.program, size), large.own_parts(plan.program, size)
        scratch = torch.empty(int(shared[-1] + large.N_PARTS * own[-1]), dtype=torch.uint8)
        n_blocks = -(-x.shape[1] // plan.samples)
        return [cls(plan, x, weights, m, b, scratch) for m in range(len(x)) for b in range(n_blocks)]

    def run(self, out: Tensor, states: Tensor | None) -> None:
        """Writes the block's read-outs to ``out``, and its final state to ``states``."""
        psi = self.x.new_empty(self.plan.state) if states is None else states[self.model, self.block]
        self._prepare(psi)
        self._in_parts(self._forward(psi))
        out_at = out[self.model, self.sample :].data_ptr()
        self._in_parts([lambda part: large.read_large(*self._head, psi.data_ptr(), out_at, self.n_here, part)])
        if not self.plan.program.header[BORN]:
            large.finish_large(*self._head, out_at, self.n_here)

    def differentiate(self, kept: Tensor | None, cotangent: Tensor, gx: Tensor | None, gw: Tensor) -> None:
        """Adds the block's gradients to ``gw`` and ``gx``; works in the memory of ``kept``."""
        program = self.plan.program
        lam = self.x.new_empty(self.plan.state)
        if kept is None:
            psi = self.x.new_empty(self.plan.state)
            self._prepare(psi)
            self._in_parts(self._forward(psi))
        else:
            psi = kept[self.model, self.block]
            self._prepare(None)
        at = (psi.data_ptr(), lam.data_ptr())
        cotangent_at = cotangent[self.model, self.sample :].data_ptr()
        rows = [*program.backward, *(program.start if gx is not None else [])]
        self._in_parts(
            [
                lambda part: large.seed_large(*self._head, *at, cotangent_at, self.n_here, part),
                *(functools.partial(large.undo_large, *self._head, *at, row.ctypes.data) for row in rows),
            ]
        )
        gx_at = 0 if gx is None else gx[self.model, self.sample :].data_ptr()
        to = (lam.data_ptr(), gx_at, gw[self.model].data_ptr())
        large.collect_large(*self._head, self._shape, self._x_at, *to)

    def _prepare(self, psi: Tensor | None) -> None:
        one, header, shared, _, scratch = self._head
        w_at = self.weights[self.model].data_ptr()
        large.prepare_large(one, header, shared, scratch, self._shape, self._x_at, w_at, _address(psi))

    def _forward(self, psi: Tensor) -> list[Callable[[int], None]]:
        return [
            functools.partial(large.advance_large, *self._head, psi.data_ptr(), row.ctypes.data)
            for row in self.plan.program.forward
        ]

    def _in_parts(self, stages: list[Callable[[int], None]]) -> None:
        run_in_parts(stages, large.N_PARTS, min(torch.get_num_threads(), large.N_PARTS))


class PauliVectors(Simulation):
    """Circuits with noise."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.program = make_noisy_program(circuit)
        self._parts = {size: self.program.parts(size) for size in (4, 8)}
        self._cost = circuit.dim**2 * WIDTH / 4 * (1.0 + len(self.program.rows))

    def run(self, x: Tensor, weights: Tensor, strength: Tensor | None, keep: bool) -> tuple[Tensor, Tensor | None]:
        del keep
        assert strength is not None
        weights, strength = _rows(weights), strength.contiguous()
        parts = self._parts[x.element_size()]
        split = _Split(n_lanes(x.element_size()), parts, x, weights, self._cost)
        out = x.new_empty(*x.shape[:2], self.circuit.n_outputs)
        fixed = (x.data_ptr(), weights.data_ptr(), strength.data_ptr(), out.data_ptr())
        head = (_ONES[x.dtype], self.program.header, parts)
        split.run(lambda shape, scratch: evaluate_noisy(*head, shape, *fixed, scratch))
        return out, None

    def differentiate(
        self,
        x: Tensor,
        weights: Tensor,
        strength: Tensor | None,
        kept: Tensor | None,
        cotangent: Tensor,
        features: bool,
    ) -> Gradients:
        del kept
        assert strength is not None
        weights, strength, cotangent = _rows(weights), strength.contiguous(), cotangent.contiguous()
        parts = self._parts[x.element_size()]
        split = _Split(n_lanes(x.element_size()), parts, x, weights, 4 * self._cost)
        gx = torch.zeros_like(x, memory_format=torch.contiguous_format) if features else None
        gw = x.new_zeros(len(x), split.n_chunks, self.circuit.n_weights)
        gs = x.new_zeros(len(x), split.n_chunks)
        fixed = (x.data_ptr(), weights.data_ptr(), strength.data_ptr(), cotangent.data_ptr())
        to = (_address(gx), gw.data_ptr(), gs.data_ptr())
        head = (_ONES[x.dtype], self.program.header, parts)
        split.run(lambda shape, scratch: differentiate_noisy(*head, shape, *fixed, *to, scratch))
        return gx, _total(gw), _total(gs)


@functools.lru_cache(maxsize=256)
def simulation(circuit: Circuit) -> Simulation:
    """What runs ``circuit``; made once."""
    return StateVectors(circuit) if circuit.noise is None else PauliVectors(circuit)


def _rows(weights: Tensor) -> Tensor:
    """Weights whose rows are contiguous; the models may all have the same row."""
    return weights if weights.stride(-1) == 1 or weights.shape[-1] <= 1 else weights.contiguous()


def _total(partial: Tensor) -> Tensor:
    """Sums over the chunks (axis 1), in their order."""
    total = partial[:, 0]
    for i in range(1, partial.shape[1]):
        total = total + partial[:, i]
    return total


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
