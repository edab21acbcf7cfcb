"""Distilled routers: equal to what they were made of, and free of circuits."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.func import stack_module_state

import qmoe
from qmoe import AngleEncoding, ConfigError, LinearRouter, NoiseModel, QuantumRouter, ShapeError, UnsupportedError
from qmoe.engines import Engine
from qmoe.errors import EncodingRangeWarning
from qmoe.routers import DistilledRouter, Router
from qmoe.testing import RouterConformance
from qmoe.training.stack import ModelStack

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh_points(router: Router, n: int, seed: int) -> Tensor:
    dtype = next(router.parameters()).dtype
    x = torch.rand(n, router.in_features, generator=generator(seed), dtype=torch.float64)
    return ((x - 0.5) * (2 * math.pi)).to(dtype)


def random_router(seed: int, dtype: torch.dtype) -> QuantumRouter:
    """A router drawn from everything that routers can be, with random weights."""
    rng = np.random.default_rng(seed)
    n_qubits, uploads = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    options: dict[str, Any] = {
        "n_qubits": n_qubits,
        "n_layers": int(rng.integers(3, 5)),
        "readout": rng.choice(["expval", "born"]).item(),
        "ansatz": rng.choice(["strongly_entangling", "basic_entangler", "no_entangler"]).item(),
        "noise": [None, None, 0.1, NoiseModel(0.02, "gate")][rng.integers(4)],
    }
    if rng.random() < 0.3:
        options["encoding"] = "amplitude"
        in_features = int(rng.integers(1, 2**n_qubits + 1))
    else:
        options["encoding"] = AngleEncoding("XYZ"[rng.integers(3)], uploads)
        in_features = n_qubits if rng.random() < 0.7 else int(rng.integers(1, 6))
    n_experts = int(rng.integers(2, min(4, 2**n_qubits) + 1))
    return QuantumRouter(in_features, n_experts, **options, generator=generator(seed), dtype=dtype)


def train(router: QuantumRouter, seed: int, steps: int = 15) -> None:
    """A few steps towards random experts for random regions."""
    x = fresh_points(router, 64, seed)
    labels = (x.sum(-1).abs() * 3).long() % router.n_experts
    optimizer = torch.optim.Adam(router.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(router(x).clamp_min(1e-6).log(), labels).backward()
        optimizer.step()


# --- the same numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("seed", range(50))
def test_trained_routers_distil_to_the_same_numbers(seed: int, dtype: torch.dtype) -> None:
    router = random_router(seed, dtype)
    train(router, seed)
    distilled, x = qmoe.distill(router), fresh_points(router, 100, seed + 1000)
    with torch.no_grad():
        got, expected = distilled(x), router(x)
    assert got.dtype == dtype
    torch.testing.assert_close(got, expected, rtol=0, atol=TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("encoding", [AngleEncoding("X", 3), AngleEncoding("Y", 2), AngleEncoding("Z"), "amplitude"])
@pytest.mark.parametrize("n_qubits", [1, 2, 3, 4])
def test_random_weights_give_the_same_logits(n_qubits: int, encoding: Any, dtype: torch.dtype) -> None:
    in_features = 2**n_qubits if encoding == "amplitude" else n_qubits
    router = QuantumRouter(
        in_features, 3, n_qubits=n_qubits, encoding=encoding, generator=generator(n_qubits), dtype=dtype
    )
    x = fresh_points(router, 100, seed=5)
    torch.testing.assert_close(qmoe.distill(router).logits(x), router.logits(x), rtol=0, atol=TOLERANCES[dtype])


def test_a_well_trained_router_distils_as_well() -> None:
    router = QuantumRouter(2, 2, encoding=AngleEncoding("Y", 2), n_layers=4, generator=generator(), dtype=torch.float64)
    train(router, 0, steps=200)
    x = fresh_points(router, 500, seed=3)
    torch.testing.assert_close(qmoe.distill(router)(x), router(x), rtol=0, atol=1e-10)


def test_noise_is_the_routers_own_at_the_time() -> None:
    router = QuantumRouter(2, 2, noise=0.1, generator=generator(), dtype=torch.float64)
    router.quantum.noise_strength.fill_(0.3)
    x = fresh_points(router, 20, seed=1)
    torch.testing.assert_close(qmoe.distill(router)(x), router(x), rtol=0, atol=1e-12)


def test_qubits_that_no_gate_joins_are_distilled_by_themselves() -> None:
    router = QuantumRouter(9, 2, ansatz="no_entangler", generator=generator(), dtype=torch.float64)
    distilled, x = qmoe.distill(router), fresh_points(router, 20, seed=1)
    assert sum(b.numel() for b in distilled.buffers()) == 2 * 9 * 3
    torch.testing.assert_close(distilled.logits(x), router.logits(x), rtol=0, atol=1e-12)


def test_later_changes_of_the_router_do_not_reach_it() -> None:
    router = QuantumRouter(5, 2, n_qubits=2, generator=generator(), dtype=torch.float64)
    distilled, x = qmoe.distill(router), fresh_points(router, 5, seed=1)
    before = distilled(x)
    with torch.no_grad():
        for parameter in router.parameters():
            parameter.zero_()
    assert torch.equal(distilled(x), before)


# --- no circuit -----------------------------------------------------------------------------------------------------


def test_forward_runs_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    distilled = qmoe.distill(QuantumRouter(2, 2))

    def refuse(*_: object) -> None:
        raise AssertionError("an engine ran")

    monkeypatch.setattr(Engine, "evaluate", refuse)
    assert distilled(torch.rand(3, 2)).shape == (3, 2)
    assert not list(distilled.parameters())


LOAD = """
import json, sys
import torch
from qmoe.routers import DistilledRouter
x = torch.linspace(-1, 1, 12).reshape(4, 3).to(torch.float64)
out = [DistilledRouter.load(path)(x).tolist() for path in sys.argv[1:]]
quantum = [name for name in ("pennylane", "numba", "qiskit") if name in sys.modules]
print(json.dumps({"out": out, "quantum": quantum}))
"""


def test_saved_routers_load_and_run_with_no_quantum_package(tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [{}, {"readout": "born", "noise": 0.1}, {"n_qubits": 2}, {"encoding": "amplitude"}]
    routers = [QuantumRouter(3, 2, **kind, generator=generator(), dtype=torch.float64) for kind in kinds]
    paths = [str(tmp_path / f"{index}.safetensors") for index in range(len(kinds))]
    for router, path in zip(routers, paths, strict=True):
        qmoe.distill(router).save(path)
    run = subprocess.run([sys.executable, "-c", LOAD, *paths], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["quantum"] == []
    x = torch.linspace(-1, 1, 12).reshape(4, 3).double()
    for router, out in zip(routers, found["out"], strict=True):
        torch.testing.assert_close(torch.tensor(out, dtype=torch.float64), router(x).detach(), rtol=0, atol=1e-10)


def test_save_and_load_keep_everything(tmp_path: Path) -> None:
    for dtype in TOLERANCES:
        distilled = qmoe.distill(
            QuantumRouter(4, 3, n_qubits=2, encoding=AngleEncoding("Z", 2), generator=generator(), dtype=dtype)
        )
        distilled.save(tmp_path / "r.safetensors")
        loaded = DistilledRouter.load(tmp_path / "r.safetensors")
        assert repr(loaded) == repr(distilled)
        x = fresh_points(LinearRouter(4, 3, dtype=dtype), 7, seed=0)
        assert torch.equal(loaded(x), distilled(x))


# --- conformance ----------------------------------------------------------------------------------------------------


class TestDistilledAngle(RouterConformance):
    """The default circuit; the classes below change one option of it each."""

    options: ClassVar[dict[str, Any]] = {}

    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        return qmoe.distill(QuantumRouter(in_features, n_experts, **self.options, generator=generator, dtype=dtype))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_reset_parameters_gives_the_values_of_a_new_router(self, dtype: torch.dtype) -> None:
        """Its coefficients come from another router, so nothing is what it starts from."""
        router = self.router(dtype)
        router.reset_parameters()
        assert not any(value.any() for value in router.buffers())

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_a_router_without_memory_works_once_it_has_some_and_is_reset(self, dtype: torch.dtype) -> None:
        """As above: what works is to load its state after that."""
        expected, x = self.router(dtype), self.make_inputs((5,), dtype)
        router = self.router(dtype, 1).to("meta").to_empty(device=self.device)
        router.reset_parameters()
        router.load_state_dict(expected.state_dict())
        assert torch.equal(router(x), expected(x))


class TestDistilledBorn(TestDistilledAngle):
    options: ClassVar = {"readout": "born", "noise": 0.1}


class TestDistilledAmplitude(TestDistilledAngle):
    options: ClassVar = {"encoding": "amplitude"}


class TestDistilledProjection(TestDistilledAngle):
    in_features = 5
    options: ClassVar = {"n_qubits": 2, "encoding": AngleEncoding("Y", 2)}


class TestDistilledWithoutEntanglers(TestDistilledAngle):
    options: ClassVar = {"ansatz": "no_entangler"}


@pytest.mark.parametrize(
    "options", [{}, {"encoding": "amplitude"}, {"n_qubits": 2}, {"ansatz": "no_entangler"}], ids=str
)
def test_a_stack_of_distilled_routers_computes_each_by_itself(options: dict[str, Any]) -> None:
    routers = [qmoe.distill(QuantumRouter(3, 2, **options, generator=generator(seed))) for seed in range(3)]
    x = torch.rand(3, 9, 3, generator=generator())
    stack = ModelStack(routers)
    assert stack.module is not None
    torch.testing.assert_close(stack(x), torch.stack([r(rows) for r, rows in zip(routers, x, strict=True)]))


# --- checks and refusals --------------------------------------------------------------------------------------------


def test_inputs_are_checked_as_the_router_does() -> None:
    with pytest.warns(EncodingRangeWarning, match="from 0 to 7 radians"):
        qmoe.distill(QuantumRouter(2, 2))(torch.tensor([[0.0, 7.0]]))
    with pytest.raises(ShapeError, match="Row 0 of x is all zeros"):
        qmoe.distill(QuantumRouter(4, 2, encoding="amplitude"))(torch.zeros(1, 4))


def test_born_has_no_logits() -> None:
    with pytest.raises(UnsupportedError, match="has no logits"):
        qmoe.distill(QuantumRouter(2, 2, readout="born")).logits(torch.zeros(1, 2))


def test_other_routers_and_large_ones_are_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"distill takes a qmoe.QuantumRouter, got a LinearRouter; .*moe.router"):
        qmoe.distill(LinearRouter(2, 2))
    with pytest.raises(ConfigError, match=r"light cone of read-out 0, which spreads to 13 qubits; .* max_weight=6"):
        qmoe.distill(QuantumRouter(13, 2))
    with pytest.raises(ConfigError, match=r"3\*\*13 coefficients for each expert, .* up to 12 qubits"):
        qmoe.distill(QuantumRouter(13, 2, readout="born"))


def test_a_stack_is_refused() -> None:
    router = QuantumRouter(2, 2)
    parameters, _ = stack_module_state([router, router])
    router.quantum.weights = torch.nn.Parameter(parameters["quantum.weights"])
    with pytest.raises(ConfigError, match="distill takes one model, not a stack"):
        qmoe.distill(router)


def written(tmp_path: Path) -> bytes:
    qmoe.distill(QuantumRouter(2, 2)).save(tmp_path / "whole.safetensors")
    return (tmp_path / "whole.safetensors").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: b"\xff" * 64,
        lambda whole: b"not a file of numbers at all",
        lambda whole: whole.replace(b"n_experts", b"m_experts"),
        lambda whole: whole.replace(b"angle", b"angel"),
        lambda whole: whole.replace(b"rotation", b"rotatiom"),
        lambda whole: whole.replace(b"coefficients_0", b"coefficients_9"),
    ],
    ids=["empty", "half", "one byte short", "noise", "text", "key", "encoding", "option", "tensor"],
)
def test_broken_files_are_named_with_the_remedy(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(change(written(tmp_path)))
    with pytest.raises(
        ConfigError, match=r"broken.safetensors cannot be read .* Write it again with DistilledRouter.save"
    ):
        DistilledRouter.load(path)


def test_a_broken_description_is_named_too(tmp_path: Path) -> None:
    written(tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / "whole.safetensors")
    for config in ("{", "[]", "{}", json.dumps({"encoding": {"name": "angle"}})):
        metadata = {"format": "qmoe-distilled-router", "version": "2", "config": config}
        safetensors.torch.save_file(tensors, tmp_path / "odd.safetensors", metadata=metadata)
        with pytest.raises(ConfigError, match=r"odd.safetensors cannot be read"):
            DistilledRouter.load(tmp_path / "odd.safetensors")


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ConfigError, match=r"a file that DistilledRouter.save wrote"):
        DistilledRouter.load(path)
