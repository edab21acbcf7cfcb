"""How compiled code of another room has a circuit run: machine code of an engine, and what a call of it says.

An engine that can be called so says how by `Engine.compiled`. Machine code takes the number 1 in its precision and four
integers: the addresses of a header, of the parts of the scratch memory, of a call and of the scratch memory. It returns 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Places in a call, an array of 64-bit integers. Items first .. last - 1, an item being a chunk of the blocks of one model;
#: chunks of a model, blocks of a chunk, samples of a model; strides, in numbers, over models, samples and features, and of
#: the weights over models; then addresses, 0 for what is not there:
#:
#: * features, weights ``(M, P)``, strengths of the noise ``(M,)``, read-outs ``(M, B, n_outputs)``,
#: * final states, which the forward pass keeps and the backward pass uses up,
#: * gradients of the read-outs; of features ``(M, B, F)`` and of weights ``(M, chunks, P)``, which are added to; of
#:   strengths ``(M, chunks)``.
#:
#: The last says, by its number plus 1, of which model the scratch memory holds the angles already; 0 for none.
(
    FIRST, LAST, N_CHUNKS, CHUNK, N_BATCH, X_STACK, X_BATCH, X_FEATURE, W_STACK,
    X, WEIGHTS, STRENGTH, OUT, STATES, COTANGENT, GX, GW, GS, READY, CALL,
) = range(20)  # fmt: skip


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
