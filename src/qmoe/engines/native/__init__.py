"""The native engine: lowering, program, kernels, and the torch operation around them.

A circuit goes through these modules, in this order:

* `plan/lowering`: gates become rotations and phases;
* `plan/stages`: what passes over the state together;
* `plan/state_program`: the stages as arrays of numbers, placed by `layout` and `plan/scratch`;
* `run/prepared_circuits` and `run/calls`: tensors, threads, one call of a kernel;
* `kernels/state`, made of `kernels/angles`, `kernels/state_ends` and `kernels/state_passes`: the compiled code itself;
* `autograd`: the torch operation around it, which `engine` calls.

With noise, `plan/pauli_program`, `kernels/pauli` and `kernels/pauli_passes` do the same for density matrices. For states
beyond the cache it is `run/large_block` and `kernels/large_state`. `kernels/names` lists what is compiled, and
`qmoe.compiled` keeps it on disk.
"""

from qmoe.engines.native.engine import NativeEngine

__all__ = ["NativeEngine"]
