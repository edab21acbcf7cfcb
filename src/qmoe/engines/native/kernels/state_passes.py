"""The passes over a state: each applies one stage, forward or backward, to all lanes.

In the backward pass ``lam`` holds the gradient of the loss with respect to the real and imaginary parts of ``psi``. A pass
undoes its stage on both, and adds up the gradient: for a rotation half of ``sum_pairs Re(conj(lam_1) psi_0 -
conj(lam_0) psi_1)``, for a phase ``sum_k Im(lam_k conj(psi_k))`` (Jones and Gacon 2020, arXiv:2009.02823).
"""

from __future__ import annotations

from typing import Any

from llvmlite.ir import Value

from qmoe.compiled.vectors import Emitter, Vec, vector_pass
from qmoe.engines.native.layout import FLIP, PIVOT, SIGN, SLOT


class _Group:
    """A group of rotations read from a row of the program."""

    def __init__(self, emit: Emitter, row: Value, coefficients: Value, size: int) -> None:
        def column(first: int) -> list[Value]:
            return [emit.load_int(row, emit.integer(first + i)) for i in range(size)]

        self.emit, self.size = emit, size
        self.pivots, self.flips, self.signs, self.slots = (column(c) for c in (PIVOT, FLIP, SIGN, SLOT))
        self.turns = [emit.load_pair(coefficients, slot) for slot in self.slots]

    def members(self, r: Value) -> list[Value]:
        """The basis states of coset ``r``; bit i of a member's place is the value of sign i."""
        b, k = self.emit.builder, r
        for pivot in self.pivots:
            k = self.emit.insert_zero(k, pivot)
        first = k
        for flip, sign in zip(self.flips, self.signs, strict=True):
            odd = self.emit.odd(b.and_(sign, k))
            first = b.xor(first, b.and_(flip, b.sub(self.emit.integer(0), odd)))
        out = [first]
        for flip in self.flips:
            out += [b.xor(member, flip) for member in out]
        return out

    def pairs(self, i: int) -> list[tuple[int, int]]:
        """Places of the pairs that rotation i mixes."""
        return [(j, j | 1 << i) for j in range(1 << self.size) if not j >> i & 1]


def _load(emit: Emitter, state: Value, members: list[Value]) -> list[list[Vec]]:
    return [list(emit.load_pair(state, k)) for k in members]


def _store(emit: Emitter, amplitudes: list[list[Vec]], state: Value, members: list[Value]) -> None:
    for k, (re, im) in zip(members, amplitudes, strict=True):
        emit.store_pair((re, im), state, k)


def _turn(amplitudes: list[list[Vec]], zero: int, one: int, cos: Vec, sin: Vec) -> None:
    for part in range(2):
        a, b = amplitudes[zero][part], amplitudes[one][part]
        amplitudes[zero][part] = a * cos - b * sin
        amplitudes[one][part] = b * cos + a * sin


def _rotate(size: int) -> Any:
    def rotate(emit: Emitter, psi: Value, row: Value, coefficients: Value, lo: Value, hi: Value) -> None:
        group = _Group(emit, row, coefficients, size)
        with emit.range(lo, hi) as r:
            members = group.members(r)
            amplitudes = _load(emit, psi, members)
            for i in range(size):
                for zero, one in group.pairs(i):
                    _turn(amplitudes, zero, one, *group.turns[i])
            _store(emit, amplitudes, psi, members)

    rotate.__name__ = f"rotate{size}"
    return vector_pass(rotate)


#: ``(psi, row, coefficients, lo, hi)``: applies the group of 1 to 3 rotations to the cosets lo .. hi - 1.
rotate1, rotate2, rotate3 = _rotate(1), _rotate(2), _rotate(3)


def _unrotate(size: int) -> Any:
    def unrotate(
        emit: Emitter, psi: Value, lam: Value, row: Value, coefficients: Value, gradients: Value, lo: Value, hi: Value
    ) -> None:
        group = _Group(emit, row, coefficients, size)
        sums = [emit.accumulator() for _ in range(size)]
        with emit.range(lo, hi) as r:
            members = group.members(r)
            kets, bras = _load(emit, psi, members), _load(emit, lam, members)
            for i in range(size):
                for zero, one in group.pairs(i):
                    for part in range(2):
                        emit.add_to(sums[i], bras[one][part] * kets[zero][part])
                        emit.subtract_from(sums[i], bras[zero][part] * kets[one][part])
            for state, amplitudes in ((psi, kets), (lam, bras)):
                for i in range(size):
                    for zero, one in group.pairs(i):
                        _turn(amplitudes, one, zero, *group.turns[i])
                _store(emit, amplitudes, state, members)
        for i in range(size):
            emit.add_at(emit.get(sums[i]), gradients, group.slots[i])

    unrotate.__name__ = f"unrotate{size}"
    return vector_pass(unrotate)


#: ``(psi, lam, row, coefficients, gradients, lo, hi)``: undoes the group and adds up the gradients of its slots.
unrotate1, unrotate2 = _unrotate(1), _unrotate(2)


def _entry(emit: Emitter, table: Value, k: Value, lanes: bool) -> tuple[Vec, Vec]:
    """Cosine and sine of entry k: one number each for all lanes, or a vector each."""
    if lanes:
        return emit.load_pair(table, k)
    even = emit.builder.shl(k, emit.integer(1))
    return emit.load_splat(table, even), emit.load_splat(table, emit.builder.add(even, emit.integer(1)))


def _phase(lanes: bool) -> Any:
    def phase(emit: Emitter, psi: Value, table: Value, start: Value, lo: Value, hi: Value) -> None:
        b = emit.builder
        with emit.range(lo, hi) as k:
            cos, sin = _entry(emit, table, b.sub(k, start), lanes)
            re, im = emit.load_pair(psi, k)
            emit.store_pair((re * cos - im * sin, im * cos + re * sin), psi, k)

    return vector_pass(phase)


#: ``(psi, table, start, lo, hi)``: multiplies vector k by ``table[k - start]``, the same for all lanes or one for each.
phase, phase_lanes = _phase(False), _phase(True)


def _unphase(lanes: bool) -> Any:
    def unphase(
        emit: Emitter, psi: Value, lam: Value, table: Value, gradients: Value, start: Value, lo: Value, hi: Value
    ) -> None:
        b = emit.builder
        with emit.range(lo, hi) as k:
            cos, sin = _entry(emit, table, b.sub(k, start), lanes)
            re, im = emit.load_pair(psi, k)
            bra_re, bra_im = emit.load_pair(lam, k)
            emit.add_at(bra_im * re - bra_re * im, gradients, b.sub(k, start))
            for state, x, y in ((psi, re, im), (lam, bra_re, bra_im)):
                emit.store_pair((x * cos + y * sin, y * cos - x * sin), state, k)

    return vector_pass(unphase)


#: ``(psi, lam, table, gradients, start, lo, hi)``: undoes it and adds the phases' gradients to ``gradients[k - start]``.
unphase, unphase_lanes = _unphase(False), _unphase(True)


@vector_pass
def phase_each(emit: Emitter, psi: Value, coefficients: Value, slot: Value, mask: Value, lo: Value, hi: Value) -> None:
    """Multiplies basis state k by ``exp(-i angle/2)``, or its inverse where parity(mask & k) is odd, lane by lane."""
    b = emit.builder
    cos, sin = emit.load_pair(coefficients, slot)
    with emit.range(lo, hi) as k:
        s = emit.signed(sin, emit.odd(b.and_(mask, k)))
        re, im = emit.load_pair(psi, k)
        emit.store_pair((re * cos + im * s, im * cos - re * s), psi, k)


@vector_pass
def unphase_each(
    emit: Emitter,
    psi: Value,
    lam: Value,
    coefficients: Value,
    gradients: Value,
    slot: Value,
    mask: Value,
    lo: Value,
    hi: Value,
) -> None:
    """Undoes `phase_each` and adds up twice the gradient of its angle."""
    b = emit.builder
    cos, sin = emit.load_pair(coefficients, slot)
    total = emit.accumulator()
    with emit.range(lo, hi) as k:
        sign = emit.odd(b.and_(mask, k))
        s = emit.signed(sin, sign)
        re, im = emit.load_pair(psi, k)
        bra_re, bra_im = emit.load_pair(lam, k)
        emit.add_to(total, emit.signed(bra_re * im - bra_im * re, sign))
        for state, x, y in ((psi, re, im), (lam, bra_re, bra_im)):
            emit.store_pair((x * cos - y * s, y * cos + x * s), state, k)
    emit.add_at(emit.get(total), gradients, slot)


def _across(emit: Emitter, row: Value, coefficients: Value, r: Value) -> tuple[list[Value], Value, list[Vec], Vec]:
    """The pair of vectors of ``r``, the flip of lanes, the sine for each of the pair, and the cosine."""
    b = emit.builder
    slot = b.shl(emit.load_int(row, emit.integer(SLOT)), emit.integer(1))
    cos, sin = emit.load(coefficients, slot), emit.load(coefficients, b.add(slot, emit.integer(1)))
    flip, sign = emit.load_int(row, emit.integer(FLIP)), emit.load_int(row, emit.integer(SIGN))
    pivot, lanes_flip = emit.load_int(row, emit.integer(PIVOT)), emit.load_int(row, emit.integer(PIVOT + 1))
    within = b.icmp_signed("<", pivot, emit.integer(0))
    k = b.select(within, r, emit.insert_zero(r, b.select(within, emit.integer(0), pivot)))
    members = [k, b.xor(k, flip)]
    return members, lanes_flip, [emit.signed(sin, emit.odd(b.and_(sign, m))) for m in members], cos


@vector_pass
def rotate_lanes(emit: Emitter, psi: Value, row: Value, coefficients: Value, lo: Value, hi: Value) -> None:
    """Applies one rotation that flips lanes, to pairs of vectors lo .. hi - 1 (or single vectors that it stays in)."""
    with emit.range(lo, hi) as r:
        members, lanes_flip, sines, cos = _across(emit, row, coefficients, r)
        here, there = _load(emit, psi, members)
        # Where the rotation stays within a vector both members are one and the same, and so is what is stored.
        new_here = [a * cos - emit.exchange(b, lanes_flip) * sines[0] for a, b in zip(here, there, strict=True)]
        new_there = [b * cos - emit.exchange(a, lanes_flip) * sines[1] for a, b in zip(here, there, strict=True)]
        _store(emit, [new_here, new_there], psi, members)


@vector_pass
def unrotate_lanes(
    emit: Emitter, psi: Value, lam: Value, row: Value, coefficients: Value, gradients: Value, lo: Value, hi: Value
) -> None:
    """Undoes `rotate_lanes` and adds up its gradient, with the sign of the sine in each lane."""
    b = emit.builder
    slot, sign = emit.load_int(row, emit.integer(SLOT)), emit.load_int(row, emit.integer(SIGN))
    flip = emit.load_int(row, emit.integer(FLIP))
    # A pair within a vector is met once from either of its lanes; a pair of vectors once from both.
    alone = b.icmp_signed("==", flip, emit.integer(0))
    total = emit.accumulator()
    with emit.range(lo, hi) as r:
        members, lanes_flip, sines, cos = _across(emit, row, coefficients, r)
        kets, bras = _load(emit, psi, members), _load(emit, lam, members)
        for i, member in enumerate(members):
            # The gradient of half the angle: d psi_k = -sign_k psi_(k ^ flip).
            part = emit.constant(0.0)
            for bra, ket in zip(bras[i], kets[1 - i], strict=True):
                part = part - bra * emit.exchange(ket, lanes_flip)
            part = emit.signed(part, emit.odd(b.and_(sign, member)))
            if i == 1:
                part = Vec(emit, b.select(alone, emit.constant(0.0).value, part.value))
            emit.add_to(total, part)
        for state, (here, there) in ((psi, kets), (lam, bras)):
            new_here = [x * cos + emit.exchange(y, lanes_flip) * sines[0] for x, y in zip(here, there, strict=True)]
            new_there = [y * cos + emit.exchange(x, lanes_flip) * sines[1] for x, y in zip(here, there, strict=True)]
            _store(emit, [new_here, new_there], state, members)
    emit.add_at(emit.get(total), gradients, slot)


@vector_pass
def spread(emit: Emitter, psi: Value, coefficients: Value, slot: Value, count: Value) -> None:
    """Rotates the qubit of bit ``count`` (a power of 2) from |0>, when only the states below it are filled, and are real."""
    b = emit.builder
    cos, sin = emit.load_pair(coefficients, slot)
    with emit.range(emit.integer(0), count) as k:
        here, there = b.shl(k, emit.integer(1)), b.shl(b.add(k, count), emit.integer(1))
        value = emit.load(psi, here)
        emit.store(value * cos, psi, here)
        emit.store(value * sin, psi, there)
        emit.store(emit.constant(0.0), psi, b.add(there, emit.integer(1)))


@vector_pass
def probabilities(emit: Emitter, psi: Value, out: Value, lo: Value, hi: Value) -> None:
    """``out[k - lo] = |psi_k|^2`` for k in lo .. hi - 1."""
    b = emit.builder
    with emit.range(lo, hi) as k:
        re, im = emit.load_pair(psi, k)
        emit.store(re * re + im * im, out, b.sub(k, lo))


@vector_pass
def butterflies(emit: Emitter, values: Value, bit: Value, count: Value) -> None:
    """One step of a Walsh-Hadamard transform: sums and differences of the pairs that differ in ``bit``."""
    b = emit.builder
    with emit.range(emit.integer(0), b.ashr(count, emit.integer(1))) as r:
        zero = emit.insert_zero(r, bit)
        one = b.or_(zero, b.shl(emit.integer(1), bit))
        x, y = emit.load(values, zero), emit.load(values, one)
        emit.store(x + y, values, zero)
        emit.store(x - y, values, one)


@vector_pass
def add_signed(emit: Emitter, source: Value, i: Value, target: Value, j: Value, negative: Value) -> None:
    """``target[j] += source[i]``, or ``-=`` where ``negative`` is 1."""
    emit.add_at(emit.signed(emit.load(source, i), negative), target, j)


@vector_pass
def seed_gradient(emit: Emitter, psi: Value, lam: Value, weights: Value, lo: Value, hi: Value) -> None:
    """``lam_k = 2 weights[k - lo] psi_k``: the gradient of ``sum_k weights_k |psi_k|^2``."""
    b = emit.builder
    with emit.range(lo, hi) as k:
        y = emit.load(weights, b.sub(k, lo))
        y = y + y
        re, im = emit.load_pair(psi, k)
        emit.store_pair((re * y, im * y), lam, k)


@vector_pass
def copy(emit: Emitter, source: Value, target: Value, lo: Value, hi: Value) -> None:
    """Copies the amplitudes of basis states lo .. hi - 1."""
    b = emit.builder
    with emit.range(b.shl(lo, emit.integer(1)), b.shl(hi, emit.integer(1))) as i:
        emit.store(emit.load(source, i), target, i)


@vector_pass
def clear(emit: Emitter, target: Value, lo: Value, hi: Value) -> None:
    """Sets vectors lo .. hi - 1 to 0."""
    with emit.range(lo, hi) as i:
        emit.store(emit.constant(0.0), target, i)
