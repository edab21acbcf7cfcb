"""The compiler's tools: machine code on disk, memory by address, vectors, threads, trigonometry. Knows no circuit.

`cache` keeps what was compiled and loads it without Numba; `addresses` and `vectors` are what kernels are written with, and
are imported only to compile.
"""
