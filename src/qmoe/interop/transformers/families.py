"""The families of models whose rule of routing is known: where their routers keep what a swap changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from qmoe.errors import ConfigError, UnsupportedError


@dataclass(frozen=True)
class Family:
    """A class of routers of transformers: it multiplies hidden states by a weight, then routes by a rule of its own.

    A swap leaves the rule alone. The router of qmoe gives the logits, and the weight becomes an identity.

    Attributes:
        name: of the family, in messages.
        router: the full name of the class, such as ``"transformers.models.olmoe.modeling_olmoe.OlmoeTopKRouter"``. Its
            subclasses belong to the family too.
        weight: the attribute that hidden states are multiplied by, ``(E, F)``.
        bias: the attribute that is added to the logits, ``(E,)``; None where there is none.
        width: the attribute with the number of features F, by which the class reshapes its input; None where there is none.
        logits_dtype: what logits are computed in; None for the dtype of the hidden states.
        adjusted: buffers ``(E,)`` of the rule that training changes, such as a bias that balances the load. They stay in the
            model, and files of gates hold them too.
    """

    name: str
    router: str
    weight: str = "weight"
    bias: str | None = None
    width: str | None = "hidden_dim"
    logits_dtype: torch.dtype | None = None
    adjusted: tuple[str, ...] = ()


def _of(module: str, router: str) -> str:
    return f"transformers.models.{module}.modeling_{module}.{router}"


#: The families by the full names of their routers.
FAMILIES: dict[str, Family] = {}


def register_family(family: Family) -> None:
    """Makes a family known to `swap_gates`, or replaces the one with that class of routers.

    Args:
        family: where its routers keep what a swap changes. The first swap of a model tries the rule on random rows, and
            raises where this description is wrong.

    Raises:
        ConfigError: for anything but a `Family` whose ``router`` is the full name of a class.

    Example:
        >>> from qmoe.interop.transformers import Family, register_family
        >>> router = "transformers.models.flex_olmo.modeling_flex_olmo.FlexOlmoTopKRouter"
        >>> register_family(Family("FlexOlmo", router))
    """
    if not isinstance(family, Family) or "." not in family.router:
        raise ConfigError(
            f"Got {family!r}, expected a Family with the full name of a class: Family('Mine', 'my_models.routing.MyRouter')."
        )
    FAMILIES[family.router] = family


for _family in (
    Family("Mixtral", _of("mixtral", "MixtralTopKRouter")),
    Family("Qwen3-MoE", _of("qwen3_moe", "Qwen3MoeTopKRouter")),
    Family("OLMoE", _of("olmoe", "OlmoeTopKRouter")),
    Family("GPT-OSS", _of("gpt_oss", "GptOssTopKRouter"), bias="bias"),
    Family(
        "DeepSeek-V3",
        _of("deepseek_v3", "DeepseekV3TopkRouter"),
        logits_dtype=torch.float32,
        adjusted=("e_score_correction_bias",),
    ),
):
    register_family(_family)


def family_of(module: nn.Module) -> Family | None:
    """The family of a router of transformers; None for any other module."""
    for cls in type(module).__mro__:
        found = FAMILIES.get(f"{cls.__module__}.{cls.__qualname__}")
        if found is not None:
            return found
    return None


def sizes_of(gate: nn.Module, family: Family) -> tuple[int, int]:
    """Features and experts of a gate that is not swapped.

    Raises:
        UnsupportedError: where the gate is not as the family is described.
    """
    for what, name in (("weight", family.weight), ("bias", family.bias), ("width", family.width)):
        if name is not None and getattr(gate, name, None) is None:
            raise UnsupportedError(
                f"The family {family.name} has {what}={name!r}, and a {type(gate).__name__} here has no {name}. Describe it "
                "anew by register_family, or install a version of transformers that qmoe is tested with."
            )
    weight = getattr(gate, family.weight)
    if weight.dim() != 2:
        raise UnsupportedError(
            f"The {family.weight} of this {type(gate).__name__} has the shape {tuple(weight.shape)}, expected experts by "
            "features; gates whose weights are sharded or packed cannot be swapped."
        )
    n_experts, in_features = weight.shape
    return in_features, n_experts


def known_families() -> str:
    """The names of all families, for messages."""
    return ", ".join(sorted(family.name for family in FAMILIES.values()))
