"""A circuit as one operation of torch, for `torch.compile`: shapes and gradients are declared, its inside is not looked at.

Imported by what torch traces alone, since its parts take a second to import.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.engine_names import find
from qmoe.engines.protocol import Engine, fitting
from qmoe.engines.selection import choose_engine
from qmoe.engines.tracing import for_onnx
from qmoe.errors import UnsupportedError


def _named(name: str, x: Tensor) -> tuple[Engine, Circuit]:
    found = find(name)
    if found is None:
        raise UnsupportedError(
            f"This program calls the circuit {name!r}, which this process does not have: programs with such a call run "
            "where their model is. Export with strict=False, which writes circuits out in torch's operations, or export "
            "qmoe.distill(router)."
        )
    return found.engine or choose_engine(found.circuit, x.device)[0], found.circuit


@torch.library.custom_op("qmoe::run_circuit", mutates_args=())
def run_circuit(name: str, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
    """`Engine.evaluate` of the circuit of that name."""
    engine, circuit = _named(name, x)
    return engine.evaluate(circuit, x, weights, strength)


@run_circuit.register_fake
def _(name: str, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
    del strength
    engine, circuit = _named(name, x)
    if for_onnx():
        raise UnsupportedError(
            "ONNX knows no circuits, and this one cannot be written out; export qmoe.distill(router)."
        )
    axes = fitting(engine, circuit, x, weights).axes  # whether the engine can run it is found when it runs
    return x.new_empty((*axes.stack, *axes.batch, circuit.n_outputs))


@torch.library.custom_op("qmoe::circuit_gradients", mutates_args=())
def circuit_gradients(
    name: str, x: Tensor, weights: Tensor, strength: Tensor | None, cotangent: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, weights and strength; the last is empty where there is no strength."""
    engine, circuit = _named(name, x)

    def differentiate() -> tuple[Tensor, ...]:
        leaves = [t.detach().requires_grad_() for t in (x, weights, strength) if t is not None]
        out = engine.evaluate(circuit, *leaves)
        return torch.autograd.grad(out, leaves, cotangent, materialize_grads=True)

    # Inside of an operation nothing is recorded for autograd, which each engine has its own way with; beside it, it is.
    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(differentiate).result()
    return found[0], found[1], found[2] if strength is not None else x.new_empty(0)


@circuit_gradients.register_fake
def _(
    name: str, x: Tensor, weights: Tensor, strength: Tensor | None, cotangent: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    del name, cotangent
    return torch.empty_like(x), torch.empty_like(weights), x.new_empty(0) if strength is None else strength.clone()


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    ctx.name = inputs[0]
    ctx.save_for_backward(*inputs[1:])


def _pull_back(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
    x, weights, strength = ctx.saved_tensors
    of_x, of_weights, of_strength = circuit_gradients(ctx.name, x, weights, strength, cotangent)
    return None, of_x, of_weights, None if strength is None else of_strength


run_circuit.register_autograd(_pull_back, setup_context=_keep)
