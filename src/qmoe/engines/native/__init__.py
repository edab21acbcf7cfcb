"""The native engine: lowering, schedule, program, kernels, and the torch operation around them.

Circuit -> `lowering` (rotations and phases) -> `stages` (what passes over the state together) -> `program` (numbers) ->
`pure` (kernels of state vectors, made of the vector `passes`) -> `running` (tensors, threads) -> `function` (autograd).
`noisy_program` and `noisy` do the same for density matrices, `large` for states beyond the cache. `kernels` names what is
compiled; `qmoe.compiled` keeps it on disk.
"""

from qmoe.engines.native.engine import NativeEngine

__all__ = ["NativeEngine"]
