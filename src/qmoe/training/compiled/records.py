"""From the parts of a stack and its data to the records that the kernels read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from qmoe.compiled.lanes import WIDTH
from qmoe.engines import interpolation
from qmoe.engines.calling import CALL_SIZE, CompiledCircuit
from qmoe.engines.running import CircuitModule
from qmoe.routers.controls import permutation_of
from qmoe.training.compiled import layout as at
from qmoe.training.compiled.parts import MixtureParts

_CPU = torch.device("cpu")
#: Bytes of final states up to which they are kept for the backward pass, which otherwise runs forward again.
_KEEP_BYTES = 1 << 26
#: How many times more samples than nodes make interpolation quicker: at 44 times an evaluation takes 0.45 of the time, at
#: 3.5 times, nine nodes for a batch of 32, as long.
_LESS_WORK = 4
#: Operations of a backward pass of a circuit, in those of a forward pass.
BACKWARD = 3


@dataclass(frozen=True)
class Rows:
    """One part of the data.

    Args:
        x: ``(M, N, F)`` features.
        y: ``(M, N)`` labels, int64, or ``(M, N, O)`` numbers of the type of the features.
        functions: ``(M, N, n_given)`` functions of them, contiguous, or None.
        piece: rows that are handled at once.
    """

    x: Tensor
    y: Tensor
    functions: Tensor | None
    piece: int

    @property
    def sizes(self) -> tuple[int, int]:
        """Samples of all pieces but the last, and of the last."""
        n = self.x.shape[1]
        return min(self.piece, n), n % min(self.piece, n)


class Values:
    """The numbers of all models, a row each: those that are trained first, then those that are not.

    Args:
        parts: what they are the numbers of.
        n_models: number of rows M.
        dtype: of the numbers.

    Attributes:
        rows: ``(M, n)``.
        n_trained: how many numbers of a row are trained.
        places: name of a part -> where it begins; -1 for what is not there.
    """

    def __init__(self, parts: MixtureParts, n_models: int, dtype: np.dtype) -> None:
        self._tensors = dict(sorted(parts.values.items(), key=lambda item: (not item[1].requires_grad, item[0])))
        self.places = dict.fromkeys(at.PARTS, -1)
        place = self.n_trained = 0
        for name, tensor in self._tensors.items():
            self.places[name] = place
            place += tensor.numel() // n_models
            if tensor.requires_grad:
                self.n_trained = place
        self.rows = np.zeros((n_models, place), dtype)
        for name, tensor in self._tensors.items():
            flat = tensor.detach().resolve_neg().reshape(n_models, -1).numpy()
            self.rows[:, self.places[name] : self.places[name] + flat.shape[1]] = flat

    def write_back(self) -> None:
        """Copies what was trained to the tensors that it came from."""
        for name, tensor in self._tensors.items():
            if tensor.requires_grad:
                self.read(name, self.rows, tensor.detach())

    def trained(self) -> list[tuple[Tensor, slice]]:
        """The tensors that are trained, each with its place in a row."""
        found = []
        for name, tensor in self._tensors.items():
            if tensor.requires_grad:
                found.append((tensor, slice(self.places[name], self.places[name] + tensor[0].numel())))
        return found

    def read(self, name: int, rows: np.ndarray, out: Tensor) -> None:
        """Copies a part of ``rows``, laid out as these are, to a tensor ``(M, ...)``."""
        place = self.places[name]
        out.copy_(torch.from_numpy(rows[:, place : place + out[0].numel()]).view_as(out))


def make_shape(parts: MixtureParts, n_samples: int, itemsize: int, kept: list[object]) -> np.ndarray:
    """The record of one number of samples; what it gives addresses of is added to ``kept``."""
    values: dict[int, int | np.ndarray] = {}
    if parts.router.routing == at.PERMUTED:
        values[at.PERMUTATION] = np.array(permutation_of(n_samples), dtype=np.int64)
    for circuit, first in ((parts.router.circuit, at.ROUTER_CODE), (parts.experts.circuit, at.EXPERT_CODE)):
        n_measured = parts.router.n_measured(n_samples) if first == at.ROUTER_CODE else n_samples
        code = None if circuit is None else machine_code(circuit, n_measured, itemsize)
        if code is not None:
            kept.append(code)
            values |= {
                first + at.FORWARD: code.forward, first + at.BACKWARD: code.backward, first + at.HEADER: code.header,
                first + at.OFFSETS: code.parts, first + at.N_CHUNKS: code.n_chunks, first + at.CHUNK: code.chunk,
                first + at.HAS_STATES: int(0 < code.states <= _KEEP_BYTES),
            }  # fmt: skip
    record = at.make_record(at.SHAPE_SIZE, values)
    kept += [record, *values.values()]
    return record


def machine_code(circuit: CircuitModule, n_samples: int, itemsize: int) -> CompiledCircuit | None:
    """What runs a circuit on so many samples; None where its engine has no machine code."""
    engine, _ = circuit.engine_for(_CPU)
    return engine.compiled(circuit.circuit, n_samples, itemsize)


def interpolated(parts: MixtureParts, n_samples: int, itemsize: int) -> MixtureParts:
    """The same with the router's circuit measured at nodes, where that is less work in batches of ``n_samples``."""
    router, circuit = parts.router, parts.router.circuit
    if router.source != at.CIRCUIT or circuit is None or at.PROJECT_WEIGHT in parts.values:
        return parts
    described = circuit.circuit
    n_nodes = interpolation.n_nodes(described)
    if n_nodes is None or _LESS_WORK * n_nodes > n_samples:
        return parts
    dtype = np.float32 if itemsize == 4 else np.float64
    nodes = np.ascontiguousarray(interpolation.nodes(described).numpy().T, dtype=dtype)
    find = functools.partial(interpolation.node_weights, described)
    return replace(parts, router=replace(router, source=at.INTERPOLATED, nodes=nodes, functions=find))


def make_pass(rows: Rows, shapes: dict[int, np.ndarray], kept: list[object]) -> np.ndarray:
    """The record of a pass over rows, for which there are ``shapes`` by number of samples."""
    size, rest = rows.sizes
    values: dict[int, int | np.ndarray] = {
        at.N_ROWS: rows.x.shape[1], at.PIECE: size, at.SHAPE: shapes[size], at.X: rows.x.data_ptr(), at.Y: rows.y.data_ptr(),
        **dict(zip((at.X_MODEL, at.X_ROW, at.X_FEATURE), rows.x.stride(), strict=True)),
        **dict(zip((at.Y_MODEL, at.Y_ROW, at.Y_OUTPUT), rows.y.stride(), strict=False)),
    }  # fmt: skip
    if rest:
        values[at.LAST_SHAPE] = shapes[rest]
    if rows.functions is not None:
        values[at.GIVEN] = rows.functions.data_ptr()
    record = at.make_record(at.PASS, values)
    kept += [record, rows]
    return record


def column_counts(parts: MixtureParts) -> dict[int, int]:
    """Rows of each matrix of columns."""
    router, n_experts = parts.router, parts.n_experts
    n_encoded = _n_encoded(parts)
    deep = n_experts * parts.experts.width
    mean = n_experts if router.routing == at.MEAN else 0
    projected = n_encoded if at.PROJECT_WEIGHT in parts.values else 0
    made = router.products
    n_angles, n_waves, n_products = (
        (0, 0, 0) if made is None else (made.n_angles, made.n_angles * (2 * made.top + 1), len(made.order))
    )
    return {
        at.AT_X: parts.n_features, at.AT_ROUTER_X: parts.n_features if router.routing == at.PERMUTED else 0,
        at.AT_ENCODED: projected, at.AT_ENCODED_GRADIENT: projected,
        at.AT_INPUTS: router.n_inputs, at.AT_INPUT_GRADIENT: max(router.n_inputs, n_products),
        at.AT_HIDDEN: router.width, at.AT_SLOPE: router.width, at.AT_HIDDEN_GRADIENT: router.width,
        at.AT_OWN: mean, at.AT_GATE: n_experts, at.AT_GATE_GRADIENT: n_experts,
        at.AT_DEEP: deep, at.AT_DEEP_SLOPE: deep, at.AT_DEEP_GRADIENT: deep,
        at.AT_WIDE: n_experts * parts.n_out, at.AT_MIXED: parts.n_out, at.AT_MIXED_GRADIENT: parts.n_out,
        at.AT_LOGITS: parts.n_classes, at.AT_LOGIT_GRADIENT: parts.n_classes,
        at.AT_GIVEN: router.n_given if router.source in (at.CHAIN_SIGNS, at.INTERPOLATED) else 0,
        at.AT_ANGLES: n_angles, at.AT_ANGLE_GRADIENT: n_angles, at.AT_TABLE: n_waves, at.AT_TABLE_GRADIENT: n_waves,
        at.AT_PRODUCTS: n_products,
        at.AT_LABEL: 1, at.AT_CHOICE: 1, at.AT_LARGEST: 1, at.AT_TOTAL: 1,
    }  # fmt: skip


def make_plan(parts: MixtureParts, values: Values) -> np.ndarray:
    """The plan of a stack, but for its passes and what they read and write."""
    router, experts = parts.router, parts.experts
    angles = [0 if c is None else c.circuit.n_weights for c in (router.circuit, experts.circuit)]
    counts = column_counts(parts)
    firsts = np.cumsum([0, *(counts[k] for k in range(at.N_COLUMNS))])
    trained = {name for name, tensor in parts.values.items() if tensor.requires_grad}
    before = {at.ROUTER_ANGLES, at.PROJECT_WEIGHT, at.PROJECT_BIAS}
    return at.make_record(
        at.PLAN_SIZE,
        {
            at.N_MODELS: len(values.rows), at.N_FEATURES: parts.n_features, at.N_INPUTS: router.n_inputs,
            at.N_EXPERTS: parts.n_experts, at.N_OUT: parts.n_out, at.N_CLASSES: parts.n_classes,
            at.ROUTER_WIDTH: router.width, at.EXPERT_WIDTH: experts.width, at.N_ENCODED: _n_encoded(parts),
            at.N_CIRCUITS: 0 if experts.circuit is None else parts.n_experts,
            at.SOURCE: router.source, at.WEIGHING: router.weighing, at.ROUTING: router.routing,
            at.ROUTER_ACTIVATION: router.activation, at.EXPERT_ACTIVATION: experts.activation,
            at.VALUES: values.rows, at.N_VALUES: values.rows.shape[1], at.N_TRAINED: values.n_trained,
            at.N_BITS: router.n_bits, at.N_CHAIN_LAYERS: router.n_chain_layers,
            at.N_NODES: 0 if router.nodes is None else router.n_given, at.NODES: 0 if router.nodes is None else router.nodes,
            at.N_ROUTER_ANGLES: angles[0], at.N_EXPERT_ANGLES: angles[1],
            at.PRODUCTS: 0 if router.product_record is None else router.product_record,
            at.TRAINS_ROUTER: int(not trained.isdisjoint(before)),
            at.TRAINS_EXPERTS: int(at.EXPERT_ANGLES in trained),
            **values.places,
            **{at.FIRST_COLUMN + k: int(firsts[k]) for k in range(at.N_COLUMNS)},
        },
    )  # fmt: skip


def _n_encoded(parts: MixtureParts) -> int:
    if at.PROJECT_BIAS in parts.values:
        return int(parts.values[at.PROJECT_BIAS].shape[-1])
    circuit = parts.router.circuit
    return 0 if circuit is None else circuit.circuit.in_features


def chain_numbers(parts: MixtureParts) -> int:
    """Numbers that a stochastic chain keeps: what bit strings give before each gate and at the end, and one to work in."""
    n_bits = parts.router.n_bits
    return (n_bits * parts.router.n_chain_layers + 2) * (n_bits // 2) * 2**n_bits if n_bits else 0


class Memory:
    """What one thread works in.

    Args:
        parts: what is run.
        n_values: numbers in a row of values.
        n_rows: rows of the data that are trained on.
        sizes: numbers of samples that are handled at once.
        itemsize: bytes of a number.

    Attributes:
        record: addresses of its parts.
        address: of the record.
    """

    def __init__(self, parts: MixtureParts, n_values: int, n_rows: int, sizes: Sequence[int], itemsize: int) -> None:
        largest, n_columns = max(sizes), sum(column_counts(parts).values())
        sizes_of = {
            at.COLUMNS: n_columns * largest * itemsize, at.GRADIENT: n_values * itemsize,
            at.CHAIN: chain_numbers(parts) * itemsize, at.ORDER: n_rows * 8,
            at.ANGLE_NUMBERS: 0 if parts.router.products is None else 3 * largest * 8,
        }  # fmt: skip
        partial = strengths = 0
        values: dict[int, int | np.ndarray] = {}
        of_router = (at.ROUTER_CALL, at.ROUTER_SCRATCH, at.ROUTER_STATES), (at.ROUTER_OUT, at.ROUTER_GIVEN)
        of_experts = (at.EXPERT_CALL, at.EXPERT_SCRATCH, at.EXPERT_STATES), (at.EXPERT_OUT, at.EXPERT_GIVEN)
        places = ((parts.router.circuit, 1, *of_router), (parts.experts.circuit, parts.n_experts, *of_experts))
        for circuit, copies, (call, scratch, states), (out, given) in places:
            if circuit is None:
                continue
            is_router = circuit is parts.router.circuit
            measured = {parts.router.n_measured(n) if is_router else n for n in sizes}
            codes = [code for n in measured if (code := machine_code(circuit, n, itemsize)) is not None]
            scratch_bytes = _whole_lines(max(code.scratch for code in codes))
            state_bytes = _whole_lines(max((c.states for c in codes if c.states <= _KEEP_BYTES), default=0))
            n_chunks, described = max(code.n_chunks for code in codes), circuit.circuit
            sizes_of |= {call: copies * 8 * CALL_SIZE, scratch: copies * scratch_bytes, states: copies * state_bytes}
            outputs = max(measured) * described.n_outputs * itemsize
            sizes_of |= {out: copies * outputs, given: outputs}
            if is_router and parts.router.nodes is not None:
                sizes_of |= {at.NODE_VALUES: outputs, at.NODE_GRADIENTS: outputs}
            partial = max(partial, n_chunks * described.n_weights * itemsize)
            strengths = max(strengths, n_chunks * itemsize)
            if circuit is parts.experts.circuit:
                values |= {at.SCRATCH_BYTES: scratch_bytes, at.STATE_BYTES: state_bytes}
        sizes_of |= {at.PARTIAL: partial, at.STRENGTH_GRADIENT: strengths}
        sizes_of[at.ENCODED_GRADIENT] = largest * _n_encoded(parts) * itemsize
        # Whole cache lines, and a page of one's own between threads.
        names = list(sizes_of)
        places_of = np.cumsum([0, *(_whole_lines(sizes_of[name]) for name in names)])
        self._bytes = torch.empty(int(places_of[-1]) + WIDTH, dtype=torch.uint8, device=_CPU)
        start = _whole_lines(self._bytes.data_ptr())
        values |= {name: start + int(place) for name, place in zip(names, places_of, strict=False)}
        self.record = at.make_record(at.MEMORY, values)
        self.address = int(self.record.ctypes.data)

    def gradient(self, n: int, dtype: np.dtype) -> np.ndarray:
        """``(n,)``: a view of the gradients that the last batch left."""
        offset = int(self.record[at.GRADIENT]) - self._bytes.data_ptr()
        return self._bytes.numpy()[offset : offset + n * dtype.itemsize].view(dtype)


def _whole_lines(n: int) -> int:
    return -(-n // WIDTH) * WIDTH
