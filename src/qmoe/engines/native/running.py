"""Kernels on tensors: how the work is split, and what memory it takes."""

from __future__ import annotations

import ctypes
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

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
from qmoe.errors import UnsupportedError

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
#: Bytes of tables of phases above which that way is the quicker one as well, since it makes each when it is needed; memory
#: then does not grow with the layers. It takes as many qubits as its parts of a state need.
TABLE_BYTES, MIN_LARGE_QUBITS = 1 << 22, 13

#: Operations of a forward pass below which the backward pass runs it again sooner than it fetches what was kept.
KEEP_OPERATIONS = 5e4

_CPU = torch.device("cpu")  # a user's default device may be another

Gradients = tuple[Tensor | None, Tensor, Tensor | None]


_Call = ctypes.c_int64 * at.CALL


class Inputs(NamedTuple):
    """Tensors as the kernels see them: addresses and strides.

    Attributes:
        x: ``(...S, ...B, F)``, or ``(M, B, F)`` where it is not contiguous.
        weights: ``(...S, ...)``, the weights of one model contiguous.
        strength: ``(...S)`` or None.
        strides: of x over models, samples and features, and of weights over models.
        shape: of the weights as they were given.
    """

    x: Tensor
    weights: Tensor
    strength: Tensor | None
    strides: tuple[int, int, int, int]
    shape: torch.Size


class Simulation(ABC):
    """Runs one circuit on one shape of stack and batch.

    All that does not depend on values is decided here once: at two qubits, deciding takes longer than running.

    Args:
        circuit: what to run.
        stack: the stack shape.
        batch: the batch shape.
        itemsize: bytes of a float.

    Attributes:
        keeps: whether `run` may keep final states for `differentiate`.
    """

    keeps = False

    def __init__(self, circuit: Circuit, stack: torch.Size, batch: torch.Size, itemsize: int) -> None:
        self.circuit, self.stack, self.batch, self.itemsize = circuit, stack, batch, itemsize
        self.n_models, self.n_batch = stack.numel(), batch.numel()
        self.out_shape = (*stack, *batch, circuit.n_outputs)
        n_features, n_weights = circuit.in_features, circuit.n_weights
        self._strides = (self.n_batch * n_features, n_features, 1, n_weights)

    def inputs(self, x: Tensor, weights: Tensor, strength: Tensor | None) -> Inputs:
        """Views of tensors that are laid out as we want them would cost more than the kernel at two qubits."""
        x, weights, shape = _plain(x), _plain(weights), weights.shape
        if strength is not None:
            strength = _plain(strength).contiguous()
        if not x.data_ptr():
            raise UnsupportedError("The native engine got a tensor without memory, as tracers use; use engine='torch'.")
        if x.is_contiguous() and weights.is_contiguous():
            return Inputs(x, weights, strength, self._strides, shape)
        x = x.reshape(self.n_models, self.n_batch, x.shape[-1])
        weights = weights.reshape(self.n_models, self.circuit.n_weights)
        if weights.stride(1) != 1:
            weights = weights.contiguous()
        strides = (x.stride(0), x.stride(1), x.stride(2), weights.stride(0))  # the last is 0 where all are the same
        return Inputs(x, weights, strength, strides, shape)

    @abstractmethod
    def run(self, inputs: Inputs, keep: bool) -> tuple[Tensor, Tensor | None]:
        """Read-outs ``(...S, ...B, n_outputs)``, and the final states if ``keep`` and the backward pass can use them."""

    @abstractmethod
    def differentiate(self, inputs: Inputs, kept: Tensor | None, cotangent: Tensor, features: bool) -> Gradients:
        """Gradients with respect to x (or None, unless ``features``), weights and strength; all contiguous.

        They come in the shapes of x as ``(...S, ...B, F)``, of the weights as given, and of the stack. ``kept`` is used up.
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

    def chunks(self, n_batch: int) -> tuple[int, int, int]:
        """For a batch: its blocks, the blocks of a chunk, the chunks."""
        n_blocks = -(-n_batch // self.samples)
        chunk = min(MAX_CHUNK, n_blocks, max(1, round(THREAD_OPERATIONS / self.cost)))
        return n_blocks, chunk, -(-n_blocks // chunk)


class _Pass:
    """A kernel on one shape: shares of its items, each in a thread of its own.

    Args:
        name: the kernel.
        cost: how much more it does than run forward.
        layout: what it reads.
        simulation: which shape.
    """

    __slots__ = ("_addresses", "_function", "_head", "_is_long", "_kept", "_n_items", "_size")

    def __init__(self, name: str, cost: float, layout: _Layout, simulation: Simulation) -> None:
        n_blocks, chunk, n_chunks = layout.chunks(simulation.n_batch)
        self._function = kernel(name, simulation.itemsize)
        self._n_items = simulation.n_models * n_chunks
        self._head = (0, self._n_items, n_chunks, chunk, simulation.n_batch)
        self._is_long = simulation.n_models * n_blocks * cost * layout.cost > THREAD_OPERATIONS
        self._addresses, self._kept = (layout.header.ctypes.data, layout.parts.ctypes.data), layout
        self._size = int(layout.parts[-1]) + at.SIZE * at.WIDTH

    def __call__(self, inputs: Inputs, *others: Tensor | None) -> None:
        """Runs it; ``others`` are out, states, cotangent, gx, gw, gs, those that it does not take None or left out."""
        x, weights, strength, strides, _ = inputs
        places = [0 if tensor is None else tensor.data_ptr() for tensor in (x, weights, strength, *others)]
        call = _Call(*self._head, *strides, *places)
        n_threads = min(torch.get_num_threads(), self._n_items) if self._is_long else 1
        scratch = torch.empty(n_threads * self._size, dtype=torch.uint8, device=_CPU)
        first = scratch.data_ptr()
        if n_threads == 1:
            self._function(*self._addresses, ctypes.addressof(call), first)
            return
        shares = [_Call(*call) for _ in range(n_threads)]
        for i, share in enumerate(shares):
            share[at.FIRST], share[at.LAST] = self._n_items * i // n_threads, self._n_items * (i + 1) // n_threads
        run_shares(
            [
                functools.partial(self._function, *self._addresses, ctypes.addressof(share), first + i * self._size)
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
        circuit = self.program.circuit
        tables = self.program.n_tables * circuit.dim * 2 * at.WIDTH // self.state[2]
        return self.state[0] >= LARGE_VECTORS or (tables > TABLE_BYTES and circuit.n_qubits >= MIN_LARGE_QUBITS)


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

    def __init__(self, circuit: Circuit, stack: torch.Size, batch: torch.Size, itemsize: int) -> None:
        super().__init__(circuit, stack, batch, itemsize)
        self._plan = _plan(circuit, self.n_batch, itemsize)
        self._n_blocks, _, self._n_chunks = self._plan.layout.chunks(self.n_batch)
        n_states = self.n_models * self._n_blocks
        self.keeps = n_states * self._plan.layout.cost >= KEEP_OPERATIONS
        self.keeps &= n_states * self._plan.state_bytes <= KEEP_BYTES
        if not self._plan.is_large:
            self._forward = _Pass("evaluate", 1, self._plan.layout, self)
            self._backward = _Pass("differentiate", 3, self._plan.layout, self)

    def run(self, inputs: Inputs, keep: bool) -> tuple[Tensor, Tensor | None]:
        out, states = inputs.x.new_empty(self.out_shape), None
        if keep and self.keeps:
            states = out.new_empty((self.n_models, self._n_blocks, *self._plan.state))
        if self._plan.is_large:
            for block in _LargeBlock.all(self._plan, self, inputs):
                block.run(out, states)
        else:
            self._forward(inputs, out, states)
        return out, states

    def differentiate(self, inputs: Inputs, kept: Tensor | None, cotangent: Tensor, features: bool) -> Gradients:
        cotangent = _plain(cotangent).contiguous()
        gx = cotangent.new_zeros((*self.stack, *self.batch, self.circuit.in_features)) if features else None
        if self._plan.is_large:
            gw = cotangent.new_zeros((self.n_models, self.circuit.n_weights))
            for block in _LargeBlock.all(self._plan, self, inputs):
                block.differentiate(kept, cotangent, gx, gw)
            return gx, gw.view(inputs.shape), None
        gw = _partial(inputs, self.n_models, self._n_chunks)
        self._backward(inputs, None, kept, cotangent, gx, gw)
        return gx, _total(gw, inputs.shape), None


class _LargeBlock:
    """One block of one model whose state is large: all threads go through it stage by stage."""

    def __init__(self, plan: _Plan, shape: Simulation, inputs: Inputs, model: int, block: int, scratch: Tensor) -> None:
        self._plan, self._model, self._block = plan, model, block
        samples, size = plan.layout.samples, shape.itemsize
        self._first = model * shape.n_batch + block * samples
        x_stack, x_batch, x_feature, w_stack = inputs.strides
        self._call = _Call()
        self._call[at.N_HERE] = min(samples, shape.n_batch - block * samples)
        self._call[at.X_BATCH], self._call[at.X_FEATURE] = x_batch, x_feature
        self._call[at.X] = inputs.x.data_ptr() + (model * x_stack + block * samples * x_batch) * size
        self._call[at.WEIGHTS] = inputs.weights.data_ptr() + model * w_stack * size
        self._parts, self._scratch = plan.large_parts, scratch
        self._head = (plan.layout.header.ctypes.data, scratch.data_ptr())
        self._kernel = functools.partial(kernel, itemsize=size)

    @classmethod
    def all(cls, plan: _Plan, shape: Simulation, inputs: Inputs) -> list[_LargeBlock]:
        """The blocks of all models, which take turns with the same scratch memory."""
        size = int(plan.large_parts[-1]) + (at.SIZE + at.N_PARTS * at.PART_SIZE) * at.WIDTH
        scratch = torch.empty(size, dtype=torch.uint8, device=_CPU)
        n_blocks = plan.layout.chunks(shape.n_batch)[0]
        return [cls(plan, shape, inputs, m, b, scratch) for m in range(shape.n_models) for b in range(n_blocks)]

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

    def __init__(self, circuit: Circuit, stack: torch.Size, batch: torch.Size, itemsize: int) -> None:
        super().__init__(circuit, stack, batch, itemsize)
        assert circuit.noise is not None
        # How strong the noise is comes with the inputs.
        program = make_noisy_program(circuit.with_noise(replace(circuit.noise, depolarizing=0.0)))
        cost = circuit.dim**2 * at.WIDTH / 4 * (1.0 + len(program.rows))
        layout = _Layout(program.header, program.parts(itemsize), n_lanes(itemsize), cost)
        self._program, self._n_chunks = program, layout.chunks(self.n_batch)[2]
        self._forward = _Pass("evaluate_noisy", 1, layout, self)
        self._backward = _Pass("differentiate_noisy", 4, layout, self)

    def run(self, inputs: Inputs, keep: bool) -> tuple[Tensor, Tensor | None]:
        del keep
        out = inputs.x.new_empty(self.out_shape)
        self._forward(inputs, out)
        return out, None

    def differentiate(self, inputs: Inputs, kept: Tensor | None, cotangent: Tensor, features: bool) -> Gradients:
        del kept
        cotangent = _plain(cotangent).contiguous()
        gx = cotangent.new_zeros((*self.stack, *self.batch, self.circuit.in_features)) if features else None
        gw = _partial(inputs, self.n_models, self._n_chunks)
        gs = cotangent.new_zeros((self.n_models, self._n_chunks))
        self._backward(inputs, None, None, cotangent, gx, gw, gs)
        return gx, _total(gw, inputs.shape), _total(gs, self.stack)


@functools.lru_cache(maxsize=1024)
def simulation(circuit: Circuit, stack: torch.Size, batch: torch.Size, itemsize: int) -> Simulation:
    """What runs ``circuit`` on a stack and batch of these shapes; made once."""
    return (StateVectors if circuit.noise is None else PauliVectors)(circuit, stack, batch, itemsize)


def _plain(tensor: Tensor) -> Tensor:
    """A tensor whose memory holds its values: the imaginary part of a conjugate holds their negatives, some zeros none."""
    if tensor.is_neg():
        return tensor.resolve_neg()
    return torch.zeros_like(tensor) if tensor._is_zerotensor() else tensor


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
