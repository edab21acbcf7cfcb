"""What training one stack takes: bytes and operations, by arithmetic on the spec of one of its trials."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch

from qmoe.studies.admission.part_sizes import CircuitSize, PartSize, experts_size, n_outputs, router_size
from qmoe.studies.assembly import data_sizes, problem_numbers, row_counts
from qmoe.studies.specs.study import DataSpec, ModelSpec
from qmoe.studies.trials import TrialSpec
from qmoe.training.autograd_trainer import EVALUATION_ROWS
from qmoe.training.compiled.step import MAX_BATCH_OPERATIONS, MAX_BATCH_PRODUCTS, MAX_GIVEN, PIECE

#: Trials in one stack at most: beyond it a stack is no faster per trial, and an interruption costs more.
MAX_STACK = 128
#: The same for trials that go to a minimum one after another: a stack only shares what it builds.
MAX_MINIMIZED = 32
#: Bytes of one stack, as predicted, if it is more than one trial; more trials side by side are no faster from there on.
MAX_STACK_BYTES = 1 << 29

#: Parameters of a model stand so often: in the model, the stack, the values that train, and two moments of Adam. Where it
#: is evaluated the moments are gone.
_COPIES, _COPIES_EVALUATED = 5, 3
#: Tensors of all layers' outputs that stand at once, where rows are evaluated and where they are differentiated.
_EVALUATED, _DIFFERENTIATED = 3, 4
#: Bytes of an epoch of one trial: three numbers, in arrays and then in lists and as text.
_EPOCH = 3 * 64
#: Bytes of a model's modules, its record and what is kept beside.
_MODEL = 48 << 10
#: Bytes of the memory of threads, and of what is made on the way.
_SHARED = 4 << 20
#: Samples whose states stand side by side in a register of the native engine, for floats of 4 bytes.
_LANES = 16
#: Numbers of a state from which on samples are handled one after another, and bytes of tables of phases then.
_LARGE, _TABLES = 1 << 15, 64 << 20
#: Bytes that the native engine keeps of states at most.
_MAX_KEPT = 1 << 28
#: States that autograd keeps for each gate, bytes that it takes to begin with, and operations that a gate costs however few
#: numbers there are.
_KEPT_GATE, _AUTOGRAD, _GATE_CALL = 0.75, 64 << 20, 2e6
#: A third of the operations of a batch by autograd beside its arithmetic: what its calls take of a stack of a few models.
_STEP_CALL = 5e6
#: A router's circuit is measured at nodes where they are so many times fewer than the rows of a batch.
_LESS_WORK = 4
#: Seconds that one of the operations takes on a quick machine, roughly.
SECONDS_OF_OPERATION = 4.5e-11
#: Operations of what an epoch does to each row beside the products of its layers.
_ROW = 400.0
#: Forward and backward, in forwards; and evaluations of an iteration of L-BFGS. How many iterations a start takes is known
#: only afterwards: 441 on average over the 16,992 starts of `qmoe reproduce`, half of them at most 190, a third all 1,000.
_STEP, _ITERATION, _ITERATIONS = 3.0, 1.1, 441


@dataclass(frozen=True)
class Footprint:
    """What training takes.

    Attributes:
        shared: bytes however many trials there are.
        each: bytes of one trial.
        operations: floating-point operations of one trial, roughly.
        lower: options that most of the memory comes from, in words.
    """

    shared: int
    each: int
    operations: float
    lower: str

    def bytes(self, n_trials: int) -> int:
        """Bytes of so many trials side by side."""
        return self.shared + n_trials * self.each


def footprint(trial: TrialSpec) -> Footprint:
    """What training a trial takes; of trials of one shape all take the same."""
    return _footprint(trial.shape_key, _Once(trial))


def largest_stack(trial: TrialSpec) -> int:
    """How many trials of this shape a stack holds at most, at least one."""
    most = MAX_MINIMIZED if trial.training.optimiser == "lbfgs" else MAX_STACK
    taken = footprint(trial)
    return max(1, min(most, (MAX_STACK_BYTES - taken.shared) // taken.each))


def data_bytes(data: DataSpec) -> int:
    """Bytes of one draw of the data, before and after scaling."""
    raw_features, _ = data_sizes(data)
    return sum(row_counts(data)) * 8 * (raw_features + (data.components or raw_features) + 1)


def model_bytes(model: ModelSpec, data: DataSpec) -> int:
    """Bytes of the parameters of one model in float32, and of one sample's states."""
    router, experts, head = part_sizes(model, data)
    states = sum(2 * part.circuit.state for part in (router, experts) if part.circuit is not None)
    return 4 * (router.numbers + experts.numbers + head + states)


class _Once:
    """A trial that counts as equal to every other, since its shape stands beside it."""

    def __init__(self, trial: TrialSpec) -> None:
        self.trial = trial

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=1024)
def _footprint(shape: str, once: _Once) -> Footprint:
    del shape
    trial = once.trial
    training, data = trial.training, trial.data
    n_train, n_test = row_counts(data)
    raw_features, _ = data_sizes(data)
    n_features = data.components or raw_features
    size: int = getattr(torch, training.dtype).itemsize
    router, experts, head = part_sizes(trial.model, data)
    parts = router, experts
    numbers = router.numbers + experts.numbers + head
    per_row = router.per_row + experts.per_row + n_features + 8
    batch = n_train if training.optimiser == "lbfgs" else min(training.batch_size, n_train)
    compiles = not training.balance_loss and _compiles(trial.model, parts, n_train, batch)
    evaluated = min(EVALUATION_ROWS, max(n_train if not compiles else 0, n_test))

    rows = (n_train + n_test) * (8 * (raw_features + 2 * n_features) + 2 * size * n_features + 40)
    given = router.functions if compiles and router.fixed else 0
    if compiles and router.circuit is not None and _at_nodes(router, batch):
        given = router.circuit.nodes
    # They are found in float64, with something beside.
    functions = n_train * given * (size + 16)
    at_once = batch if router.fixed else max(PIECE, batch)
    differentiated = at_once * per_row * size * _DIFFERENTIATED
    layers = evaluated * per_row * size * _EVALUATED
    # Functions of all rows of one model are there when they are standardised.
    shared = _SHARED + 16 * (n_train + n_test) * raw_features + 8 * problem_numbers(data)
    shared += 2 * n_train * router.functions * size
    trained = _COPIES * numbers * size + functions
    if compiles:
        shared += differentiated
    else:
        trained += differentiated
    each = _MODEL + rows + max(trained, _COPIES_EVALUATED * numbers * size + layers)
    states = 0
    for circuit in (part.circuit for part in parts if part.circuit is not None):
        more, own = _circuit_bytes(circuit, batch, evaluated, size)
        shared, each, states = shared + more, each + own, states + more + own
    histories = 0 if training.optimiser == "lbfgs" else training.epochs * _EPOCH
    taken = {
        "the rows or features of the data": rows + 8 * problem_numbers(data),
        "hidden, out_features, n_experts or whatever else makes the model large": _COPIES * numbers * size,
        "training.batch_size, or the width of the layers": max(differentiated, layers),
        "the functions of the router, or the rows": functions,
        "n_qubits, n_layers or training.batch_size": states,
        "training.epochs": histories,
    }
    lower = max(taken, key=lambda words: taken[words])
    return Footprint(shared, each + histories, _operations(trial, parts, head, n_train, n_test, batch, compiles), lower)


def part_sizes(model: ModelSpec, data: DataSpec) -> tuple[PartSize, PartSize, int]:
    """Router, experts, and the parameters of the head."""
    raw_features, n_classes = data_sizes(data)
    n_features = data.components or raw_features
    router = router_size(model.router, n_features, model.n_experts)
    experts = experts_size(model.experts, n_features, n_classes, model.n_experts)
    head = n_classes * (n_outputs(model.experts, n_features, n_classes) + 1) if model.head else 0
    return router, experts, head


def _at_nodes(router: PartSize, batch: int) -> bool:
    """Whether the circuit of a router is measured at nodes, which are fewer than the rows of a batch."""
    return router.circuit is not None and 0 < _LESS_WORK * router.circuit.nodes <= batch


def _compiles(model: ModelSpec, parts: tuple[PartSize, ...], n_rows: int, batch: int) -> bool:
    """Whether training is one compiled call, as far as sizes decide it; see `qmoe.training.compiled.step`."""
    if model.top_k not in (None, model.n_experts):
        return False
    router = parts[0]
    rows, most = (n_rows, MAX_GIVEN) if router.fixed else (max(PIECE, batch), MAX_BATCH_PRODUCTS)
    if rows * router.functions > most:
        return False
    circuits = [part.circuit for part in parts if part.circuit is not None]
    return all(c.native and _STEP * c.operations * batch <= MAX_BATCH_OPERATIONS for c in circuits)


def _circuit_bytes(circuit: CircuitSize, batch: int, evaluated: int, size: int) -> tuple[int, int]:
    """Bytes that circuits take however many trials there are, and those of each trial."""
    state = circuit.state * size
    if not circuit.native:
        kept = math.ceil(max(batch * (_KEPT_GATE * circuit.n_gates + 3), evaluated * 6))
        return _AUTOGRAD, circuit.copies * state * kept
    if state >= _LARGE * size:  # samples one after another, each in memory of its own
        return min(2 * state * (circuit.n_gates + 4), _TABLES + 8 * state), min(
            _MAX_KEPT, circuit.copies * state * batch
        )
    lanes = _LANES * 4 // size
    return 2 * lanes * state * (circuit.n_gates + 4), min(
        _MAX_KEPT, circuit.copies * state * -(-batch // lanes) * lanes
    )


def _operations(
    trial: TrialSpec, parts: tuple[PartSize, PartSize], head: int, n_train: int, n_test: int, batch: int, compiles: bool
) -> float:
    forward = _ROW + 2.0 * head + sum(part.operations for part in parts)
    circuit = parts[0].circuit
    if compiles and circuit is not None and _at_nodes(parts[0], batch):
        # It runs at the nodes, and each row takes a product.
        forward -= circuit.operations * (1.0 - circuit.nodes / batch)
        forward += 2.0 * circuit.nodes
    slow = sum(part.circuit.n_gates for part in parts if part.circuit is not None and not part.circuit.native)
    forward += (_GATE_CALL * slow + (0.0 if compiles else _STEP_CALL)) / batch
    if trial.training.optimiser == "lbfgs":
        return _ITERATION * _STEP * forward * n_train * min(trial.training.max_iterations, _ITERATIONS)
    tested = n_test if trial.data.test_samples is None else 0
    return trial.training.epochs * forward * (_STEP * n_train + tested)
