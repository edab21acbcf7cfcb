"""Kernels on tensors: how the work is split, and what memory it takes."""

from __future__ import annotations

import ctypes
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.native import layout as at
from qmoe.engines.native.kernels import kernel
from qmoe.engines.native.layout import n_lanes
from qmoe.engines.native.noisy_program import make_noisy_program
from qmoe.engines.native.program import Program, make_program
from qmoe.engines.native.threads import run_in_parts, run_shares

#: Operations below which a second thread costs more than it saves: it takes 0.1 ms to start, which is about what they take.
THREAD_OPERATIONS = 5e7
#: Most blocks of lanes whose gradients are added up in one go; fewer where a block alone is worth a thread. The sums must
#: not depend on the number of threads, or on what else is in the stack, so the split of a batch depends on the batch alone.
MAX_CHUNK = 8
#: Bytes of final states up to which they are kept for the backward pass, which otherwise runs forward again.
KEEP_BYTES = 1 << 28
#: Share of the lanes up to which a batch is run sample by sample, with basis states in the lanes; and how many qubits there
#: must be beyond those.
FEW, MIN_HIGH_QUBITS = 0.5, 3
#: Vectors of lanes from which on all threads work on one state; it then fills a second-level cache twice.
LARGE_VECTORS = 1 << 14

Gradients = tuple[Tensor | None, Tensor, Tensor | None]


_Call = ctypes.c_int64 * at.CALL


class Inputs:
    """Tensors of any stack and batch shape, as the kernels see them: sizes, strides and addresses.

    Args:
        x: ``(...S, ...B, F)``.
        weights: ``(...S, ...)``.
        strength: ``(...S)`` or None.
        stack: the stack shape.
        batch: the batch shape.
    """

    __slots__ = ("batch", "itemsize", "n_batch", "n_models", "stack", "strength", "strides", "weights", "x")

    def __init__(
        self, x: Tensor, weights: Tensor, strength: Tensor | None, stack: torch.Size, batch: torch.Size
    ) -> None:
        x, weights = _plain(x), _plain(weights)
        self.stack, self.batch, self.itemsize = stack, batch, x.element_size()
        self.n_models, self.n_batch = stack.numel(), batch.numel()
        n_features, n_weights = x.shape[-1], weights.numel() // self.n_models
        # Views of tensors that are laid out as we want them would cost more than the kernel at two qubits.
        if x.is_contiguous():
            x_strides = (self.n_batch * n_features, n_features, 1)
        else:
            x = x.reshape(self.n_models, self.n_batch, n_features)
            x_strides = (x.stride(0), x.stride(1), x.stride(2))
        w_stride = n_weights
        if not weights.is_contiguous():
            weights = weights.reshape(self.n_models, n_weights)
            if weights.stride(1) != 1:
                weights = weights.contiguous()
            w_stride = weights.stride(0)  # 0 where all models are the same
        self.x, self.weights, self.strides = x, weights, (*x_strides, w_stride)
        self.strength = None if strength is None else _plain(strength).contiguous()


class Simulation(ABC):
    """Runs one circuit."""

    @abstractmethod
    def run(self, inputs: Inputs, keep: bool) -> tuple[Tensor, Tensor | None]:
        """Read-outs ``(...S, ...B, n_outputs)``, and the final states if ``keep`` and the backward pass can use them."""

    @abstractmethod
    def differentiate(self, inputs: Inputs, kept: Tensor | None, cotangent: Tensor, features: bool) -> Gradients:
        """Gradients with respect to x (or None, unless ``features``), weights and strength; all contiguous.

        x and strength come in the shape of their tensors, weights as ``(M, P)``. ``kept`` is used up.
        """


@dataclass(frozen=True)
class _Layout:
    """What a kernel reads beside its arguments. Holds on to the arrays whose addresses it gives.

    Attributes:
        header: of the program.
        parts: offsets of the scratch memory of one thread.
        samples: samples a block.
        cost: operations of one block, roughly.
    """

    header: np.ndarray
    parts: np.ndarray
    samples: int
    cost: float
    # Plain numbers, since asking NumPy for an address takes as long as a small kernel.
    addresses: tuple[int, int] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "addresses", (self.header.ctypes.data, self.parts.ctypes.data))
        object.__setattr__(self, "size", int(self.parts[-1]) + at.SIZE * at.WIDTH)

    def chunks(self, n_batch: int) -> tuple[int, int, int]:
        """For a batch: its blocks, the blocks of a chunk, the chunks."""
        n_blocks = -(-n_batch // self.samples)
        chunk = min(MAX_CHUNK, n_blocks, max(1, round(THREAD_OPERATIONS / self.cost)))
        return n_blocks, chunk, -(-n_blocks // chunk)

    def run(self, name: str, cost: float, inputs: Inputs, *others: Tensor | None) -> None:
        """Runs a kernel on shares of the items, each in a thread of its own.

        Args:
            name: the kernel.
            cost: how much more it does than run forward.
            inputs: what to run it on.
            *others: out, states, cotangent, gx, gw, gs; those that it does not take may be None or left out.
        """
        function = kernel(name, inputs.itemsize)
        n_blocks, chunk, n_chunks = self.chunks(inputs.n_batch)
        n_items, n_threads = inputs.n_models * n_chunks, 1
        if inputs.n_models * n_blocks * cost * self.cost > THREAD_OPERATIONS:
            n_threads = min(torch.get_num_threads(), n_items)
        tensors = (inputs.x, inputs.weights, inputs.strength, *others)
        places = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
        call = _Call(0, n_items, n_chunks, chunk, inputs.n_batch, *inputs.strides, *places)
        scratch = torch.empty(n_threads * self.size, dtype=torch.uint8)
        first = scratch.data_ptr()
        if n_threads == 1:
            function(*self.addresses, ctypes.addressof(call), first)
            return
        shares = [_Call(*call) for _ in range(n_threads)]
        for i, share in enumerate(shares):
            share[at.FIRST], share[at.LAST] = n_items * i // n_threads, n_items * (i + 1) // n_threads
        run_shares(
            [
                functools.partial(function, *self.addresses, ctypes.addressof(share), first + i * self.size)
                for i, share in enumerate(shares)
            ]
        )


@dataclass(frozen=True)
class _Plan:
    """How one size of batch is run.

    Attributes:
        program: what the kernels read.
        layout: of small states.
        large_parts: layout of the scratch memory of large ones.
        state: shape of the state of a block.
    """

    program: Program
    layout: _Layout
    large_parts: np.ndarray
    state: tuple[int, int, int]

    @property
    def state_bytes(self) -> int:
        return self.state[0] * self.state[1] * at.WIDTH

    @property
    def is_large(self) -> bool:
        return self.state[0] >= LARGE_VECTORS


@functools.lru_cache(maxsize=1024)
def _plan(circuit: Circuit, n_batch: int, itemsize: int) -> _Plan:
    lanes = n_lanes(itemsize)
    bits = lanes.bit_length() - 1
    few = n_batch <= lanes * FEW and circuit.n_qubits >= bits + MIN_HIGH_QUBITS
    program = make_program(circuit, bits if few else 0)
    cost = program.n_vectors * lanes * 6.0 * (1 + len(program.sources) + program.n_tables)
    return _Plan(
        program=program,
        layout=_Layout(program.header, program.parts(itemsize), 1 if few else lanes, cost),
        large_parts=program.large_parts(itemsize),
        state=(program.n_vectors, 2, lanes),
    )


class StateVectors(Simulation):
    """Circuits without noise."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit
        self._n_outputs, self._n_weights = circuit.n_outputs, circuit.n_weights

    def run(self, inputs: Inputs, keep: bool) -> tuple[Tensor, Tensor | None]:
        plan = _plan(self._circuit, inputs.n_batch, inputs.itemsize)
        out = inputs.x.new_empty((*inputs.stack, *inputs.batch, self._n_outputs))
        states, n_blocks = None, plan.layout.chunks(inputs.n_batch)[0]
        if keep and inputs.n_models * n_blocks * plan.state_bytes <= KEEP_BYTES:
            states = out.new_empty((inputs.n_models, n_blocks, *plan.state))
        if plan.is_large:
            for block in _LargeBlock.all(plan, inputs):
                block.run(out, states)
        else:
            plan.layout.run("evaluate", 1, inputs, out, states)
        return out, states

    def differentiate(self, inputs: Inputs, kept: Tensor | None, cotangent: Tensor, features: bool) -> Gradients:
        plan = _plan(self._circuit, inputs.n_batch, inputs.itemsize)
        cotangent = _plain(cotangent).contiguous()
        gx = cotangent.new_zeros((*inputs.stack, *inputs.batch, inputs.x.shape[-1])) if features else None
        if plan.is_large:
            gw = cotangent.new_zeros((inputs.n_models, self._n_weights))
            for block in _LargeBlock.all(plan, inputs):
                block.differentiate(kept, cotangent, gx, gw)
            return gx, gw, None
        n_chunks = plan.layout.chunks(inputs.n_batch)[2]
        gw = cotangent.new_zeros((inputs.n_models, n_chunks, self._n_weights))
        plan.layout.run("differentiate", 3, inputs, None, kept, cotangent, gx, gw)
        return gx, _total(gw), None


class _LargeBlock:
    """One block of one model whose state is large: all threads go through it stage by stage."""

    def __init__(self, plan: _Plan, inputs: Inputs, model: int, block: int, scratch: Tensor) -> None:
        self._plan, self._model, self._block = plan, model, block
        samples, size = plan.layout.samples, inputs.itemsize
        self._first = model * inputs.n_batch + block * samples
        x_stack, x_batch, x_feature, w_stack = inputs.strides
        self._call = _Call()
        self._call[at.N_HERE] = min(samples, inputs.n_batch - block * samples)
        self._call[at.X_BATCH], self._call[at.X_FEATURE] = x_batch, x_feature
        self._call[at.X] = inputs.x.data_ptr() + (model * x_stack + block * samples * x_batch) * size
        self._call[at.WEIGHTS] = inputs.weights.data_ptr() + model * w_stack * size
        self._parts, self._scratch = plan.large_parts, scratch
        self._head = (plan.layout.addresses[0], scratch.data_ptr())
        self._kernel = functools.partial(kernel, itemsize=size)

    @classmethod
    def all(cls, plan: _Plan, inputs: Inputs) -> list[_LargeBlock]:
        """The blocks of all models, which take turns with the same scratch memory."""
        size = int(plan.large_parts[-1]) + (at.SIZE + at.N_PARTS * at.PART_SIZE) * at.WIDTH
        scratch = torch.empty(size, dtype=torch.uint8)
        n_blocks = plan.layout.chunks(inputs.n_batch)[0]
        return [cls(plan, inputs, m, b, scratch) for m in range(inputs.n_models) for b in range(n_blocks)]

    def _row(self, tensor: Tensor) -> int:
        """The address of the block's first row in a tensor ``(...S, ...B, n)``."""
        return tensor.data_ptr() + self._first * tensor.shape[-1] * tensor.element_size()

    def run(self, out: Tensor, states: Tensor | None) -> None:
        """Writes the block's read-outs to ``out``, and its final state to ``states``."""
        psi = out.new_empty(self._plan.state) if states is None else states[self._model, self._block]
        self._call[at.OUT] = self._row(out)
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
        self._call[at.COTANGENT], self._call[at.GX] = self._row(cotangent), 0 if gx is None else self._row(gx)
        self._call[at.GW] = gw[self._model].data_ptr()
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


class PauliVectors(Simulation):
    """Circuits with noise."""

    def __init__(self, circuit: Circuit) -> None:
        self._n_outputs, self._n_weights = circuit.n_outputs, circuit.n_weights
        program = make_noisy_program(circuit)
        cost = circuit.dim**2 * at.WIDTH / 4 * (1.0 + len(program.rows))
        self._program = program
        self._layouts = {size: _Layout(program.header, program.parts(size), n_lanes(size), cost) for size in (4, 8)}

    def run(self, inputs: Inputs, keep: bool) -> tuple[Tensor, Tensor | None]:
        del keep
        out = inputs.x.new_empty((*inputs.stack, *inputs.batch, self._n_outputs))
        self._layouts[inputs.itemsize].run("evaluate_noisy", 1, inputs, out)
        return out, None

    def differentiate(self, inputs: Inputs, kept: Tensor | None, cotangent: Tensor, features: bool) -> Gradients:
        del kept
        layout, cotangent = self._layouts[inputs.itemsize], _plain(cotangent).contiguous()
        n_chunks = layout.chunks(inputs.n_batch)[2]
        gx = cotangent.new_zeros((*inputs.stack, *inputs.batch, inputs.x.shape[-1])) if features else None
        gw = cotangent.new_zeros((inputs.n_models, n_chunks, self._n_weights))
        gs = cotangent.new_zeros((inputs.n_models, n_chunks))
        layout.run("differentiate_noisy", 4, inputs, None, None, cotangent, gx, gw, gs)
        return gx, _total(gw), _total(gs).view(inputs.stack)


@functools.lru_cache(maxsize=256)
def simulation(circuit: Circuit) -> Simulation:
    """What runs ``circuit``; made once."""
    return StateVectors(circuit) if circuit.noise is None else PauliVectors(circuit)


def _plain(tensor: Tensor) -> Tensor:
    """A tensor whose memory holds its values: the imaginary part of a conjugate holds their negatives."""
    return tensor.resolve_neg() if tensor.is_neg() else tensor


def _total(partial: Tensor) -> Tensor:
    """Sums over the chunks (axis 1), in their order."""
    total = partial[:, 0]
    for i in range(1, partial.shape[1]):
        total = total + partial[:, i]
    return total
