"""The loops of sums over products, in whole vectors. A vector holds one number of many samples, unless said otherwise."""

from __future__ import annotations

from typing import Any

from qmoe.compiled.vectors import Emitter, vector_pass
from qmoe.routers.sums.sum_layout import TILE


@vector_pass
def outer(emit: Emitter, row: Any, n_row: Any, rest: Any, n_rest: Any, out: Any) -> None:
    """``out[t n_rest + r] = row[t] rest[r]``."""
    with emit.range(emit.integer(0), n_row) as t:
        factor, first = emit.load(row, t), emit.builder.mul(t, n_rest)
        with emit.range(emit.integer(0), n_rest) as r:
            emit.store(factor * emit.load(rest, r), out, emit.builder.add(first, r))


@vector_pass
def mix(emit: Emitter, cells: Any, row: Any, step: Any, n_rows: Any, values: Any, n_values: Any, out: Any) -> None:
    """``out[i] = sum_k cells[i row + k step] values[k]``, where ``cells`` are single numbers."""
    b = emit.builder

    def rows(first: Any, count: int) -> None:
        sums = [emit.accumulator() for _ in range(count)]
        starts = [b.mul(b.add(first, emit.integer(i)), row) for i in range(count)]
        with emit.range(emit.integer(0), n_values) as k:
            value, along = emit.load(values, k), b.mul(k, step)
            for total, start in zip(sums, starts, strict=True):
                emit.add_to(total, emit.load_splat(cells, b.add(start, along)) * value)
        for i, total in enumerate(sums):
            emit.store(emit.get(total), out, b.add(first, emit.integer(i)))

    done = emit.integer(0)
    for count in (TILE, TILE // 2, 1):
        n = b.sdiv(b.sub(n_rows, done), emit.integer(count))
        with emit.range(emit.integer(0), n) as tile:
            rows(b.add(done, b.mul(tile, emit.integer(count))), count)
        done = b.add(done, b.mul(n, emit.integer(count)))


@vector_pass
def add_dot(emit: Emitter, first: Any, second: Any, n: Any, out: Any, place: Any) -> None:
    """``out[place] += sum_i first[i] second[i]``."""
    total = emit.accumulator()
    with emit.range(emit.integer(0), n) as i:
        emit.add_to(total, emit.load(first, i) * emit.load(second, i))
    emit.add_at(emit.get(total), out, place)


@vector_pass
def add_scaled(emit: Emitter, factors: Any, place: Any, values: Any, n: Any, out: Any) -> None:
    """``out[i] += factors[place] values[i]``."""
    factor = emit.load(factors, place)
    with emit.range(emit.integer(0), n) as i:
        emit.add_at(factor * emit.load(values, i), out, i)


@vector_pass
def add_products(emit: Emitter, given: Any, values: Any, n_samples: Any, out: Any, stride: Any) -> None:
    """``out[i stride] += sum_b given[TILE b + i] values[b]``: vectors of products, one after another for each sample.

    ``given`` are single numbers.
    """
    b = emit.builder
    sums = [emit.accumulator() for _ in range(TILE)]
    with emit.range(emit.integer(0), n_samples) as sample:
        value, first = emit.load(values, sample), b.mul(sample, emit.integer(TILE))
        for i, total in enumerate(sums):
            emit.add_to(total, emit.load_splat(given, b.add(first, emit.integer(i))) * value)
    for i, total in enumerate(sums):
        emit.add_at(emit.get(total), out, b.mul(stride, emit.integer(i)))


@vector_pass
def clear_vectors(emit: Emitter, address: Any, n: Any) -> None:
    """Zeros."""
    with emit.range(emit.integer(0), n) as i:
        emit.store(emit.constant(0.0), address, i)
