"""The passes over a Pauli vector: real, one vector of lanes for each word."""

from __future__ import annotations

from llvmlite.ir import Value

from qmoe.compiled.vectors import Emitter, vector_pass


def _pair(emit: Emitter, pairs: Value, i: Value) -> tuple[Value, Value]:
    place = emit.builder.shl(i, emit.integer(1))
    return emit.load_int(pairs, place), emit.load_int(pairs, emit.builder.add(place, emit.integer(1)))


@vector_pass
def turn(emit: Emitter, words: Value, pairs: Value, count: Value, coefficients: Value, slot: Value) -> None:
    """Rotates the ``count`` pairs of words."""
    cos, sin = emit.load_pair(coefficients, slot)
    with emit.range(emit.integer(0), count) as i:
        first, second = _pair(emit, pairs, i)
        x, y = emit.load(words, first), emit.load(words, second)
        emit.store(x * cos - y * sin, words, first)
        emit.store(y * cos + x * sin, words, second)


@vector_pass
def unturn(
    emit: Emitter,
    words: Value,
    lam: Value,
    pairs: Value,
    count: Value,
    coefficients: Value,
    gradients: Value,
    slot: Value,
) -> None:
    """Undoes `turn` on the state and on the gradient ``lam`` of the loss, and adds up the gradient of the angle."""
    cos, sin = emit.load_pair(coefficients, slot)
    total = emit.accumulator()
    with emit.range(emit.integer(0), count) as i:
        first, second = _pair(emit, pairs, i)
        x, y = emit.load(words, first), emit.load(words, second)
        u, v = emit.load(lam, first), emit.load(lam, second)
        emit.add_to(total, v * x)
        emit.subtract_from(total, u * y)
        for state, p, q in ((words, x, y), (lam, u, v)):
            emit.store(p * cos + q * sin, state, first)
            emit.store(q * cos - p * sin, state, second)
    emit.add_at(emit.get(total), gradients, slot)


@vector_pass
def damp(emit: Emitter, words: Value, factors: Value, saved: Value, count: Value) -> None:
    """Multiplies each word by its factor, after a copy to ``saved`` unless that is 0."""
    b = emit.builder
    keeps = b.icmp_signed("!=", saved, emit.integer(0))
    with emit.range(emit.integer(0), count) as i:
        value = emit.load(words, i)
        with b.if_then(keeps):
            emit.store(value, saved, i)
        emit.store(value * emit.load_splat(factors, i), words, i)


@vector_pass
def undamp(
    emit: Emitter,
    lam: Value,
    saved: Value,
    factors: Value,
    derivatives: Value,
    gradient: Value,
    count: Value,
) -> None:
    """Takes ``lam`` back through `damp` and adds up the gradient of the factor, of which ``derivatives`` are the powers'."""
    total = emit.accumulator()
    with emit.range(emit.integer(0), count) as i:
        u = emit.load(lam, i)
        emit.add_to(total, u * emit.load(saved, i) * emit.load_splat(derivatives, i))
        emit.store(u * emit.load_splat(factors, i), lam, i)
    emit.add_at(emit.get(total), gradient, emit.integer(0))


@vector_pass
def mix(emit: Emitter, words: Value, out: Value, starts: Value, columns: Value, values: Value, count: Value) -> None:
    """``out[i] = sum_j matrix[i, j] words[j]`` for a sparse matrix; `Mixing` says where it stands."""
    with emit.range(emit.integer(0), count) as i:
        total = emit.accumulator()
        first, last = emit.load_int(starts, i), emit.load_int(starts, emit.builder.add(i, emit.integer(1)))
        with emit.range(first, last) as entry:
            word = emit.load(words, emit.load_int(columns, entry))
            emit.add_to(total, word * emit.load_double_splat(values, entry))
        emit.store(emit.get(total), out, i)


@vector_pass
def overlap(emit: Emitter, psi: Value, out: Value, flip: Value, count: Value) -> None:
    """``out[k] = psi[k] psi[k ^ flip]`` for real ``psi``."""
    with emit.range(emit.integer(0), count) as k:
        emit.store(emit.load(psi, k) * emit.load(psi, emit.builder.xor(k, flip)), out, k)


@vector_pass
def unoverlap(emit: Emitter, psi: Value, lam: Value, out: Value, flip: Value, count: Value) -> None:
    """Adds to ``out`` the gradient of ``sum_k lam[k] psi[k] psi[k ^ flip]`` with respect to ``psi``."""
    b = emit.builder
    with emit.range(emit.integer(0), count) as k:
        other = b.xor(k, flip)
        emit.add_at((emit.load(lam, k) + emit.load(lam, other)) * emit.load(psi, other), out, k)
