"""Training in machine code: `layout` names the places of what is shared, `kernel` runs it, `step` calls it.

`parts` says what a mixture is made of, `records` lays it out. Inside the kernel `forward` runs a batch forwards and
`backward` backwards. They are made of `column_operations`, `circuit_calls`, `interpolated`, `wave_products` and `chain`, on
`views` of the memory, and are imported only to compile.
"""

from qmoe.training.compiled.step import CompiledTrainer, compiled_parts, compiles

__all__ = ["CompiledTrainer", "compiled_parts", "compiles"]
