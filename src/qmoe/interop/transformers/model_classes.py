"""Classes of models that have their gates from the start."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from torch import nn

from qmoe.errors import ConfigError, needed
from qmoe.interop.transformers.swapped_gate import SwappedGate
from qmoe.interop.transformers.swapping import Make, gates_of, numbers_of_layers, plain_gates, swap_gates
from qmoe.layers import Stackable

#: Where the configuration of a model says what its gates compute.
_KEY = "qmoe_gates"


def swapped(model_class: Any, make: Make, layers: str | Iterable[int] = "all") -> Any:
    """A subclass of a model's class whose models have gates of your own, for ``save_pretrained`` and ``from_pretrained``.

    The plain class cannot load what such a model saved: it has no place for its gates, and refuses them by the shape of a
    weight. The subclass loads it to the last bit.

    Args:
        model_class: a class of transformers, such as ``MixtralForCausalLM``.
        make: makes a gate, as of `swap_gates`. It is called anew for each model.
        layers: as of `swap_gates`.

    Returns:
        The class, called ``Swapped`` and the name of the other.

    Raises:
        ConfigError: for anything but a class of models. Later by ``from_pretrained``, for a checkpoint of other gates.

    Example:
        >>> import qmoe
        >>> from qmoe.interop.transformers import swapped
        >>> from transformers import MixtralForCausalLM
        >>> make = lambda features, experts: qmoe.QuantumRouter(features, experts, n_qubits=8)
        >>> QuantumMixtral = swapped(MixtralForCausalLM, make)
        >>> QuantumMixtral.__name__
        'SwappedMixtralForCausalLM'
    """
    base = needed("transformers", "qmoe[llm]").PreTrainedModel
    if not isinstance(model_class, type) or not issubclass(model_class, base):
        raise ConfigError(
            f"model_class is {model_class!r}, expected a class of transformers, such as MixtralForCausalLM; of a model that "
            "is there call swap_gates."
        )
    if not isinstance(layers, str):
        layers = numbers_of_layers(layers)

    class SwappedModel(model_class):
        def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(config, *args, **kwargs)
            swap_gates(self, make, layers)
            for gate in gates_of(self).values():
                gate.__dict__["_before"] = None
            # Of a checkpoint that is being loaded; it is written by `save_pretrained` and stays nowhere else.
            self.__dict__[_KEY] = self.config.__dict__.pop(_KEY, None)

        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
            wants_info = kwargs.pop("output_loading_info", False)
            load = functools.partial(super().from_pretrained, *args, output_loading_info=True)
            try:
                model, info = load(**kwargs)
            except RuntimeError:
                if kwargs.get("ignore_mismatched_sizes"):
                    raise
                # The error names no weight, so it is loaded again to say which gates are the reason.
                _check_loaded(*load(**{**kwargs, "ignore_mismatched_sizes": True}))
                raise
            _check_described(model.__dict__.pop(_KEY), _described(model))
            _check_loaded(model, info)
            for gate in gates_of(model).values():
                gate.renew()
            return (model, info) if wants_info else model

        def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
            setattr(self.config, _KEY, _described(self))
            try:
                return super().save_pretrained(*args, **kwargs)
            finally:
                delattr(self.config, _KEY)

    SwappedModel.__name__ = SwappedModel.__qualname__ = f"Swapped{model_class.__name__}"
    SwappedModel.__doc__ = f"{model_class.__name__} with gates of its own."
    return SwappedModel


def _described(model: nn.Module) -> dict[str, dict[str, Any]]:
    """What the numbers of each gate mean, as plain data: its class, and options that shapes do not show."""
    found = {}
    for name, gate in gates_of(model).items():
        options = {
            ".".join(filter(None, (path, option))): value
            for path, module in gate.router.named_modules()
            if isinstance(module, Stackable)
            for option, value in module.described().items()
        }
        found[name] = {"class": type(gate.router).__name__, **options}
    return found


def _check_described(theirs: Any, ours: dict[str, dict[str, Any]]) -> None:
    """Raises `ConfigError` where a configuration was written by a model with gates that compute something else."""
    if theirs is None or theirs == ours:
        return
    theirs = theirs if isinstance(theirs, dict) else {}
    name = next(n for n in (*ours, *theirs) if theirs.get(n) != ours.get(n))
    there, here = theirs.get(name) or {}, ours.get(name) or {}
    option = next((o for o in (*here, *there) if there.get(o) != here.get(o)), "class")
    raise ConfigError(
        f"The configuration is of a model whose gate {name} has {option} {there.get(option)!r}, and make gives "
        f"{here.get(option)!r}: the same numbers would mean another routing. Pass the make that the model was built with."
    )


def _check_loaded(model: nn.Module, info: dict[str, Any]) -> None:
    """Raises `ConfigError` where a checkpoint has other gates than the model, saying which."""
    missing, unexpected = map(sorted, (info["missing_keys"], info["unexpected_keys"]))
    mismatched = sorted(entry[0] for entry in info["mismatched_keys"])
    for name, (gate, family) in plain_gates(model).items():
        own = {f"{name}.{part}" for part in (family.weight, family.bias)}
        router = f"{name}.router."
        is_swapped = isinstance(gate, SwappedGate)
        if is_swapped and own & {*mismatched} and all(key in missing for key in _below(router, model)):
            raise ConfigError(
                f"The checkpoint has the model's own gate at {name}, and this class has a router of make there. To put new "
                "gates into a model, load its plain class and call swap_gates; if only some layers were swapped, pass them "
                "to swapped: layers=[0]."
            )
        if not is_swapped and any(key.startswith(router) for key in unexpected):
            raise ConfigError(
                f"The checkpoint has a router at {name}, and this class leaves the gate of that layer as it is; pass the "
                "layers that were swapped when it was saved to swapped: layers='all', for example."
            )
        others = [("lacks", missing), ("also has", unexpected), ("has in another shape", mismatched)]
        for how, key in [(how, key) for how, keys in others for key in keys if is_swapped]:
            if key.startswith(f"{name}."):
                raise ConfigError(
                    f"The checkpoint {how} {key}: it was not saved by a model with these gates. Pass the make that it was "
                    "built with; to put new gates into a model, load its plain class and call swap_gates."
                )


def _below(prefix: str, model: nn.Module) -> list[str]:
    """The names in the state of a model that begin so."""
    return [key for key in model.state_dict() if key.startswith(prefix)]
