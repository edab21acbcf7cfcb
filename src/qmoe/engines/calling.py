"""How compiled code of another package (training) calls a circuit: machine code of an engine, and its arguments.

An engine that can be called so says how by `Engine.compiled`. Machine code takes the number 1 in its precision and four
integers: the addresses of a header, of the parts of the scratch memory, of a call and of the scratch memory. It returns 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Call(NamedTuple):
    """What a call says, an array of 64-bit integers in this order. Addresses are 0 for what is not there.

    Attributes:
        first: the first item to run, an item being a chunk of the blocks of one model.
        last: the first item not to run.
        n_chunks: chunks of a model.
        chunk: blocks of a chunk.
        n_batch: samples of a model.
        x_stack: stride of the features over models, in numbers.
        x_batch: over samples.
        x_feature: over features.
        w_stack: stride of the weights over models.
        x: address of the features.
        weights: of the weights ``(M, P)``.
        strength: of the strengths of the noise ``(M,)``.
        out: of the read-outs ``(M, B, n_outputs)``.
        states: of the final states, which the forward pass keeps and the backward pass uses up.
        cotangent: of the gradients of the read-outs.
        gx: of those of the features ``(M, B, F)``, which are added to.
        gw: of those of the weights ``(M, chunks, P)``, which are added to.
        gs: of those of the strengths ``(M, chunks)``.
        ready: the number plus 1 of the model whose angles the scratch memory holds already; 0 for none.
    """

    first: int
    last: int
    n_chunks: int
    chunk: int
    n_batch: int
    x_stack: int
    x_batch: int
    x_feature: int
    w_stack: int
    x: int
    weights: int
    strength: int
    out: int
    states: int
    cotangent: int
    gx: int
    gw: int
    gs: int
    ready: int


#: Numbers of a call, and where in it each stands.
CALL_SIZE = len(Call._fields)
PLACE = Call(*range(CALL_SIZE))


@dataclass(frozen=True)
class CompiledCircuit:
    """Machine code for one circuit and size of batch.

    Attributes:
        forward: address of what writes read-outs, and final states where their address is given.
        backward: address of what writes gradients. Without final states it runs forward again.
        header: address of the first argument.
        parts: address of the second.
        n_chunks: chunks of a model.
        chunk: blocks of a chunk.
        scratch: bytes of scratch memory for one thread.
        states: bytes of the final states of one model; 0 where the backward pass has no use for them.
        cost: operations of a forward pass of one model, roughly.
        kept: what stands at the addresses, so that it stays.
    """

    forward: int
    backward: int
    header: int
    parts: int
    n_chunks: int
    chunk: int
    scratch: int
    states: int
    cost: float
    kept: tuple[object, ...] = field(repr=False)
