"""Routers of qmoe in the place of the gates of mixtures of experts that transformers has.

`families` lists the models whose rule of routing is known. `swapped_gate` is a gate that asks another router, then follows
that rule; `swapping` puts it into a model and takes it out; `gate_files` keeps gates in a file of their own. `model_classes`
makes classes of models that have their gates from the start, for ``save_pretrained`` and ``from_pretrained``.
"""

from qmoe.interop.transformers.families import FAMILIES, Family, register_family
from qmoe.interop.transformers.gate_files import load_gates, save_gates
from qmoe.interop.transformers.model_classes import swapped
from qmoe.interop.transformers.swapped_gate import SwappedGate
from qmoe.interop.transformers.swapping import gates_of, swap_gates, unswap_gates

__all__ = [
    "FAMILIES",
    "Family",
    "SwappedGate",
    "gates_of",
    "load_gates",
    "register_family",
    "save_gates",
    "swap_gates",
    "swapped",
    "unswap_gates",
]
