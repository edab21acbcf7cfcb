"""How kernels are compiled, and how compiled code reads memory: addresses are integers, so that calls are cheap."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from qmoe.compiled.pipeline import KernelPipeline, SourcePipeline

#: How functions that kernels call are compiled.
OPTIONS = {
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
    "no_cpython_wrapper": True,
    "pipeline_class": SourcePipeline,
}


#: What machine code may refer to outside of itself.
_LIBRARY = {"cos", "sin", "floor", "sqrt", "sqrtf", "exp", "expf", "log", "logf", "memset", "memcpy", "memmove"}


def compile_object(function: Callable[..., Any], itemsize: int, n_integers: int, symbol: str) -> bytes:
    """Compiles ``function(one, *integers)`` to object code for this processor.

    Args:
        function: a kernel: it takes a number, whose type is that of the states, and integers, and returns nothing.
        itemsize: bytes of that number, 4 or 8.
        n_integers: how many integers it takes.
        symbol: the name of the function in the object code.

    Raises:
        RuntimeError: when the code needs more than the C library, so that it could not run without Numba.
    """
    scalar = types.float32 if itemsize == 4 else types.float64
    signature = types.void(scalar, *[types.int64] * n_integers)
    compiled = numba.cfunc(signature, nopython=True, error_model="numpy", pipeline_class=KernelPipeline)(function)
    # The C function only wraps the native one, to report exceptions in ways that need Numba at run time.
    native = compiled.native_name.removeprefix("cfunc.")
    text = compiled.inspect_llvm().replace(f'"{native}"', symbol).replace(native, symbol)
    # Kernels make no arrays, so that there are none to free; views of memory by address have nothing to count.
    text = re.sub(r"declare (void @NRT_MemInfo_call_dtor\(ptr)[^\n]*", r"define \1 %0) { ret void }", text)
    module = llvm.parse_assembly(text)
    for other in module.functions:
        if not other.is_declaration and other.name != symbol:
            other.linkage = "internal"
    target, features = llvm.Target.from_default_triple(), llvm.get_host_cpu_features().flatten()
    machine = target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, codemodel="jitdefault", jit=True
    )
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=0))
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
    code = machine.emit_object(module)
    needs = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")}
    if needs - _LIBRARY:
        raise RuntimeError(f"The kernel {function.__name__!r} needs {', '.join(sorted(needs - _LIBRARY))} at run time.")
    return code


def inner(function: Callable[..., Any]) -> Any:
    """Compiles ``function`` into the kernels that call it."""
    return numba.njit(**OPTIONS)(function)


def fused(function: Callable[..., Any]) -> Any:
    """The same, where products and sums may become fused multiply-adds, which round once instead of twice."""
    return numba.njit(**OPTIONS, fastmath={"contract"})(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Writes a small function into those that call it; one that is compiled by itself costs a tenth of a second."""
    return numba.njit(**OPTIONS, inline="always")(function)


def merged(function: Callable[..., Any]) -> Any:
    """The same, always in the place of its call: for functions of records, which are many numbers to hand over."""
    return numba.njit(**OPTIONS, forceinline=True)(function)


def _place(builder: Any, address: Any, index: Any, kind: ir.Type) -> ir.Value:
    # A pointer and a step from it, which LLVM can follow through a loop; a sum turned into a pointer it cannot.
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index], source_etype=kind)


@intrinsic
def integer(typingctx: Any, address: Any, index: Any) -> Any:
    """``(address, index)``: the 64-bit integer number ``index`` there."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        return builder.load(_place(builder, args[0], args[1], ir.IntType(64)))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def put_integer(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
    """``(address, index, value)``: writes a 64-bit integer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        builder.store(args[2], _place(builder, args[0], args[1], ir.IntType(64)))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def read_record(typingctx: Any, kind: Any, address: Any, base: Any) -> Any:
    """``(kind, address, base)``: the named tuple of class ``kind`` whose integers stand there, ``base`` added to each."""
    n = len(kind.instance_class._fields)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        places = (_place(builder, args[1], ir.Constant(ir.IntType(64), i), ir.IntType(64)) for i in range(n))
        numbers = [builder.add(builder.load(place), args[2]) for place in places]
        return context.make_tuple(builder, signature.return_type, numbers)

    return types.NamedUniTuple(types.int64, n, kind.instance_class)(kind, types.int64, types.int64), codegen


@intrinsic
def write_record(typingctx: Any, address: Any, record: Any) -> Any:
    """``(address, record)``: writes the numbers of a named tuple as 64-bit integers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        for i, kind in enumerate(signature.args[1].types):
            number = context.cast(builder, builder.extract_value(args[1], i), kind, types.int64)
            builder.store(number, _place(builder, args[0], ir.Constant(ir.IntType(64), i), ir.IntType(64)))
        return context.get_dummy_value()

    return types.void(types.int64, record), codegen


@intrinsic
def double(typingctx: Any, address: Any, index: Any) -> Any:
    """``(address, index)``: the double number ``index`` there."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        return builder.load(_place(builder, args[0], args[1], ir.DoubleType()))

    return types.float64(types.int64, types.int64), codegen


@intrinsic
def put_double(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
    """``(address, index, value)``: writes a double."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        builder.store(args[2], _place(builder, args[0], args[1], ir.DoubleType()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float64), codegen


@intrinsic
def real(typingctx: Any, one: Any, address: Any, index: Any) -> Any:
    """``(one, address, index)``: the number of the type of ``one`` there, as a double."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        kind, size = context.get_value_type(signature.args[0]), signature.args[0].bitwidth // 8
        value = builder.load(_place(builder, args[1], args[2], kind))
        return value if size == 8 else builder.fpext(value, ir.DoubleType())

    return types.float64(one, types.int64, types.int64), codegen


@intrinsic
def put_real(typingctx: Any, one: Any, address: Any, index: Any, value: Any) -> Any:
    """``(one, address, index, value)``: writes a double as a number of the type of ``one``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        kind, size = context.get_value_type(signature.args[0]), signature.args[0].bitwidth // 8
        value = args[3] if size == 8 else builder.fptrunc(args[3], kind)
        builder.store(value, _place(builder, args[1], args[2], kind))
        return context.get_dummy_value()

    return types.void(one, types.int64, types.int64, types.float64), codegen


def _viewer(kind: Callable[[Any], Any]) -> Any:
    @intrinsic
    def pointer(typingctx: Any, address: Any, like: Any) -> Any:
        signature = types.CPointer(kind(like))(address, like)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return signature, codegen

    return pointer


#: ``(address, like)``: pointers to numbers of the type of ``like``, and to 64-bit integers, for `numba.carray`.
pointer_like, pointer_integer = _viewer(lambda like: like), _viewer(lambda like: types.int64)


@intrinsic
def itemsize(typingctx: Any, like: Any) -> Any:
    """``(like)``: bytes of a number of the type of ``like``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        return ir.Constant(ir.IntType(64), signature.args[0].bitwidth // 8)

    return types.int64(like), codegen


@intrinsic
def odd(typingctx: Any, bits: Any) -> Any:
    """``(bits)``: 1 where an odd number of bits is set, else 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        return builder.and_(builder.ctpop(args[0]), ir.Constant(ir.IntType(64), 1))

    return types.int64(types.int64), codegen


@intrinsic
def run_kernel(typingctx: Any, address: Any, one: Any, first: Any, second: Any, third: Any, fourth: Any) -> Any:
    """``(address, one, *integers)``: runs the machine code of a kernel with four integers, as `cache.machine_code` loads it.

    Returns its status, 0 where all went well.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        place, integer64 = ir.IntType(8).as_pointer(), ir.IntType(64)
        scalar = context.get_value_type(signature.args[1])
        # Numba's convention: where to put the result (there is none) and an error, then the arguments.
        kind = ir.FunctionType(ir.IntType(32), [place.as_pointer(), place.as_pointer(), scalar, *[integer64] * 4])
        places = [cgutils.alloca_once(builder, place) for _ in range(2)]
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), [*places, *args[1:]])

    return types.int32(types.int64, one, *[types.int64] * 4), codegen


@intrinsic
def take_number(typingctx: Any, address: Any) -> Any:
    """``(address)``: the 64-bit integer there, which is then one larger; each thread that asks gets another."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        integer64 = ir.IntType(64)
        pointer = builder.inttoptr(args[0], integer64.as_pointer())
        return builder.atomic_rmw("add", pointer, ir.Constant(integer64, 1), "monotonic")

    return types.int64(types.int64), codegen


@intrinsic
def times_power_of_two(typingctx: Any, value: Any, shifted: Any) -> Any:
    """``(value, shifted)``: ``value * 2**n``, with ``shifted = n + 1.5 * 2**52`` for doubles; the result must be normal.

    For numbers of 32 bits ``shifted = n + 1.5 * 2**23``.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        bits = signature.args[0].bitwidth
        word, n_fraction = ir.IntType(bits), 52 if bits == 64 else 23
        # The integer stands in the lowest bits of a number of that size; the exponent in the highest.
        number, power = (builder.bitcast(arg, word) for arg in args)
        scaled = builder.add(number, builder.shl(power, ir.Constant(word, n_fraction)))
        return builder.bitcast(scaled, context.get_value_type(signature.return_type))

    return value(value, value), codegen
