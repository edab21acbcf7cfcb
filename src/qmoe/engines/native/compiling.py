"""How kernels are compiled: without the interpreter's lock, kept on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def kernel(function: Callable[..., Any]) -> Any:
    """Compiles ``function`` on its first call for each kind of argument, and keeps the result in Numba's cache on disk."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(**options, cache=True)(function)
    except RuntimeError:
        # No folder to keep it in: every process compiles for itself.
        return numba.njit(**options)(function)


def inner(function: Callable[..., Any]) -> Any:
    """Compiles ``function`` into the kernels that call it."""
    # Nobody calls them from Python.
    return numba.njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def _reader(numba_type: Callable[[Any], Any]) -> Any:
    @intrinsic
    def pointer(typingctx: Any, address: Any, like: Any) -> Any:
        signature = types.CPointer(numba_type(like))(address, like)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return signature, codegen

    return pointer


#: ``(address, like)``: pointers to numbers of the type of ``like``, to 64-bit integers, to doubles.
pointer_like = _reader(lambda like: like)
pointer_int = _reader(lambda like: types.int64)
pointer_double = _reader(lambda like: types.float64)


@intrinsic
def itemsize(typingctx: Any, like: Any) -> Any:
    """``(like)``: bytes of a number of the type of ``like``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        return ir.Constant(ir.IntType(64), signature.args[0].bitwidth // 8)

    return types.int64(like), codegen
