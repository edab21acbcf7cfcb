"""One call of a kernel: tensors as it sees them, memory to work in, threads that share the work."""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.compiled.threads import THREAD_OPERATIONS, run_in_turns
from qmoe.engines.calling import CALL_SIZE, PLACE, CompiledCircuit
from qmoe.engines.native.kernels.names import kernel
from qmoe.engines.native.plan.scratch import Layout
from qmoe.errors import UnsupportedError
from qmoe.torch_internals import is_symbolic_zero

#: Operations of the items that a thread takes at once.
GROUP_OPERATIONS = THREAD_OPERATIONS / 8
CPU = torch.device("cpu")  # a user's default device may be another

Gradients = tuple[Tensor | None, Tensor, Tensor | None]

CallArray = ctypes.c_int64 * CALL_SIZE


class Inputs(NamedTuple):
    """Tensors as the kernels see them: addresses and strides.

    Attributes:
        x: ``(...S, ...B, F)``, or ``(M, B, F)`` where it is not contiguous.
        weights: ``(...S, ...)``, the weights of one model contiguous.
        strength: ``(...S)`` or None.
        strides: of x over models, samples and features, and of weights over models.
        places: addresses of x and the weights.
        shape: of the weights as they were given.
    """

    x: Tensor
    weights: Tensor
    strength: Tensor | None
    strides: tuple[int, int, int, int]
    places: tuple[int, int]
    shape: torch.Size


class Prepared(ABC):
    """A circuit made ready for one shape of stack and batch and one precision.

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
        """Lays tensors out for the kernels, where they are not.

        Raises:
            UnsupportedError: for tensors without memory.
        """
        if strength is not None:
            strength = plain(strength).contiguous()
        places = x.data_ptr(), weights.data_ptr()
        # The common case first: at two qubits these lines cost more than the kernel.
        if all(places) and x.is_contiguous() and weights.is_contiguous() and not (x.is_neg() or weights.is_neg()):
            return Inputs(x, weights, strength, self._strides, places, weights.shape)
        x, weights, shape = plain(x), plain(weights), weights.shape
        x = x.reshape(self.n_models, self.n_batch, x.shape[-1])
        weights = weights.reshape(self.n_models, self.circuit.n_weights)
        if weights.stride(1) != 1:
            weights = weights.contiguous()
        strides = (x.stride(0), x.stride(1), x.stride(2), weights.stride(0))  # the last is 0 where all are the same
        places = x.data_ptr(), weights.data_ptr()
        if not places[0] or (self.circuit.n_weights and not places[1]):
            raise UnsupportedError("The native engine got a tensor without memory, as tracers use; use engine='torch'.")
        return Inputs(x, weights, strength, strides, places, shape)

    @abstractmethod
    def compiled(self) -> CompiledCircuit | None:
        """The kernels of one model, for compiled code to call; None where all threads work on one state."""

    @abstractmethod
    def run(self, inputs: Inputs, keep: bool) -> tuple[Tensor, Tensor | None]:
        """Read-outs ``(...S, ...B, n_outputs)``, and the final states if ``keep`` and the backward pass can use them."""

    @abstractmethod
    def differentiate(self, inputs: Inputs, kept: Tensor | None, cotangent: Tensor, features: bool) -> Gradients:
        """Gradients with respect to x (or None, unless ``features``), weights and strength; all contiguous.

        They come in the shapes of x as ``(...S, ...B, F)``, of the weights as given, and of the stack. ``kept`` is used up.
        """


class Pass:
    """A kernel on one shape: shares of its items, each in a thread of its own.

    Args:
        name: the kernel.
        cost: how much more it does than run forward.
        layout: what it reads.
        shape: of what is made ready.
    """

    __slots__ = ("_addresses", "_function", "_group", "_head", "_is_long", "_kept", "_n_items", "_size")

    def __init__(self, name: str, cost: float, layout: Layout, shape: Prepared) -> None:
        n_blocks, chunk, n_chunks = layout.chunks(shape.n_batch)
        self._function = kernel(name, shape.itemsize)
        self._n_items = shape.n_models * n_chunks
        self._head = (0, self._n_items, n_chunks, chunk, shape.n_batch)
        self._is_long = shape.n_models * n_blocks * cost * layout.cost > THREAD_OPERATIONS
        self._group = max(1, round(GROUP_OPERATIONS / (chunk * cost * layout.cost)))
        self._addresses, self._kept = (layout.header.ctypes.data, layout.parts.ctypes.data), layout
        self._size = int(layout.parts[-1])

    def __call__(self, inputs: Inputs, *others: Tensor | None) -> None:
        """Runs it; ``others`` are out, states, cotangent, gx, gw, gs, those that it does not take None or left out."""
        _, _, strength, strides, places, _ = inputs
        addresses = [0 if tensor is None else tensor.data_ptr() for tensor in (strength, *others)]
        call = CallArray(*self._head, *strides, *places, *addresses)
        n_threads = min(torch.get_num_threads(), self._n_items) if self._is_long else 1
        scratch = torch.empty(n_threads * self._size, dtype=torch.uint8, device=CPU)
        first = scratch.data_ptr()
        if n_threads == 1:
            self._function(*self._addresses, ctypes.addressof(call), first)
            return
        shares = [CallArray(*call) for _ in range(n_threads)]

        def take(thread: int, item: int) -> None:
            share = shares[thread]
            share[PLACE.first], share[PLACE.last] = item, min(item + self._group, self._n_items)
            self._function(*self._addresses, ctypes.addressof(share), first + thread * self._size)

        run_in_turns(take, self._n_items, n_threads, self._group)


def plain(tensor: Tensor) -> Tensor:
    """A tensor whose memory holds its values: the imaginary part of a conjugate holds their negatives, some zeros none."""
    if tensor.is_neg():
        return tensor.resolve_neg()
    return torch.zeros_like(tensor) if is_symbolic_zero(tensor) else tensor
