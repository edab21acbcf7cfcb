"""Trains small language models of the Mixtral type with a quantum gate, its twin and others, and has the judge compare them.

Usage: python scripts/train_small_mixtral.py [--seeds N] [--steps N] [--out FILE] [--read FILE]

The text is the reference of Python that every Python has in `pydoc_data.topics`, character by character: nothing is fetched.
A seed stands for a held-out part of the text, an order of batches and first weights; all arms share them, but for the gate.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import qmoe
from qmoe.claims import ArmKey, judge, parse_claims
from qmoe.claims.runs import ArmRuns, StudyRuns
from qmoe.interop.transformers import swap_gates
from qmoe.routers import ConstantRouter

DOCS = Path(__file__).resolve().parents[1] / "docs"
OUT, PAGE = DOCS / "small-mixtral.json", DOCS / "transformers.md"
#: Between these lines of the page stands what the record says.
MARKS = ("<!-- from small-mixtral.json -->", "<!-- end -->")
#: The smallest difference of held-out loss that matters, in nats a character; set before any run.
MARGIN = 0.01
STUDY = "small-mixtral"


@dataclass(frozen=True)
class Setting:
    """What all arms have in common.

    Attributes:
        n_seeds: pairs of runs.
        steps: of Adam in each run.
        batch: sequences in a step.
        context: characters in a sequence.
        lr: learning rate at the first step; it falls in a line to 0 at the last.
        hidden: width of the model.
        layers: its layers, each with attention and a mixture of experts.
        n_experts: experts in a layer.
        top_k: of which each token uses so many.
        n_qubits: of the circuit, behind a trained linear map.
        circuit_layers: its trainable layers.
        aux: coefficient of the loss that balances experts.
        held_out: sequences that the loss is measured on.
    """

    n_seeds: int = 8
    steps: int = 300
    batch: int = 8
    context: int = 64
    lr: float = 3e-3
    hidden: int = 64
    layers: int = 2
    n_experts: int = 8
    top_k: int = 2
    n_qubits: int = 8
    circuit_layers: int = 2
    aux: float = 0.01
    held_out: int = 256


def quantum_gate(setting: Setting, generator: torch.Generator) -> qmoe.QuantumRouter:
    """A circuit behind a trained linear map from the hidden states."""
    sizes = {"n_qubits": setting.n_qubits, "n_layers": setting.circuit_layers}
    return qmoe.QuantumRouter(setting.hidden, setting.n_experts, **sizes, generator=generator)


#: Name -> its words, and what makes the gate of a layer; None keeps the gate that Mixtral has, which is linear.
ARMS: dict[str, tuple[str, Callable[[Setting, torch.Generator], nn.Module] | None]] = {
    "quantum": ("quantum gate", quantum_gate),
    "twin": ("classical twin", lambda s, g: qmoe.twin(quantum_gate(s, torch.Generator()), generator=g)),
    "linear": ("linear gate", None),
    "mean": ("fixed gate", lambda s, g: ConstantRouter(s.hidden, s.n_experts, generator=g)),
}
CLAIMS = {
    "claims": [
        {
            "id": identity,
            "statement": statement,
            "source": "scripts/train_small_mixtral.py",
            "studies": [STUDY],
            "min_seeds": 6,
            "tests": [
                {
                    "kind": "difference",
                    "name": f"{a}-{b}",
                    "a": a,
                    "b": b,
                    "metric": "test_loss",
                    "margin": MARGIN,
                    "direction": direction,
                }
            ],
        }
        for identity, a, b, direction, statement in (
            ("routing", "linear", "mean", "less", "Routing matters: the linear gate gives a lower loss than a fixed one."),
            ("better", "quantum", "linear", "less", "The quantum gate gives a lower loss than the linear gate."),
            ("needed", "quantum", "twin", "less", "The quantum gate gives a lower loss than its classical twin."),
        )
    ]
}  # fmt: skip


def tokens() -> tuple[Tensor, int, str]:
    """The text as numbers, how many there are, and a hash of it."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))
    alphabet = sorted(set(text))
    places = {letter: place for place, letter in enumerate(alphabet)}
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return torch.tensor([places[letter] for letter in text]), len(alphabet), digest


def parts_of(text: Tensor, seed: int, n_seeds: int) -> tuple[Tensor, Tensor]:
    """The training part and the held-out part, a tenth, which begins elsewhere for each seed."""
    size = len(text) // 10
    begin = seed * (len(text) - size) // max(1, n_seeds - 1)
    return torch.cat([text[:begin], text[begin + size :]]), text[begin : begin + size]


def build(arm: str, setting: Setting, n_tokens: int, seed: int) -> Any:
    """A model with the gates of an arm; all else has the same first weights in all arms."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=n_tokens,
        hidden_size=setting.hidden,
        intermediate_size=2 * setting.hidden,
        num_hidden_layers=setting.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        num_local_experts=setting.n_experts,
        num_experts_per_tok=setting.top_k,
        max_position_embeddings=setting.context,
        router_aux_loss_coef=setting.aux,
        output_router_logits=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MixtralForCausalLM(config)
    make = ARMS[arm][1]
    if make is not None:
        swap_gates(model, lambda f, e, layer: make(setting, torch.Generator().manual_seed(1000 * seed + layer)))
    return model


def windows(part: Tensor, begins: Tensor, length: int) -> Tensor:
    """Sequences of a text."""
    return part[begins[:, None] + torch.arange(length)]


def train(arm: str, setting: Setting, text: Tensor, n_tokens: int, seed: int) -> dict[str, Any]:
    """Trains a model of one arm and measures it on the held-out part."""
    model = build(arm, setting, n_tokens, seed).train()
    part, held_out = parts_of(text, seed, setting.n_seeds)
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=setting.lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, setting.steps)
    losses = []
    begin = time.perf_counter()
    for _ in range(setting.steps):
        ids = windows(
            part, torch.randint(len(part) - setting.context, (setting.batch,), generator=draw), setting.context
        )
        out = model(ids, labels=ids)
        optimiser.zero_grad()
        out.loss.backward()
        optimiser.step()
        schedule.step()
        losses.append((out.loss - setting.aux * out.aux_loss).item())
    seconds = time.perf_counter() - begin
    model.eval()
    begins = torch.linspace(0, len(held_out) - setting.context - 1, setting.held_out).long()
    chosen: list[Tensor] = []
    hooks = [
        layer.mlp.gate.register_forward_hook(lambda module, args, out: chosen.append(out[2]))
        for layer in model.model.layers
    ]
    with torch.no_grad():
        ids = windows(held_out, begins, setting.context)
        loss = model(ids, labels=ids, output_router_logits=False).loss
    for hook in hooks:
        hook.remove()
    shares = torch.stack(
        [torch.bincount(c.flatten(), minlength=setting.n_experts) / c.numel() for c in chosen]
    ).double()
    entropy = -(shares * shares.clamp_min(1e-300).log()).sum(-1) / math.log(setting.n_experts)
    recent = [float(np.mean(block)) for block in np.array_split(losses, 10)[-4:]]
    return {
        "test_loss": float(loss),
        "loss": recent[-1],
        "recent": recent,
        "tokens_per_second": setting.steps * setting.batch * setting.context / seconds,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "gate_parameters": sum(p.numel() for p in model.model.layers[0].mlp.gate.parameters()),
        "entropy": float(entropy.mean()),
        "largest_share": float(shares.max(-1).values.mean()),
        "smallest_share": float(shares.min(-1).values.mean()),
    }


def runs_of_arm(arm: str, setting: Setting, found: Sequence[dict[str, Any]]) -> ArmRuns:
    """The runs of an arm as the judge takes them."""
    n = len(found)
    names = ("test_loss", "loss", "parameters")
    return ArmRuns(
        ARMS[arm][0],
        np.arange(n),
        np.zeros(n, dtype=np.int64),
        {name: np.array([float(one[name]) for one in found]) for name in names},
        lrs=np.full(n, setting.lr),
        epochs=np.full(n, setting.steps),
        batch_sizes=np.full(n, setting.batch),
        recent=np.array([one["recent"] for one in found]),
        study=STUDY,
        name=arm,
        metric="test_loss",
    )


def judged(setting: Setting, runs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The verdicts on `CLAIMS`, as plain data."""
    arms = {ArmKey(arm): runs_of_arm(arm, setting, found) for arm, found in runs.items()}
    verdicts = judge(parse_claims(CLAIMS, STUDY), [StudyRuns(STUDY, arms, part="gate")])
    return [
        {
            "id": verdict.claim.id,
            "statement": verdict.claim.statement,
            "outcome": str(verdict.outcome),
            "numbers": _numbers(verdict.tests[0].comparisons[0]),
            "reasons": list(verdict.reasons),
            "caveats": list(verdict.caveats),
        }
        for verdict in verdicts
    ]


def _numbers(compared: Any) -> str:
    """Difference and interval of a comparison."""
    return f"difference {compared.effect:+.3f} [{compared.low:+.3f}, {compared.high:+.3f}]"


def table(record: dict[str, Any]) -> str:
    """What the page says: a row for each arm, and the verdicts."""
    lines = [
        "| gate | held-out loss | parameters of a gate | tokens a second | entropy of use | largest, smallest share |",
        "|---|---|---|---|---|---|",
    ]
    for arm, found in record["runs"].items():
        values = {name: np.array([one[name] for one in found]) for name in found[0] if name != "recent"}
        lines.append(
            f"| {ARMS[arm][0]} | {values['test_loss'].mean():.3f} ± {values['test_loss'].std(ddof=1):.3f} | "
            f"{found[0]['gate_parameters']:,} | {np.median(values['tokens_per_second']):,.0f} | "
            f"{values['entropy'].mean():.2f} | {values['largest_share'].mean():.2f}, "
            f"{values['smallest_share'].mean():.3f} |"
        )
    lines.append("")
    for verdict in record["verdicts"]:
        lines.append(f"* {verdict['statement']} **{verdict['outcome'].capitalize()}**: {verdict['numbers']}.")
    return "\n".join(lines)


def page_with(page: str, record: dict[str, Any]) -> str:
    """The page with the table of a record."""
    before, rest = page.split(MARKS[0])
    return f"{before}{MARKS[0]}\n{table(record)}\n{MARKS[1]}{rest.split(MARKS[1])[1]}"


def run(setting: Setting) -> dict[str, Any]:
    """Trains all arms on all seeds, and says what came out as plain data."""
    text, n_tokens, digest = tokens()
    begin = time.perf_counter()
    runs: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for seed in range(setting.n_seeds):
        for arm in ARMS:
            found = train(arm, setting, text, n_tokens, seed)
            runs[arm].append(found)
            print(
                f"seed {seed} {arm:8} held-out loss {found['test_loss']:.4f}  {found['tokens_per_second']:7,.0f} tokens/s  "
                f"entropy {found['entropy']:.3f}",
                flush=True,
            )
    return {
        "setting": dataclasses.asdict(setting),
        "margin": MARGIN,
        "text": {"characters": len(text), "alphabet": n_tokens, "sha256": digest, "python": sys.version.split()[0]},
        "versions": {name: __import__(name).__version__ for name in ("torch", "transformers")},
        "seconds": round(time.perf_counter() - begin, 1),
        "runs": runs,
    }


def main() -> None:
    """Trains, judges, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=Setting.n_seeds)
    parser.add_argument("--steps", type=int, default=Setting.steps)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--read", type=Path, help="a record; judge it again instead of training")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.read:
        record = json.loads(chosen.read.read_text(encoding="utf-8"))
    else:
        record = run(Setting(n_seeds=chosen.seeds, steps=chosen.steps))
    record["verdicts"] = judged(Setting(**record["setting"]), record["runs"])
    print(table(record))
    for verdict in record["verdicts"]:
        print(verdict["reasons"], verdict["caveats"])
    chosen.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if chosen.out == OUT:
        PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main()
