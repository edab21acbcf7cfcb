"""Tiny models of transformers with weights from a seed, and gates for them."""

from typing import Any

import torch
import transformers
from torch import Tensor, nn

import qmoe
from helpers import generator

_SIZES = {
    "vocab_size": 48,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_experts_per_tok": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
}
_DEEPSEEK = {
    "moe_intermediate_size": 24, "n_routed_experts": 8, "n_group": 2, "topk_group": 1, "n_shared_experts": 1,
    "first_k_dense_replace": 1, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4,
    "v_head_dim": 8,
}  # fmt: skip

#: Family -> class of the model, class of its configuration, and what that takes beside the common sizes.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Mixtral": ("MixtralForCausalLM", "MixtralConfig", {"num_local_experts": 4}),
    "Qwen3-MoE": (
        "Qwen3MoeForCausalLM",
        "Qwen3MoeConfig",
        {
            "num_experts": 4,
            "moe_intermediate_size": 24,
            "head_dim": 8,
            "decoder_sparse_step": 1,
            "norm_topk_prob": True,
        },
    ),
    "OLMoE": ("OlmoeForCausalLM", "OlmoeConfig", {"num_experts": 4}),
    "GPT-OSS": ("GptOssForCausalLM", "GptOssConfig", {"num_local_experts": 4, "head_dim": 8}),
    "DeepSeek-V3": ("DeepseekV3ForCausalLM", "DeepseekV3Config", _DEEPSEEK),
}


def model_class(name: str) -> Any:
    """The class of the models of a family."""
    return getattr(transformers, MODELS[name][0])


def config_of(name: str) -> Any:
    """The configuration of a tiny model of a family."""
    _, config, own = MODELS[name]
    return getattr(transformers, config)(**_SIZES, **own)


def build(name: str, seed: int = 0) -> Any:
    """A tiny model, in evaluation mode. Its gates are larger than they begin, so that experts are told apart."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(name)(config_of(name)).eval()
    with torch.no_grad():
        for part in model.modules():
            if "Router" in type(part).__name__:
                part.weight.mul_(20)
                for other in ("bias", "e_score_correction_bias"):
                    if getattr(part, other, None) is not None:
                        getattr(part, other).uniform_(-0.3, 0.3, generator=generator())
    return model


def quantum(in_features: int, n_experts: int) -> qmoe.QuantumRouter:
    """A small quantum gate."""
    return qmoe.QuantumRouter(in_features, n_experts, n_qubits=3, n_layers=1, generator=generator())


def ids() -> Tensor:
    """Two sequences of seven tokens."""
    return torch.randint(1, 48, (2, 7), generator=generator())


class Itself(nn.Module):
    """The logits that a gate has by itself."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.detach()), bias

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)

    @staticmethod
    def of(model: nn.Module) -> Any:
        """A ``make`` that gives the gates of a model back."""
        gates = iter([part for part in model.modules() if "Router" in type(part).__name__])

        def make(in_features: int, n_experts: int) -> Itself:
            gate = next(gates)
            return Itself(gate.weight, getattr(gate, "bias", None))

        return make
