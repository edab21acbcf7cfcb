"""Training in machine code: `layout` names the places of what is shared, `kernel` runs it, `step` calls it.

`parts` says what a mixture is made of, `plan` lays it out. Inside the kernel: `mixture` runs a batch forwards, `gradients`
backwards, made of `layers` and `circuits` on `views` of the memory; these are imported only to compile.
"""

from qmoe.training.compiled.step import CompiledTrainer, compiled_parts

__all__ = ["CompiledTrainer", "compiled_parts"]
