"""The script that trains small language models, and what its page says of the record."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("train_small_mixtral", ROOT / "scripts" / "train_small_mixtral.py")
script = importlib.util.module_from_spec(_spec)
sys.modules["train_small_mixtral"] = script
_spec.loader.exec_module(script)

TINY = script.Setting(
    n_seeds=2, steps=10, batch=2, context=8, hidden=8, layers=1, n_experts=3, n_qubits=2, circuit_layers=1, held_out=4
)


@pytest.fixture(scope="module")
def text() -> torch.Tensor:
    return torch.randint(5, (400,), generator=torch.Generator().manual_seed(0))


def test_the_page_says_what_the_record_says() -> None:
    record = json.loads(script.OUT.read_text(encoding="utf-8"))
    page = script.PAGE.read_text(encoding="utf-8")
    assert script.page_with(page, record) == page
    assert record["setting"] == dataclasses.asdict(script.Setting())
    assert all(len(found) == record["setting"]["n_seeds"] >= 6 for found in record["runs"].values())
    again = script.judged(script.Setting(**record["setting"]), record["runs"])
    assert [verdict["outcome"] for verdict in again] == [verdict["outcome"] for verdict in record["verdicts"]]


def test_arms_share_all_first_weights_but_those_of_the_gates() -> None:
    models = {arm: script.build(arm, TINY, 5, seed=1).state_dict() for arm in script.ARMS}
    common = {name for name in models["linear"] if ".gate." not in name}
    assert all(torch.equal(found[name], models["linear"][name]) for found in models.values() for name in common)
    assert not torch.equal(models["linear"]["lm_head.weight"], script.build("linear", TINY, 5, 2).lm_head.weight)


def test_held_out_parts_are_no_part_of_training_and_differ_between_seeds() -> None:
    whole = torch.arange(100)
    begins = []
    for seed in range(4):
        part, held_out = script.parts_of(whole, seed, 4)
        assert sorted([*part.tolist(), *held_out.tolist()]) == whole.tolist()
        begins.append(int(held_out[0]))
    assert begins == [0, 30, 60, 90]


@pytest.mark.parametrize("arm", script.ARMS)
def test_an_arm_is_trained_and_measured_the_same_way_twice(arm: str, text: torch.Tensor) -> None:
    one, other = (script.train(arm, TINY, text, 5, seed=0) for _ in range(2))
    assert {**one, "tokens_per_second": 0} == {**other, "tokens_per_second": 0}
    assert 0 < one["test_loss"] < 3
    assert one["smallest_share"] <= 1 / 3 <= one["largest_share"] <= 0.5
