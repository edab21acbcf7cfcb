"""A circuit as one operation of torch, for `torch.compile`: shapes and gradients are declared, its inside is not looked at.

An operation takes tensors, numbers and strings, so that a circuit and its engine go by a name that stands for them in this
process.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.protocol import Engine, fitting
from qmoe.engines.selection import choose_engine
from qmoe.errors import UnsupportedError

_NUMBERS = itertools.count()
_NAMED: weakref.WeakValueDictionary[str, Named] = weakref.WeakValueDictionary()


class Named:
    """A circuit and its engine under a name, which ends with this.

    Two are equal: they stand in modules beside the circuit and the engine that they name, and add nothing to them.

    Args:
        engine: what runs the circuit, None to choose by the device.
        circuit: the circuit.

    Attributes:
        name: what operations call it.
    """

    def __init__(self, engine: Engine | None, circuit: Circuit) -> None:
        self.engine, self.circuit = engine, circuit
        self.name = f"{circuit.n_qubits} qubits, {circuit.readout.name}, number {next(_NUMBERS)}"
        _NAMED[self.name] = self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named)

    __hash__ = None  # type: ignore[assignment]


def _named(name: str, x: Tensor) -> tuple[Engine, Circuit]:
    found = _NAMED.get(name)
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
    stack, batch, reason = fitting(engine, circuit, x, weights)
    if reason is not None:
        raise UnsupportedError(reason)
    return x.new_empty((*stack, *batch, circuit.n_outputs))


@torch.library.custom_op("qmoe::circuit_gradients", mutates_args=())
def circuit_gradients(
    name: str, x: Tensor, weights: Tensor, strength: Tensor | None, cotangent: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, weights and strength; the last is empty where there is no strength."""
    engine, circuit = _named(name, x)

    def run(*inputs: Tensor) -> Tensor:
        return engine.evaluate(circuit, *inputs)

    inputs = (x, weights) if strength is None else (x, weights, strength)
    found = torch.func.vjp(run, *inputs)[1](cotangent)
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


@torch.compiler.disable
def evaluate(engine: Engine, *inputs: Any) -> Tensor:
    """`Engine.evaluate` outside of the compiled program, for engines and circuits that have no name there."""
    return engine.evaluate(*inputs)
