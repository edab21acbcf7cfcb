"""The torch engine: whole stacks and batches as a few tensor operations, on any device."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Channel, Circuit, Dephase, Disturb, Feature, Gate, Prepare, Weight
from qmoe.engines.batched.algebra import (
    AMPLITUDES,
    PAULI_VECTOR,
    Algebra,
    dephasing_mask,
    fixed_action,
    noise_exponents,
)
from qmoe.engines.batched.schedule import Fixed, Local, Noise, Pair, Run, Stage, make_plan
from qmoe.engines.constants import cached_tensors, constant, identity
from qmoe.engines.memory import require_memory
from qmoe.engines.protocol import Engine, too_large
from qmoe.engines.tracing import for_onnx, traced
from qmoe.errors import UnsupportedError

#: Qubits up to which an ONNX program carries 4**Q real numbers for a sample.
MAX_ONNX_QUBITS = 6


class TorchEngine(Engine):
    """Batched simulation in torch: any device, autograd, `torch.func` transforms, float32 and float64.

    Gates without features are multiplied into one matrix per model where the state is small, then applied to all samples
    at once; larger states are carried through the layers. Noise is exact, on the Pauli coefficients of the density matrix.
    """

    name: ClassVar[str] = "torch"
    couples_features: ClassVar[bool] = False

    def why_not(self, circuit: Circuit, device: torch.device) -> str | None:
        """States that the device has no room for."""
        return too_large(circuit, device)

    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        if not traced():
            n_samples = x.shape[0] * x.shape[1]
            require_memory(circuit, x.element_size(), 2 * n_samples, n_samples * circuit.n_outputs, x.device)
        algebra = AMPLITUDES if strength is None else PAULI_VECTOR
        if traced() and for_onnx():
            _check_real(circuit)
            algebra = PAULI_VECTOR
        damping = None if strength is None else 1 - strength * (4 / 3)
        state = StateExecution(algebra, circuit, x, weights, damping)
        for run in make_plan(circuit):
            state.advance(run)
        state.start()  # where there are no gates
        return algebra.read(state.vec, circuit)


def _check_real(circuit: Circuit) -> None:
    """Pauli coefficients are real, but there are 4**Q of them, and amplitudes are made into them by complex numbers."""
    prepares = any(isinstance(op, Prepare) for op in circuit.operations)
    if prepares or circuit.n_qubits > MAX_ONNX_QUBITS:
        what = "amplitude encoding" if prepares else f"{circuit.n_qubits} qubits, more than {MAX_ONNX_QUBITS},"
        raise UnsupportedError(
            f"ONNX has no complex numbers, and a circuit with {what} is not written out without them; export "
            "qmoe.distill(router), which computes the same without a circuit."
        )


class StateExecution:
    """One evaluation: the states ``vec`` ``(S, B, d**Q)`` and what acts on them."""

    def __init__(self, algebra: Algebra, circuit: Circuit, x: Tensor, weights: Tensor, damping: Tensor | None) -> None:
        self.algebra, self.circuit, self.x, self.weights, self.damping = algebra, circuit, x, weights, damping
        self.size = algebra.d**circuit.n_qubits
        self.dtype = algebra.dtype(x.dtype)
        self.started = False
        self.vec = x.new_zeros(0)

    def advance(self, run: Run) -> None:
        """Applies one run of stages."""
        if run.per_sample:
            for stage in run.stages:
                if isinstance(stage, Prepare):
                    self.vec, self.started = self.algebra.prepare(self.x, self.circuit.n_qubits), True
                elif isinstance(stage, Local):
                    self._encode(stage)
            return
        self.start()  # an encoding may open with gates that take no feature
        if self.size <= self.algebra.matrix_dim:
            matrix = identity(self.size, self.dtype, self.x.device).expand(len(self.x), -1, -1)
            # The rows of the identity are a batch of basis states; what becomes of them is the matrix of the run.
            self.vec = self.vec @ self._apply(run.stages, matrix, fresh=True)
        else:
            self.vec = self._apply(run.stages, self.vec)

    def start(self) -> None:
        """Makes the state ``|0...0>`` where there is none yet."""
        if not self.started:
            zero = constant(tuple(self.algebra.zero.tolist()), self.dtype, self.x.device)
            rows = zero.expand(*self.x.shape[:2], self.circuit.n_qubits, len(zero))
            self.vec, self.started = _kron_rows(rows), True

    def _encode(self, stage: Local) -> None:
        if not self.started:
            rows = _local_matrices(self.algebra, stage.gates, self.x, left=self.algebra.zero)
            self.vec, self.started = _kron_rows(rows), True
            return
        matrices = _local_matrices(self.algebra, stage.gates, self.x)
        for wire, gates in enumerate(stage.gates):
            if gates:
                shape = (*self.x.shape[:2], self.algebra.d**wire, self.algebra.d, -1)
                split = self.vec.reshape(shape)
                out = matrices[..., wire, :, :].transpose(-1, -2).unsqueeze(2) @ split
                self.vec = out.reshape(*self.x.shape[:2], self.size)

    def _apply(self, stages: tuple[Stage, ...], vec: Tensor, fresh: bool = False) -> Tensor:
        """Applies weight stages to the rows of ``vec``; ``fresh`` says that they are the identity."""
        locals_ = [stage for stage in stages if isinstance(stage, Local)]
        slots = tuple(gates for stage in locals_ for gates in stage.gates)
        q, s = self.circuit.n_qubits, len(self.x)
        if slots:
            matrices = _local_matrices(self.algebra, slots, self.weights).unflatten(1, (len(locals_), q))
            # All layers at once: on a GPU a product costs its launch, whatever its size.
            if self.size <= self.algebra.matrix_dim:
                layers = iter(_kron_matrices(matrices).unbind(1))
            else:
                groups = zip(*_kron_groups(matrices, self.algebra.group), strict=True)
        for stage in stages:
            if isinstance(stage, Local):
                if self.size <= self.algebra.matrix_dim:
                    vec = next(layers) if fresh else vec @ next(layers)
                else:
                    vec = self._apply_groups(stage, next(groups), vec)
            elif isinstance(stage, Pair):
                vec = self._apply_pair(stage.gate, vec)
            elif isinstance(stage, Fixed):
                vec = self._apply_fixed(stage.gates, vec)
            elif isinstance(stage, Noise):
                assert self.damping is not None
                exponents = noise_exponents(stage.counts, self.damping.dtype, self.damping.device)
                vec = vec * self.damping.reshape(s, 1, 1).pow(exponents)
            elif isinstance(stage, Dephase):
                vec = vec * dephasing_mask(stage.wires, stage.axis, q, vec.dtype, vec.device)
            elif isinstance(stage, Disturb):
                table = _transfer(stage.channel, vec.dtype, vec.device).expand(s, -1, -1)
                vec = self._apply_on(stage.wires, table, vec)
            fresh = False
        return vec

    def _apply_groups(self, stage: Local, groups: tuple[Tensor, ...], vec: Tensor) -> Tensor:
        """Multiplies Kronecker products of a few wires at a time, each ``(S, D, D)``; wires without gates are left out."""
        s, q, d, first = len(vec), self.circuit.n_qubits, self.algebra.d, 0
        for group in groups:
            last = min(first + self.algebra.group, q)
            if any(stage.gates[first:last]):
                rows = vec.reshape(s, -1, d ** (last - first), d ** (q - last)).transpose(-1, -2)
                out = rows.reshape(s, -1, d ** (last - first)) @ group
                vec = out.reshape(rows.shape).transpose(-1, -2).reshape(vec.shape)
            first = last
        return vec

    def _apply_pair(self, gate: Gate, vec: Tensor) -> Tensor:
        matrix = self.algebra.matrices(gate.name, _gather([gate], self.weights)[:, 0])
        return self._apply_on(gate.wires, matrix, vec)

    def _apply_on(self, wires: tuple[int, ...], matrix: Tensor, vec: Tensor) -> Tensor:
        """Multiplies the entries of some wires by ``(S, d**w, d**w)``."""
        s, q, d = len(vec), self.circuit.n_qubits, self.algebra.d
        axes, ends = [2 + wire for wire in wires], list(range(-len(wires), 0))
        spread = vec.reshape(*vec.shape[:2], *(d,) * q).movedim(axes, ends)
        out = spread.reshape(s, -1, matrix.shape[-1]) @ matrix
        return out.reshape(spread.shape).movedim(ends, axes).reshape(vec.shape)

    def _apply_fixed(self, gates: tuple[Gate, ...], vec: Tensor) -> Tensor:
        source, inverse, phase, dense = _fixed_tensors(
            self.algebra, gates, self.circuit.n_qubits, vec.dtype, vec.device
        )
        if dense is not None:
            return vec @ dense
        moved = _Permute.apply(vec, source, inverse)
        return moved if phase is None else moved * phase


class _Permute(torch.autograd.Function):
    """``vec[..., source]``; the gradient of a permutation is its inverse, not a scattered sum."""

    generate_vmap_rule = True

    @staticmethod
    def forward(vec: Tensor, source: Tensor, inverse: Tensor) -> Tensor:
        del inverse
        return vec.index_select(-1, source)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        del output
        ctx.save_for_backward(inputs[1], inputs[2])
        ctx.save_for_forward(inputs[1], inputs[2])

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _source: None, _inverse: None) -> Tensor:
        return _Permute.apply(tangent, *ctx.saved_tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        source, inverse = ctx.saved_tensors
        return _Permute.apply(grad, inverse, source), None, None


@cached_tensors
def _fixed_tensors(
    algebra: Algebra, gates: tuple[Gate, ...], n_qubits: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    source, phase = fixed_action(algebra, gates, n_qubits)
    size = len(source)
    dense = None
    if size <= algebra.matrix_dim:
        table = np.zeros((size, size), dtype=phase.dtype)
        table[source, range(size)] = phase
        dense = torch.tensor(table, dtype=dtype, device=device)
    factor = None if (phase == 1).all() else torch.tensor(phase, dtype=dtype, device=device)
    index = torch.tensor(source, device=device), torch.tensor(source.argsort(), device=device)
    return *index, factor, dense


@cached_tensors
def _transfer(channel: Channel, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``(4**w, 4**w)``, for row vectors of Pauli coefficients."""
    return torch.tensor(channel.transfer().T.copy(), dtype=dtype, device=device)


def _gather(gates: list[Gate], values: Tensor) -> Tensor:
    """Angles of gates of one kind: ``(..., N)`` features or weights to ``(..., len(gates), n_angles)``."""
    angles = [angle for gate in gates for angle in gate.angles]
    shape = (len(gates), len(gates[0].angles))
    if not angles:
        return values.new_zeros((*values.shape[:-1], *shape))
    numbers = [a for a in angles if not isinstance(a, (Feature, Weight))]
    if numbers:
        constants = constant(tuple(numbers), values.dtype, values.device)
        values = torch.cat([values, constants.expand(*values.shape[:-1], -1)], -1)
    fresh = iter(range(values.shape[-1] - len(numbers), values.shape[-1]))
    index = [a.index if isinstance(a, (Feature, Weight)) else next(fresh) for a in angles]
    start = index[0]
    if index == list(range(start, start + len(index))):
        picked = values[..., start : start + len(index)]
    else:
        picked = values.index_select(-1, constant(tuple(index), torch.int64, values.device))
    return picked.unflatten(-1, shape)


def _local_matrices(
    algebra: Algebra, slots: tuple[tuple[Gate, ...], ...], values: Tensor, left: np.ndarray | None = None
) -> Tensor:
    """The product of each slot's gates, ``(..., len(slots), d, d)``; rows ``(..., len(slots), d)`` from ``left``."""
    levels = [[s[level] if level < len(s) else None for s in slots] for level in range(max(map(len, slots)))]
    product = _level(algebra, levels[0], values, left)
    for gates in levels[1:]:
        factor = _level(algebra, gates, values, None)
        product = product @ factor if left is None else (product.unsqueeze(-2) @ factor).squeeze(-2)
    return product


def _level(algebra: Algebra, gates: list[Gate | None], values: Tensor, left: np.ndarray | None) -> Tensor:
    """One gate per slot (None for none), kinds mixed: computed kind by kind, then put back in order."""
    groups: dict[str | None, list[int]] = {}
    for slot, gate in enumerate(gates):
        groups.setdefault(None if gate is None else gate.name, []).append(slot)
    parts = []
    for name, members in groups.items():
        if name is None:
            dtype, device = algebra.dtype(values.dtype), values.device
            nothing = identity(algebra.d, dtype, device) if left is None else constant(tuple(left), dtype, device)
            parts.append(nothing.expand(*values.shape[:-1], len(members), *nothing.shape))
        else:
            chosen = [gate for gate in (gates[m] for m in members) if gate is not None]
            parts.append(algebra.matrices(name, _gather(chosen, values), left))
    if len(parts) == 1:
        return parts[0]
    order = [slot for members in groups.values() for slot in members]
    back = constant(tuple(np.argsort(order).tolist()), torch.int64, values.device)
    axis = values.dim() - 1
    return torch.cat(parts, axis).index_select(axis, back)


def _kron_rows(rows: Tensor) -> Tensor:
    """``(..., Q, d)`` to ``(..., d**Q)``."""
    out, *others = rows.unbind(-2)
    for row in others:
        out = (out.unsqueeze(-1) * row.unsqueeze(-2)).flatten(-2)
    return out


def _kron_matrices(matrices: Tensor) -> Tensor:
    """``(..., Q, d, d)`` to ``(..., d**Q, d**Q)``."""
    out, *others = matrices.unbind(-3)
    for factor in others:
        out = out[..., :, None, :, None] * factor[..., None, :, None, :]
        out = out.flatten(-4, -3).flatten(-2)
    return out


def _kron_groups(matrices: Tensor, size: int) -> list[tuple[Tensor, ...]]:
    """``(S, L, Q, d, d)`` to the products of ``size`` wires and of what is left: for each, one ``(S, D, D)`` a layer."""
    q = matrices.shape[2]
    whole = q - q % size
    together = _kron_matrices(matrices[:, :, :whole].unflatten(2, (-1, size)))
    products = [*together.unbind(2)]
    if whole < q:
        products.append(_kron_matrices(matrices[:, :, whole:]))
    return [product.unbind(1) for product in products]
