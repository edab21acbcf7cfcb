"""Inside the kernels: a call decoded once, and the walk over its items, blocks and samples, which all kernels share."""

from __future__ import annotations

from typing import NamedTuple

from qmoe.compiled.addresses import inlined, itemsize, merged, read_record
from qmoe.compiled.lanes import WIDTH
from qmoe.engines.calling import Call
from qmoe.engines.native.layout import Header, PartScratch, Scratch, Source, Term

_SCRATCH, _PART_SCRATCH = 8 * len(Scratch._fields), 8 * len(PartScratch._fields)
_SOURCE, _TERM = 8 * len(Source._fields), 8 * len(Term._fields)


class Frame(NamedTuple):
    """A call as the kernels see it: what to run, on which memory, for whom."""

    program: Header
    scratch: Scratch
    call: Call


class Block(NamedTuple):
    """The samples that stand side by side in the lanes, or the one sample whose basis states do.

    Attributes:
        n_here: how many samples; the other lanes are filled with angles of 0.
        x: address of the features of the first.
        weights: address of their model's.
        item: which chunk of all models they are of.
        model: which model.
        number: which block of all models.
        sample: which sample of all models the first is.
        is_fresh: whether the scratch memory does not hold the angles of this model yet.
        is_first: whether it is the first block of its chunk.
        is_last: whether it is the last.
    """

    n_here: int
    x: int
    weights: int
    item: int
    model: int
    number: int
    sample: int
    is_fresh: bool
    is_first: bool
    is_last: bool


@merged
def open_frame(header, parts, call, scratch):
    """Reads a call from the addresses that a kernel is given."""
    return Frame(read_record(Header, header, 0), read_record(Scratch, parts, scratch), read_record(Call, call, 0))


@merged
def open_part(parts, scratch, part):
    """The scratch memory of one part of a large state, which stands behind what all parts share."""
    return read_record(PartScratch, parts + _SCRATCH + part * _PART_SCRATCH, scratch)


@inlined
def source_of(program, slot):
    """What the angle of a slot is made of."""
    return read_record(Source, program.sources + slot * _SOURCE, 0)


@inlined
def term_of(program, t):
    """Phase number ``t``."""
    return read_record(Term, program.terms + t * _TERM, 0)


@merged
def _samples_of_block(one, header):
    """How many samples a block takes."""
    return WIDTH // itemsize(one) if read_record(Header, header, 0).lane_bits == 0 else 1


@merged
def walk(one, header, parts, call, scratch, visit):
    """Runs ``visit(one, frame, block)`` on all blocks of the items of a call, one after another."""
    said = read_record(Call, call, 0)
    size, samples = itemsize(one), _samples_of_block(one, header)
    n_blocks = (said.n_batch + samples - 1) // samples
    ready = said.ready - 1
    for item in range(said.first, said.last):
        model = item // said.n_chunks
        first = item % said.n_chunks * said.chunk
        end = min(first + said.chunk, n_blocks)
        for number in range(first, end):
            sample = number * samples
            block = Block(
                min(samples, said.n_batch - sample),
                said.x + (model * said.x_stack + sample * said.x_batch) * size,
                said.weights + model * said.w_stack * size,
                item,
                model,
                model * n_blocks + number,
                model * said.n_batch + sample,
                model != ready,
                number == first,
                number == end - 1,
            )
            # A frame for each block: LLVM would compile a loop around one frame anew for each case that it can tell of.
            visit(one, open_frame(header, parts, call, scratch), block)
            ready = model


@merged
def only_block(call):
    """The block of a call that is about one block alone."""
    return Block(call.n_batch, call.x, call.weights, 0, 0, 0, 0, True, True, True)
