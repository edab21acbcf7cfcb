"""Modules with their configuration in one file: plain data and tensors, nothing that runs.

`known` lists the classes that a file may name, `values` turns what modules are made of into plain data and back,
`torch_parts` does so for modules of torch, and `module_files` reads and writes.
"""

from qmoe.saving.module_files import load, save

__all__ = ["load", "save"]
