"""How one size of batch is run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qmoe.circuits import Circuit
from qmoe.compiled.lanes import WIDTH, n_lanes
from qmoe.engines.native.plan.scratch import Layout
from qmoe.engines.native.plan.state_program import Program, make_program

#: Share of the lanes up to which a batch is run sample by sample, with basis states in the lanes; and how many qubits there
#: must be beyond those.
FEW, MIN_HIGH_QUBITS = 0.5, 3
#: Bytes of a state above which a sample has one of its own, however many there are: lanes of samples take 16 times as many.
MAX_STATE_BYTES = 1 << 28
#: Vectors of lanes from which on all threads work on one state; it then fills a second-level cache twice.
LARGE_VECTORS = 1 << 14
#: Bytes of tables of phases above which that way is the quicker one as well, since it makes each when it is needed; memory
#: then does not grow with the layers. It takes as many qubits as its parts of a state need.
TABLE_BYTES, MIN_LARGE_QUBITS = 1 << 22, 13


@dataclass(frozen=True)
class Plan:
    """How one size of batch is run.

    Attributes:
        program: what the kernels read.
        layout: of small states.
        large_parts: layout of the scratch memory of large ones.
        state: shape of the state of a block.
    """

    program: Program
    layout: Layout
    large_parts: np.ndarray
    state: tuple[int, int, int]

    @property
    def state_bytes(self) -> int:
        return self.state[0] * self.state[1] * WIDTH

    @property
    def is_large(self) -> bool:
        circuit = self.program.circuit
        tables = self.program.sizes.n_tables * circuit.dim * 2 * WIDTH // self.state[2]
        return self.state[0] >= LARGE_VECTORS or (tables > TABLE_BYTES and circuit.n_qubits >= MIN_LARGE_QUBITS)


def make_plan(circuit: Circuit, n_batch: int, itemsize: int) -> Plan:
    """The plan for ``n_batch`` samples of floats of ``itemsize`` bytes."""
    lanes = n_lanes(itemsize)
    bits = lanes.bit_length() - 1
    is_small_batch = n_batch <= lanes * FEW and circuit.n_qubits >= bits + MIN_HIGH_QUBITS
    few = is_small_batch or 2 * WIDTH * circuit.dim > MAX_STATE_BYTES
    program = make_program(circuit, bits if few else 0)
    sizes = program.sizes
    cost = sizes.n_vectors * lanes * 6.0 * (1 + sizes.n_slots + sizes.n_tables)
    return Plan(
        program=program,
        layout=Layout(program.header, program.parts(itemsize), 1 if few else lanes, cost, program),
        large_parts=program.large_parts(itemsize),
        state=(sizes.n_vectors, 2, lanes),
    )
