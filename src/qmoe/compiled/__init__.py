"""Numba helpers: compiled kernels on disk, raw memory, SIMD vectors, threads, trigonometry. Does not depend on circuits.

`cache` keeps what was compiled and loads it without Numba; `addresses` and `vectors` are what kernels are written with, and
are imported only to compile.
"""
