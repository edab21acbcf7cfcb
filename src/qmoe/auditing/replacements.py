"""The arms of an audit: what stands in for the layer, and why an arm is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from qmoe.auditing.circuit_forms import (
    QuantumPart,
    circuit_of,
    dephased,
    quantum_part,
    twin_of,
    why_no_twin,
    with_circuit,
    without_entanglers,
)
from qmoe.auditing.location import Seen
from qmoe.auditing.stand_ins import ACTIVATION, ConstantOutput, PermutedOutput, SmallMLP, WithoutAxis
from qmoe.circuits import Circuit
from qmoe.errors import unknown
from qmoe.routers import MLPRouter, Router
from qmoe.routers.controls import ConstantRouter, PermutedRouting
from qmoe.routers.functions.ranks import is_constant

#: Builds what stands in for a layer: from the layer, what it did on the training rows, and a source of first weights.
Make = Callable[[nn.Module, Seen, torch.Generator], nn.Module]

#: Name of each arm -> what readers call the model with it.
ARMS = {
    "base": "model as it is",
    "mean": "model with a constant for the layer",
    "permuted": "model with the layer's outputs permuted",
    "frozen": "model with the layer frozen",
    "mlp": "model with an MLP for the layer",
    "twin": "model with the layer's classical twin",
    "no-entangler": "model without the layer's entanglers",
    "dephased": "model with the layer dephased",
}
#: Those that every audit has: the model, and what the main question is asked against.
NEEDED = ("base", "mean")
#: Qubits up to which a dephased circuit is tried for whether anything of the input is left.
_MAX_TRIED = 6


@dataclass(frozen=True)
class Arm:
    """One form of the model.

    Attributes:
        name: a name of `ARMS`.
        says: what stands in for the layer, in words.
        make: builds it.
    """

    name: str
    says: str
    make: Make

    @property
    def label(self) -> str:
        """What readers call the model with it."""
        return ARMS[self.name]


def arms_for(layer: nn.Module, seen: Seen, wanted: Iterable[str] | None) -> tuple[list[Arm], dict[str, str]]:
    """The arms of an audit in order, and why others are left out.

    Args:
        layer: the layer as it is.
        seen: what it did on some rows.
        wanted: names of `ARMS`; None for all that apply. `NEEDED` are always among them.

    Raises:
        ConfigError: for an unknown name.
    """
    chosen = None if wanted is None else {*NEEDED, *wanted}
    for name in chosen or ():
        if name not in ARMS:
            raise unknown("arm", name, ARMS)
    made: list[Arm] = []
    left_out: dict[str, str] = {}
    for name, step in _STEPS.items():
        if chosen is not None and name not in chosen:
            continue
        found = step(layer, seen)
        if isinstance(found, str):
            left_out[name] = found
        else:
            made.append(Arm(name, *found))
    return made, left_out


def n_trainable(module: nn.Module) -> int:
    """Number of parameters that train."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


_Step = Callable[[nn.Module, Seen], tuple[str, Make] | str]


def _base(layer: nn.Module, seen: Seen) -> tuple[str, Make]:
    return "the layer", lambda layer, seen, generator: layer


def _mean(layer: nn.Module, seen: Seen) -> tuple[str, Make]:
    return (
        f"{seen.mean.numel()} trained numbers, the same for every sample; they begin as the layer's mean output",
        _constant,
    )


def _constant(layer: nn.Module, seen: Seen, generator: torch.Generator) -> nn.Module:
    if not isinstance(layer, Router):
        return ConstantOutput(seen.mean, seen.leading)
    router = ConstantRouter(
        layer.in_features, layer.n_experts, generator=generator, device=seen.mean.device, dtype=seen.mean.dtype
    )
    with torch.no_grad():
        router.bias.copy_(seen.mean.clamp_min(1e-6).log())
    return router


def _permuted(layer: nn.Module, seen: Seen) -> tuple[str, Make]:
    def make(layer: nn.Module, seen: Seen, generator: torch.Generator) -> nn.Module:
        return PermutedRouting(layer) if isinstance(layer, Router) else PermutedOutput(layer)

    return "the layer; each of its outputs goes to another sample of the batch, in training and testing", make


def _frozen(layer: nn.Module, seen: Seen) -> tuple[str, Make] | str:
    if n_trainable(layer) == 0:
        return "the layer has no parameters that train"
    return (
        "the layer with its parameters as drawn; the rest trains",
        lambda layer, seen, generator: layer.requires_grad_(False),
    )


def _mlp(layer: nn.Module, seen: Seen) -> tuple[str, Make] | str:
    budget = n_trainable(layer)
    if budget == 0:
        return "the layer has no parameters that train, so there is no budget to match"
    if seen.inputs is None or not (seen.leading or seen.bare) or not seen.inputs.is_floating_point():
        return "the layer does not map the last axis of one tensor of numbers to another"
    F, O = seen.inputs.shape[-1], 1 if seen.bare else seen.outputs.shape[-1]  # noqa: E741  # O is the field's name for outputs
    hidden = max(1, int((budget - O) / (F + 1 + O) + 0.5))
    size = hidden * (F + 1 + O) + O

    def make(layer: nn.Module, seen: Seen, generator: torch.Generator) -> nn.Module:
        if isinstance(layer, Router):
            where, dtype = seen.outputs.device, seen.outputs.dtype
            return MLPRouter(F, O, hidden=hidden, activation=ACTIVATION, generator=generator, device=where, dtype=dtype)
        return _shaped(SmallMLP(F, hidden, O, seen.outputs, generator), seen)

    return f"{hidden} hidden units of {ACTIVATION}, {size} parameters for the layer's {budget}", make


def _shaped(made: nn.Module, seen: Seen) -> nn.Module:
    """A stand-in whose outputs have the axes of the layer's."""
    return WithoutAxis(made) if seen.bare else made


def _part(layer: nn.Module, seen: Seen) -> QuantumPart | str:
    return quantum_part(layer, None if seen.inputs is None else seen.inputs.shape[-1])


def _again(layer: nn.Module, seen: Seen) -> QuantumPart:
    found = _part(layer, seen)
    assert not isinstance(found, str)  # that of another draw was found
    return found


def _twin(layer: nn.Module, seen: Seen) -> tuple[str, Make] | str:
    known = _part(layer, seen)
    if isinstance(known, str):
        return known
    if why := why_no_twin(known):
        return why

    def make(layer: nn.Module, seen: Seen, generator: torch.Generator) -> nn.Module:
        return _shaped(twin_of(_again(layer, seen), generator), seen)

    return "no circuit: a linear map on all functions that the circuit can compute", make


def _no_entangler(layer: nn.Module, seen: Seen) -> tuple[str, Make] | str:
    return _changed(layer, seen, without_entanglers, "the circuit without its gates on two qubits")


def _dephased(layer: nn.Module, seen: Seen) -> tuple[str, Make] | str:
    says = "the circuit; all coherence between basis states is taken away after each encoding and between layers"
    found = _changed(layer, seen, dephased, says)
    known = _part(layer, seen)
    if isinstance(found, str) or isinstance(known, str):
        return found
    circuit = dephased(circuit_of(known))
    told = not isinstance(circuit, str) and circuit.n_qubits <= _MAX_TRIED and is_constant(circuit)
    return f"{says}{'; nothing of the input is left' if told else ''}", found[1]


def _changed(
    layer: nn.Module, seen: Seen, change: Callable[[Circuit], Circuit | str], says: str
) -> tuple[str, Make] | str:
    known = _part(layer, seen)
    if isinstance(known, str):
        return known
    circuit = change(circuit_of(known))
    if isinstance(circuit, str):
        return circuit

    def make(layer: nn.Module, seen: Seen, generator: torch.Generator) -> nn.Module:
        return _shaped(with_circuit(_again(layer, seen), circuit, generator), seen)

    return says, make


#: Arms in the order of `ARMS`.
_STEPS: dict[str, _Step] = {
    "base": _base,
    "mean": _mean,
    "permuted": _permuted,
    "frozen": _frozen,
    "mlp": _mlp,
    "twin": _twin,
    "no-entangler": _no_entangler,
    "dephased": _dephased,
}
