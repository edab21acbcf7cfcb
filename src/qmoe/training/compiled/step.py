"""Training a stack of mixtures in machine code: whole epochs of each model, from the order of its rows to its accuracies.

Small models cost their number of operations, not their arithmetic: some 40 operations of torch, and Python between them,
cost ten times what they compute.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from qmoe.compiled.cache import declare, kernel
from qmoe.compiled.threads import THREAD_OPERATIONS, run_shares
from qmoe.engines.calling import CompiledCircuit
from qmoe.training.autograd_trainer import EVALUATION_ROWS
from qmoe.training.compiled import layout as at
from qmoe.training.compiled.parts import MixtureParts, parts_of
from qmoe.training.compiled.records import (
    BACKWARD,
    Memory,
    Rows,
    Values,
    chain_numbers,
    column_counts,
    interpolated,
    machine_code,
    make_pass,
    make_plan,
    make_shape,
)
from qmoe.training.loss import CrossEntropy, Loss, SquaredError
from qmoe.training.orders import Orders
from qmoe.training.stack import ModelStack
from qmoe.training.trainer import Histories, Part, Trainer, TrainingConfig

#: The kernel: epochs of Adam, accuracies, a loss with its gradient.
KERNELS = declare("qmoe.training.compiled.kernel", ("run_models", 5))
#: Adam's, and torch's defaults.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
#: Numbers of functions of one model's rows up to which they are computed once for all epochs.
MAX_GIVEN = 1 << 22
#: Numbers of products behind a linear map, of all rows that are handled at once: with more of them, torch's matrix products,
#: which do not list them, are quicker. At 6,560 functions and 128 rows both take as long.
MAX_BATCH_PRODUCTS = 1 << 20
#: Operations of one batch of one model above which its circuits are left to their engine, whose threads share them.
MAX_BATCH_OPERATIONS = THREAD_OPERATIONS
#: Operations of the epochs that one call runs, if it is one epoch at least: some hundredths of a second.
CALL_OPERATIONS = 8e8
#: Rows that one evaluation handles at once.
PIECE = 128
#: The losses of the kernel; a subclass may compute something else.
_LOSSES: dict[type[Loss], int] = {CrossEntropy: at.CROSS_ENTROPY, SquaredError: at.SQUARED_ERROR}


def compiles(loss: Loss) -> bool:
    """Whether the kernel has a loss."""
    return type(loss) in _LOSSES


def compiled_parts(stack: ModelStack, n_rows: int, batch_size: int) -> MixtureParts | None:
    """The parts of a stack that compiles; None for one that is trained by autograd.

    That is everything but a dense mixture on the CPU of qmoe's own parts; circuits that an engine other than the native one
    runs, or of which one batch is enough work for several threads; gates on so many functions of so many rows that they
    would fill the memory; and batches of twins behind a linear map for which matrix products are quicker. The answer does
    not depend on the number of models.
    """
    parts = parts_of(stack.module, len(stack))
    if parts is None:
        return None
    size, n_samples = _itemsize(stack), min(batch_size, n_rows)
    at_nodes = interpolated(parts, n_samples, size)
    if n_rows * at_nodes.router.n_given <= MAX_GIVEN:
        parts = at_nodes
    if parts.router.functions is not None and n_rows * parts.router.n_given > MAX_GIVEN:
        return None
    made = parts.router.products
    if made is not None and len(made.order) * evaluation_piece(parts, n_samples) > MAX_BATCH_PRODUCTS:
        return None
    codes = _codes(parts, n_samples, size)
    if any(code is None or (1 + BACKWARD) * code.cost * copies > MAX_BATCH_OPERATIONS for code, copies in codes):
        return None
    return parts


def evaluation_piece(parts: MixtureParts, batch_size: int) -> int:
    """How many rows are evaluated at once; as by autograd where a sample's routing depends on others of the batch."""
    return max(PIECE, batch_size) if parts.router.routing == at.OWN else EVALUATION_ROWS


class CompiledTrainer(Trainer):
    """Trains in machine code; threads take one model after another.

    Args:
        stack: what to train.
        parts: what `compiled_parts` says that it is made of.
        train: what to train on.
        test: what to evaluate on, or None.
        config: batch size, learning rate and when to evaluate.
    """

    def __init__(
        self, stack: ModelStack, parts: MixtureParts, train: Part, test: Part | None, config: TrainingConfig
    ) -> None:
        self._lr, self._n_updates = config.lr, 0
        piece = evaluation_piece(parts, min(config.batch_size, train.y.shape[1]))
        runner = Runner(stack, parts, [(train, config.batch_size), (train, piece), *([(test, piece)] if test else [])])
        self._runner, self._plan, self._has_test = runner, runner.plan, test is not None
        self._n_models, self._n_rows = train.y.shape[:2]
        self._n_batches = math.ceil(self._n_rows / config.batch_size)
        shape = self._n_models, runner.values.n_trained
        self._moments = np.zeros(shape, runner.dtype), np.zeros(shape, runner.dtype)
        self._plan[at.FIRST_MOMENTS], self._plan[at.SECOND_MOMENTS] = (m.ctypes.data for m in self._moments)
        self._plan[at.LOSS_KIND] = _LOSSES[type(config.loss)]
        self._plan[at.BATCHES] = runner.passes[0].ctypes.data
        if test is not None and config.evaluate == "epoch":
            self._plan[at.TEST_ROWS] = runner.passes[2].ctypes.data

    def epochs_at_once(self, left: int) -> int:
        """So many that a call takes some hundredths of a second."""
        n_epochs = int(CALL_OPERATIONS / self._runner.operations(self._n_models * self._n_rows))
        return max(1, min(left, n_epochs))

    def run(self, orders: Orders, n_epochs: int) -> Histories:
        """Trains for some epochs."""
        factors = self._factors(n_epochs * self._n_batches)
        histories = Histories(*(np.full((self._n_models, n_epochs), np.nan) for _ in range(3)))
        self._plan[at.N_EPOCHS] = n_epochs
        places = at.ORDERS, at.FACTORS, at.LOSS, at.RUNNING, at.TEST
        arrays = orders.states, factors, histories.loss, histories.running, histories.test
        for place, array in zip(places, arrays, strict=True):
            self._plan[place] = array.ctypes.data
        self._runner.share(at.TRAIN, n_epochs * self._n_models * self._n_rows)
        return histories

    def train_accuracy(self) -> np.ndarray:
        """Accuracies on the training part."""
        return self._runner.accuracy(self._runner.passes[1])

    def test_accuracy(self) -> np.ndarray:
        """Accuracies on the test part."""
        return self._runner.accuracy(self._runner.passes[2]) if self._has_test else np.full(self._n_models, np.nan)

    def write_back(self) -> None:
        """Copies the values to the stack's parameters."""
        self._runner.values.write_back()

    def _factors(self, n_steps: int) -> np.ndarray:
        """``(n_steps, 6)``: the numbers of the next steps of Adam that are the same for all parameters."""
        steps = range(self._n_updates + 1, self._n_updates + n_steps + 1)
        self._n_updates += n_steps
        factors = np.empty((n_steps, 6))
        factors[:] = 1 - BETA1, BETA2, 1 - BETA2, 0.0, 0.0, EPSILON
        # Powers as torch has them, by the C library; all else is exact to the last digit in NumPy as well.
        factors[:, 3] = self._lr / (1 - np.array([BETA1**t for t in steps]))
        factors[:, 4] = np.sqrt(1 - np.array([BETA2**t for t in steps]))
        return factors


class Runner:
    """The plan of a stack, memory for its threads, and calls of the kernels.

    Args:
        stack: what to run.
        parts: what it is made of.
        data: parts of the data, each with the number of rows that are handled at once.

    Attributes:
        plan: the record of that name.
        passes: the records of the parts of the data.
        values: the numbers of the models.
        dtype: their type.
    """

    def __init__(self, stack: ModelStack, parts: MixtureParts, data: list[tuple[Part, int]]) -> None:
        rows = _rows(parts, data)
        size, self.dtype = _itemsize(stack), rows[0].x.numpy().dtype
        self.values = Values(parts, len(stack), self.dtype)
        sizes = sorted({n for each in rows for n in each.sizes if n})
        kept: list[object] = [parts]
        shapes = {n: make_shape(parts, n, size, kept) for n in sizes}
        self.passes = [make_pass(each, shapes, kept) for each in rows]
        self.plan = make_plan(parts, self.values)
        self._kept, self._size = kept, size
        n_values, n_rows = self.values.rows.shape[1], rows[0].x.shape[1]
        self._new_memory = functools.partial(Memory, parts, n_values, n_rows, sizes, size)
        self._memories = [self._new_memory()]
        self._run, self._plan = kernel(KERNELS[0], size), self.plan.ctypes.data
        self._row_operations = _row_operations(parts, rows[0], size)

    def operations(self, n_rows: int) -> float:
        """How many operations training on so many rows takes, roughly."""
        return self._row_operations * n_rows

    def run(self, task: int, subject: int = 0, out: int = 0) -> None:
        """Runs a task of the kernel on this thread."""
        self._run(self._plan, self._memories[0].address, task, subject, out)

    def share(self, task: int, n_rows: int, subject: int = 0, out: int = 0) -> None:
        """Runs a task of which threads take one model after another.

        Args:
            task: what the kernel does.
            n_rows: how many rows it goes through in all.
            subject: the kernel's argument.
            out: the kernel's argument.
        """
        n_threads = 1
        if self.operations(n_rows) > THREAD_OPERATIONS:
            n_threads = min(torch.get_num_threads(), len(self.values.rows))
        while len(self._memories) < n_threads:
            self._memories.append(self._new_memory())
        self.plan[at.NEXT] = 0
        arguments = task, subject, out
        run_shares(
            [functools.partial(self._run, self._plan, m.address, *arguments) for m in self._memories[:n_threads]]
        )

    def accuracy(self, rows: np.ndarray) -> np.ndarray:
        """``(M,)``: accuracies on a pass over rows; NaN where an output is not finite."""
        out = np.empty(len(self.values.rows))
        self.share(at.FIND_ACCURACY, len(out) * int(rows[at.N_ROWS]), int(rows.ctypes.data), int(out.ctypes.data))
        return out

    def gradient(self) -> np.ndarray:
        """``(n,)``: what is trained of the gradients that the last `run` left; the next changes them."""
        return self._memories[0].gradient(self.values.n_trained, self.dtype)


@torch.no_grad()
def _rows(parts: MixtureParts, data: list[tuple[Part, int]]) -> list[Rows]:
    """The parts of the data with the functions that the router looks at, each computed once."""
    functions: dict[int, torch.Tensor | None] = {}
    rows = []
    for part, piece in data:
        if id(part) not in functions:
            find = parts.router.functions
            functions[id(part)] = None if find is None else find(part.x).contiguous()
        rows.append(Rows(part.x, part.y, functions[id(part)], piece))
    return rows


def _codes(parts: MixtureParts, n_samples: int, itemsize: int) -> list[tuple[CompiledCircuit | None, int]]:
    """What runs the circuits in a batch of ``n_samples``, and how many of each there are in a model."""
    router, experts = parts.router.circuit, parts.experts.circuit
    codes = []
    if router is not None:
        codes.append((machine_code(router, parts.router.n_measured(n_samples), itemsize), 1))
    if experts is not None:
        codes.append((machine_code(experts, n_samples, itemsize), parts.n_experts))
    return codes


def _row_operations(parts: MixtureParts, rows: Rows, itemsize: int) -> float:
    """Operations of training on one row."""
    n = rows.sizes[0]
    codes = _codes(parts, n, itemsize)
    circuits = sum((1 + BACKWARD) * copies * code.cost / n for code, copies in codes if code is not None)
    counts = column_counts(parts)
    inputs = counts[at.AT_INPUTS] + counts[at.AT_X]
    layers = counts[at.AT_HIDDEN] * parts.n_experts + counts[at.AT_DEEP] * parts.n_out
    # Sums of products forwards, and twice as many backwards; and what each number of a column costs by itself.
    products = 6 * (
        layers + inputs * (counts[at.AT_HIDDEN] + counts[at.AT_GATE] + counts[at.AT_DEEP] + counts[at.AT_WIDE])
    )
    chain = 6 * chain_numbers(parts) / n + 6 * counts[at.AT_GIVEN] * counts[at.AT_INPUTS]
    return circuits + chain + products + 20 * sum(counts.values())


def _itemsize(stack: ModelStack) -> int:
    return next(iter(stack.parameters.values())).element_size()
