"""A training step of a small Mixtral with its own linear gates, with quantum gates and with their classical twins.

A step is 4,096 tokens forward and backward to all weights, with the loss that balances experts. All else is the same model.
What a gate costs is compared by processor time, which other processes change less than they change seconds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor

import qmoe
from qmoe.interop.transformers import swap_gates


@dataclass(frozen=True)
class GateSize:
    """A model, its gates and its batch.

    Attributes:
        hidden: width of the model; that of an expert is 3.5 times as much, as in Mixtral.
        layers: layers of the model.
        n_experts: experts E in a layer, of which a token uses two.
        n_qubits: of the circuit, behind a linear map, with 3 trainable layers.
        n_sequences: sequences in a step.
        context: tokens in a sequence.
    """

    hidden: int = 512
    layers: int = 2
    n_experts: int = 8
    n_qubits: int = 8
    n_sequences: int = 8
    context: int = 512


SIZES = (GateSize(),)
QUICK_SIZES = (GateSize(hidden=32, layers=1, n_qubits=4, n_sequences=2, context=16),)
_VOCABULARY = 1000


@dataclass(frozen=True)
class GateTimes:
    """Seconds of one training step, the median over the rounds, and what the gates add to it.

    Attributes:
        of: what was timed.
        step: kind of gate -> seconds of the step.
        processor: kind -> processor seconds of the step.
        alone: kind -> processor seconds of its gates in a step, called by themselves forward and backward.
        extra: kind -> what it adds to the step with linear gates, as a share of that step; the median over the rounds.
    """

    of: GateSize
    step: dict[str, float]
    processor: dict[str, float]
    alone: dict[str, float]
    extra: dict[str, float]


def measure_gates(sizes: Sequence[GateSize], rounds: int = 7) -> list[GateTimes]:
    """Times every size, all kinds of gates in turn."""
    return [_measured(size, rounds) for size in sizes]


def text(found: GateTimes) -> list[str]:
    """Lines to print."""
    of = found.of
    head = (
        f"hidden {of.hidden}, {of.layers} layer(s), {of.n_experts} experts, {of.n_qubits} qubits, "
        f"{of.n_sequences * of.context:,} tokens"
    )
    lines = [
        f"  {kind:8} {1e3 * seconds:9.1f} ms  {of.n_sequences * of.context / seconds:9,.0f} tokens/s  "
        f"processor {1e3 * found.processor[kind]:9.1f} ms  {100 * found.extra[kind]:+6.1f} %  "
        f"gates alone {1e3 * found.alone[kind]:7.1f} ms"
        for kind, seconds in found.step.items()
    ]
    return [head, *lines]


def build(size: GateSize, kind: str) -> Any:
    """The model with gates of one kind: ``"linear"``, ``"quantum"`` or ``"twin"``."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=_VOCABULARY,
        hidden_size=size.hidden,
        intermediate_size=7 * size.hidden // 2,
        num_hidden_layers=size.layers,
        num_attention_heads=8,
        num_key_value_heads=8,
        num_local_experts=size.n_experts,
        num_experts_per_tok=2,
        max_position_embeddings=size.context,
        output_router_logits=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MixtralForCausalLM(config).train()
    if kind == "linear":
        return model

    def make(in_features: int, n_experts: int) -> torch.nn.Module:
        draw = torch.Generator().manual_seed(0)
        router = qmoe.QuantumRouter(in_features, n_experts, n_qubits=size.n_qubits, generator=draw)
        return qmoe.twin(router, generator=draw) if kind == "twin" else router

    return swap_gates(model, make)


def _measured(size: GateSize, rounds: int) -> GateTimes:
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(_VOCABULARY, (size.n_sequences, size.context), generator=draw)
    models = {kind: build(size, kind) for kind in ("linear", "quantum", "twin")}
    steps = {kind: _step(model, ids) for kind, model in models.items()}
    hidden = torch.randn(ids.numel(), size.hidden, generator=draw)
    gates = {kind: _step_of_gates(model, hidden) for kind, model in models.items()}
    for step in (*steps.values(), *gates.values()):
        step()  # kernels are compiled, memory is taken
    wall: dict[str, list[float]] = {kind: [] for kind in steps}
    processor: dict[str, list[float]] = {kind: [] for kind in steps}
    alone: dict[str, list[float]] = {kind: [] for kind in steps}
    for _ in range(rounds):
        for kind, step in steps.items():
            begin, busy = perf_counter(), process_time()
            step()
            wall[kind].append(perf_counter() - begin)
            processor[kind].append(process_time() - busy)
            busy = process_time()
            gates[kind]()
            alone[kind].append(process_time() - busy)
    extra = {
        kind: statistics.median(one / linear - 1 for one, linear in zip(found, processor["linear"], strict=True))
        for kind, found in processor.items()
    }
    medians = [{kind: statistics.median(found) for kind, found in times.items()} for times in (wall, processor, alone)]
    return GateTimes(size, *medians, extra)


def _step_of_gates(model: Any, hidden: Tensor) -> Callable[[], None]:
    def run() -> None:
        for layer in model.model.layers:
            logits, weights, _ = layer.mlp.gate(hidden.detach().requires_grad_())
            (logits.square().mean() + weights[:, 0].mean()).backward()

    return run


def _step(model: Any, ids: Tensor) -> Callable[[], None]:
    def run() -> None:
        model.zero_grad()
        model(ids, labels=ids).loss.backward()

    return run
