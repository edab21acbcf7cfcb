"""Where things stand in the memory that compiled training shares with Python: names for the places of five records.

Records are arrays of 64-bit integers: numbers, or addresses of arrays, 0 for what is not there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# What the kernel does.
TRAIN, FIND_ACCURACY, FIND_GRADIENT = range(3)

# --- the plan: what all models, batches and threads have in common -----------------------------------------------------
(
    # Sizes: models, epochs of this call, features F, inputs Z of the router's last or hidden layer, experts E, their outputs
    # O, classes C; widths of the hidden layers (0 for none) and of what a circuit takes; circuits among the experts.
    N_MODELS, N_EPOCHS, N_FEATURES, N_INPUTS, N_EXPERTS, N_OUT, N_CLASSES,
    ROUTER_WIDTH, EXPERT_WIDTH, N_ENCODED, N_CIRCUITS,
    # Kinds, of the lists below.
    SOURCE, WEIGHING, ROUTING, ROUTER_ACTIVATION, EXPERT_ACTIVATION, LOSS_KIND,
    # A row of values holds the numbers of one model: first those that are trained, then those that are not.
    VALUES, N_VALUES, N_TRAINED, FIRST_MOMENTS, SECOND_MOMENTS, FACTORS,
    # Where in a row the parts of a model begin.
    GATE_WEIGHT, GATE_BIAS, HIDDEN_WEIGHT, HIDDEN_BIAS, PROJECT_WEIGHT, PROJECT_BIAS, ROUTER_ANGLES, ROUTER_STRENGTH,
    CENTRE, SCALE, WAVES,
    EXPERT_WEIGHT, EXPERT_BIAS, DEEP_WEIGHT, DEEP_BIAS, EXPERT_ANGLES, EXPERT_STRENGTH, HEAD_WEIGHT, HEAD_BIAS,
    # Bits and layers of a stochastic chain.
    N_BITS, N_CHAIN_LAYERS,
    # How many numbers a circuit has for angles, and whether anything before its read-outs is trained.
    N_ROUTER_ANGLES, N_EXPERT_ANGLES, TRAINS_ROUTER, TRAINS_EXPERTS,
    # Products of cosines and sines: their record.
    PRODUCTS,
    # Nodes between which a circuit is interpolated: how many, and their features ``(F, nodes)``.
    N_NODES, NODES,
    # Passes over rows: records of the kind below.
    BATCHES, TEST_ROWS,
    # ``(M, 6)`` states of the generators that draw the orders of the rows.
    ORDERS,
    # ``(M, epochs)`` doubles: summed mean losses, shares of rows that are classified right.
    LOSS, RUNNING, TEST,
    # The next model that no thread has taken yet.
    NEXT,
    PLAN,
) = range(59)  # fmt: skip

#: Values of a row that are places of parameters, in the order of their names above.
PARTS = tuple(range(GATE_WEIGHT, HEAD_BIAS + 1))

# What the router's layers look at: the features, functions of them that are given, expectation values or probabilities, what
# a stochastic chain makes of populations that are given, what a circuit gives at nodes with weights that are given, products
# of cosines and sines of a linear map.
FEATURES, FUNCTIONS, CIRCUIT, CHAIN_SIGNS, INTERPOLATED, WAVE_PRODUCTS = range(6)
# What makes weights of it: a softmax of a linear layer, a constant, the probabilities themselves.
SOFTMAX, CONSTANT, BORN = range(3)
# Whose weights a sample gets: its own, the mean of the batch, another's.
OWN, MEAN, PERMUTED = range(3)
RELU, TANH, SILU = range(3)
# What is minimised.
CROSS_ENTROPY, SQUARED_ERROR = range(2)

# --- a pass: all rows of one part of the data, so many at a time --------------------------------------------------------
(
    N_ROWS, PIECE, SHAPE, LAST_SHAPE, X, X_MODEL, X_ROW, X_FEATURE, Y, Y_MODEL, Y_ROW, Y_OUTPUT, GIVEN, PASS,
) = range(14)  # fmt: skip

# --- a shape: how circuits run on so many rows, and who gets whose weights ----------------------------------------------
PERMUTATION, ROUTER_CODE = 0, 1
# The machine code of a circuit.
FORWARD, BACKWARD, HEADER, OFFSETS, N_CHUNKS, CHUNK, HAS_STATES, CODE = range(8)
EXPERT_CODE = ROUTER_CODE + CODE
SHAPE_SIZE = EXPERT_CODE + CODE

# --- the memory of one thread -------------------------------------------------------------------------------------------
(
    # The order of an epoch stands beside the numbers of a batch.
    COLUMNS, GRADIENT, ORDER,
    # Of the router's circuit: a call, memory to work in, final states, read-outs and their gradients, and those of what it
    # encodes; then the same for the experts' circuits, one after another.
    ROUTER_CALL, ROUTER_SCRATCH, ROUTER_STATES, ROUTER_OUT, ROUTER_GIVEN, ENCODED_GRADIENT,
    EXPERT_CALL, EXPERT_SCRATCH, EXPERT_STATES, EXPERT_OUT, EXPERT_GIVEN,
    # What bit strings give before each gate of a stochastic chain.
    CHAIN,
    # Read-outs at nodes, read-out by read-out, and their gradients.
    NODE_VALUES, NODE_GRADIENTS,
    # An angle of all samples in doubles, then its cosines and sines.
    ANGLE_NUMBERS,
    # Sums over chunks, and gradients of strengths, which nothing here trains.
    PARTIAL, STRENGTH_GRADIENT,
    # Bytes of one expert's circuit in the three that have a length of their own.
    SCRATCH_BYTES, STATE_BYTES,
    MEMORY,
) = range(23)  # fmt: skip

# --- columns: matrices whose rows are quantities and whose columns are samples ------------------------------------------
(
    AT_X, AT_ROUTER_X, AT_ENCODED, AT_ENCODED_GRADIENT, AT_INPUTS, AT_INPUT_GRADIENT, AT_HIDDEN, AT_SLOPE,
    AT_HIDDEN_GRADIENT, AT_OWN, AT_GATE, AT_GATE_GRADIENT, AT_DEEP, AT_DEEP_SLOPE, AT_DEEP_GRADIENT,
    AT_WIDE, AT_MIXED, AT_MIXED_GRADIENT, AT_LOGITS, AT_LOGIT_GRADIENT, AT_LABEL, AT_CHOICE, AT_LARGEST,
    AT_TOTAL, AT_GIVEN, AT_ANGLES, AT_ANGLE_GRADIENT, AT_TABLE, AT_TABLE_GRADIENT, AT_PRODUCTS, N_COLUMNS,
) = range(31)  # fmt: skip
#: Where in the plan stands the first row of each.
FIRST_COLUMN = PLAN
PLAN_SIZE = PLAN + N_COLUMNS


class ProductRecord(NamedTuple):
    """Products of cosines and sines, as `qmoe.compilable.WaveProducts` describes them.

    Attributes:
        n_angles: number of angles A; each has ``2 top + 1`` entries of the table.
        top: the largest multiple of an angle.
        n_products: number of products P, those among them that only lead to others.
        depth: numbers that an angle multiplies, at most; 0 where angles are sums.
        angles: address of ``(A, depth)``: which they are, -1 beyond.
        units: address of ``(A,)`` doubles.
        order: address of ``(P,)``.
        parents: address of ``(P,)``.
        factors: address of ``(P,)``.
    """

    n_angles: int
    top: int
    n_products: int
    depth: int
    angles: int
    units: int
    order: int
    parents: int
    factors: int


def make_record(size: int, values: dict[int, int | np.ndarray]) -> np.ndarray:
    """``(size,)`` integers: numbers as they are, arrays as their addresses. The caller keeps the arrays."""
    record = np.zeros(size, dtype=np.int64)
    for place, value in values.items():
        record[place] = value.ctypes.data if isinstance(value, np.ndarray) else value
    return record
