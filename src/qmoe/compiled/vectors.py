"""Vectors of lanes in LLVM's own terms: what Numba cannot be told in Python, that a loop shall run on whole registers.

A state is an array ``[basis state][real, imaginary][lane]``: lanes are 16 samples in float32, 8 in float64 (64 bytes, one
cache line), so that a gate never mixes lanes and any pair of basis states costs the same. For few samples the lanes are the
lowest basis states of one sample, and gates on those wires mix them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from qmoe.compiled.lanes import WIDTH, n_lanes

_INT = ir.IntType(64)


class Vec:
    """A vector value; operators emit instructions. Products and sums may be contracted to fused multiply-adds."""

    def __init__(self, emit: Emitter, value: ir.Value) -> None:
        self.emit, self.value = emit, value

    def _apply(self, name: str, other: Vec) -> Vec:
        instruction = getattr(self.emit.builder, name)
        return Vec(self.emit, instruction(self.value, other.value, flags=("contract",)))

    def __add__(self, other: Vec) -> Vec:
        return self._apply("fadd", other)

    def __sub__(self, other: Vec) -> Vec:
        return self._apply("fsub", other)

    def __mul__(self, other: Vec) -> Vec:
        return self._apply("fmul", other)

    def __truediv__(self, other: Vec) -> Vec:
        return self._apply("fdiv", other)

    def __neg__(self) -> Vec:
        return Vec(self.emit, self.emit.builder.fneg(self.value))


class Emitter:
    """Emits code for one element type and number of lanes. Addresses are integers; offsets count vectors of lanes."""

    def __init__(self, context: Any, builder: ir.IRBuilder, real: types.Float) -> None:
        self.builder = builder
        self.element = context.get_value_type(real)
        self.itemsize = real.bitwidth // 8
        self.lanes = n_lanes(self.itemsize)
        self.type = ir.VectorType(self.element, self.lanes)

    # --- integers --------------------------------------------------------------------------------------------------

    def integer(self, value: int) -> ir.Value:
        """A known integer."""
        return ir.Constant(_INT, value)

    def odd(self, bits: ir.Value) -> ir.Value:
        """The parity of ``bits`` as 0 or 1."""
        return self.builder.and_(self.builder.ctpop(bits), self.integer(1))

    def insert_zero(self, k: ir.Value, position: ir.Value) -> ir.Value:
        """Moves the bits of ``k`` from ``position`` on up by one."""
        b = self.builder
        low = b.and_(k, b.sub(b.shl(self.integer(1), position), self.integer(1)))
        return b.or_(b.shl(b.xor(k, low), self.integer(1)), low)

    @contextmanager
    def range(self, start: ir.Value, stop: ir.Value) -> Iterator[ir.Value]:
        """A loop over ``start .. stop - 1``."""
        with cgutils.for_range_slice(self.builder, start, stop, self.integer(1), intp=_INT) as (index, _):
            yield index

    # --- memory ----------------------------------------------------------------------------------------------------

    def _pointer(self, address: ir.Value, index: ir.Value, kind: ir.Type) -> ir.Value:
        return self.builder.gep(self.builder.inttoptr(address, kind.as_pointer()), [index], source_etype=kind)

    def load(self, address: ir.Value, index: ir.Value) -> Vec:
        """The vector number ``index`` after ``address``."""
        return Vec(self, self.builder.load(self._pointer(address, index, self.type), align=WIDTH))

    def store(self, vec: Vec, address: ir.Value, index: ir.Value) -> None:
        """Writes the vector number ``index`` after ``address``."""
        self.builder.store(vec.value, self._pointer(address, index, self.type), align=WIDTH)

    def load_pair(self, address: ir.Value, k: ir.Value) -> tuple[Vec, Vec]:
        """Vectors 2k and 2k + 1: the real and imaginary part of an amplitude, or a cosine and its sine."""
        even = self.builder.shl(k, self.integer(1))
        return self.load(address, even), self.load(address, self.builder.add(even, self.integer(1)))

    def store_pair(self, pair: tuple[Vec, Vec], address: ir.Value, k: ir.Value) -> None:
        """Writes them."""
        even = self.builder.shl(k, self.integer(1))
        self.store(pair[0], address, even)
        self.store(pair[1], address, self.builder.add(even, self.integer(1)))

    def load_splat(self, address: ir.Value, index: ir.Value) -> Vec:
        """The single number ``index`` after ``address``, in every lane."""
        pointer = self._pointer(address, index, self.element)
        return self.splat(self.builder.load(pointer, align=self.itemsize))

    def load_double_splat(self, address: ir.Value, index: ir.Value) -> Vec:
        """The double number ``index`` after ``address``, rounded to the numbers of a vector, in every lane."""
        value = self.builder.load(self._pointer(address, index, ir.DoubleType()), align=8)
        return self.splat(value if self.itemsize == 8 else self.builder.fptrunc(value, self.element))

    def load_int(self, address: ir.Value, index: ir.Value) -> ir.Value:
        """The 64-bit integer number ``index`` after ``address``."""
        return self.builder.load(self._pointer(address, index, _INT), align=8)

    def splat(self, scalar: ir.Value) -> Vec:
        """A number in every lane."""
        b, undefined = self.builder, ir.Constant(self.type, ir.Undefined)
        first = b.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return Vec(self, b.shuffle_vector(first, undefined, zeros))

    def constant(self, value: float) -> Vec:
        """A known number in every lane."""
        return self.splat(ir.Constant(self.element, value))

    def signed(self, vec: Vec, negative: ir.Value) -> Vec:
        """``vec``, or its negative where the integer ``negative`` is 1."""
        flag = self.builder.trunc(negative, ir.IntType(1))
        return Vec(self, self.builder.select(flag, (-vec).value, vec.value))

    def exchange(self, vec: Vec, flip: ir.Value) -> Vec:
        """Moves lane l to ``l ^ flip``."""
        b, value, bit = self.builder, vec.value, 1
        while bit < self.lanes:
            places = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [i ^ bit for i in range(self.lanes)])
            moved = b.shuffle_vector(value, value, places)
            wanted = b.icmp_signed("!=", b.and_(flip, self.integer(bit)), self.integer(0))
            value = b.select(wanted, moved, value)
            bit *= 2
        return Vec(self, value)

    def accumulator(self) -> ir.Value:
        """A vector variable, 0 at first, that stays in a register."""
        slot = cgutils.alloca_once(self.builder, self.type)
        self.builder.store(self.constant(0.0).value, slot)
        return slot

    def get(self, slot: ir.Value) -> Vec:
        """What stands in an accumulator."""
        return Vec(self, self.builder.load(slot))

    def add_to(self, slot: ir.Value, vec: Vec) -> None:
        """Adds to an accumulator."""
        self.builder.store((self.get(slot) + vec).value, slot)

    def subtract_from(self, slot: ir.Value, vec: Vec) -> None:
        """Subtracts from an accumulator."""
        self.builder.store((self.get(slot) - vec).value, slot)

    def add_at(self, vec: Vec, address: ir.Value, index: ir.Value) -> None:
        """Adds to the vector number ``index`` after ``address``."""
        self.store(self.load(address, index) + vec, address, index)


def vector_pass(body: Callable[..., None]) -> Any:
    """Makes ``body(emit, *integers)`` callable from compiled code as ``name(one, *integers)``.

    ``one`` is a number of the element type; the rest are 64-bit integers: addresses, indices and counts.
    """
    n_integers = len(inspect.signature(body).parameters) - 1

    def typed(one: types.Type) -> tuple[Any, Any]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            body(Emitter(context, builder, signature.args[0]), *args[1:])
            return context.get_dummy_value()

        return types.void(one, *[types.int64] * n_integers), codegen

    def intrinsic_of(typingctx: Any, one: types.Type, *integers: types.Type) -> tuple[Any, Any]:
        return typed(one)

    # Numba reads the names of the parameters from the function.
    names = ["typingctx", "one", *(f"integer{i}" for i in range(n_integers))]
    intrinsic_of.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    )
    intrinsic_of.__name__ = body.__name__
    return intrinsic(intrinsic_of)


@intrinsic
def fill_lanes(typingctx: Any, one: Any, address: Any, index: Any, value: Any) -> Any:
    """``(one, address, index, value)``: writes a double to every lane of vector ``index``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0])
        scalar = args[3] if emit.itemsize == 8 else builder.fptrunc(args[3], emit.element)
        emit.store(emit.splat(scalar), args[1], args[2])
        return context.get_dummy_value()

    return types.void(one, types.int64, types.int64, types.float64), codegen


@intrinsic
def sum_lanes(typingctx: Any, one: Any, address: Any, index: Any) -> Any:
    """``(one, address, index)``: the sum of the lanes of vector ``index``, in double precision, halves by halves."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = Emitter(context, builder, signature.args[0])
        value, n = emit.load(args[1], args[2]).value, emit.lanes
        if emit.itemsize == 4:
            value = builder.fpext(value, ir.VectorType(ir.DoubleType(), n))
        while n > 1:
            n //= 2
            low, high = (
                ir.Constant(ir.VectorType(ir.IntType(32), n), list(range(first, first + n))) for first in (0, n)
            )
            value = builder.fadd(builder.shuffle_vector(value, value, low), builder.shuffle_vector(value, value, high))
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return types.float64(one, types.int64, types.int64), codegen
