"""What all parts share: precision, dtypes, warnings, texts of errors."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qmoe
from qmoe import (
    Circuit,
    ConfigError,
    LinearExperts,
    LinearRouter,
    MixtureOfExperts,
    MLPExperts,
    MLPRouter,
    QuantumExperts,
    QuantumRouter,
    ShapeError,
    UniformRouter,
)
from qmoe.engines import ReferenceEngine, TorchEngine
from qmoe.errors import EncodingRangeWarning, QMoEError, check_sizes
from qmoe.layers import Linear
from qmoe.routers import (
    ConstantRouter,
    DistilledRouter,
    MeanRouting,
    QuadraticRouter,
    RandomFourierRouter,
    RandomRouter,
    TrigonometricRouter,
    TwinRouter,
)
from qmoe.training import ModelStack

G = torch.Generator().manual_seed(0)
PARTS: dict[str, Callable[..., nn.Module]] = {
    "head": lambda **o: Linear(2, 2, **o),
    "linear router": lambda **o: LinearRouter(2, 2, **o),
    "mlp router": lambda **o: MLPRouter(2, 2, **o),
    "constant": lambda **o: ConstantRouter(2, 2, **o),
    "quadratic": lambda **o: QuadraticRouter(2, 2, **o),
    "trigonometric": lambda **o: TrigonometricRouter(2, 2, **o),
    "random fourier": lambda **o: RandomFourierRouter(2, 2, **o),
    "twin": lambda **o: TwinRouter(Circuit(2, 2), 2, **o),
    "projected twin": lambda **o: TwinRouter(Circuit(3, 2), 2, 2, **o),
    "mean": lambda **o: MeanRouting(LinearRouter(2, 2, **o)),
    "quantum": lambda **o: QuantumRouter(2, 2, **o),
    "projected": lambda **o: QuantumRouter(2, 2, n_qubits=3, **o),
    "distilled": lambda dtype, **o: qmoe.distill(QuantumRouter(2, 2, dtype=dtype, **o)),
    "linear experts": lambda **o: LinearExperts(2, 2, 2, **o),
    "mlp experts": lambda **o: MLPExperts(2, 2, 2, **o),
    "quantum experts": lambda **o: QuantumExperts(2, 2, **o),
    "mixture": lambda **o: MixtureOfExperts(UniformRouter(2, 2), LinearExperts(2, 2, 2, **o), Linear(2, 2, **o)),
}
EACH = pytest.mark.parametrize("part", PARTS)


def rows(dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    return 0.1 + torch.rand(6, 2, generator=torch.Generator().manual_seed(seed)).to(dtype)


# --- dtype and device ------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize(("own", "other"), [(torch.float32, torch.float64), (torch.float64, torch.float32)])
def test_rows_of_another_dtype_are_refused_in_words(part: str, own: torch.dtype, other: torch.dtype) -> None:
    module = PARTS[part](dtype=own)
    module(rows(own))
    with pytest.raises(ShapeError, match=rf"x is {other} .* {own} .*nothing is converted silently"):
        module(rows(other))


@EACH
def test_rows_on_another_device_are_refused_in_words(part: str) -> None:
    module = PARTS[part](dtype=torch.float32).to("meta")
    with pytest.raises(ShapeError, match=r"on cpu, the weights are torch.float32 on meta"):
        module(rows())


def test_a_head_names_a_wrong_number_of_features() -> None:
    for shape in ((5, 3), (), (2, 4)):
        with pytest.raises(ShapeError, match=r"expected \(\.\.\., 2\)"):
            Linear(2, 4)(torch.zeros(shape))


def test_a_mixture_of_two_dtypes_is_refused_in_words() -> None:
    moe = MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2, dtype=torch.float64))
    for dtype in (torch.float32, torch.float64):
        with pytest.raises(ShapeError, match="nothing is converted silently"):
            moe(rows(dtype))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64, torch.int32])
@pytest.mark.parametrize("part", [p for p in PARTS if p != "distilled"])
def test_a_dtype_that_nothing_could_run_in_is_refused_at_construction(part: str, dtype: torch.dtype) -> None:
    with pytest.raises(
        ConfigError, match=rf"dtype is {dtype}, expected .*Pass dtype=torch.float32; inside torch.autocast"
    ):
        PARTS[part](dtype=dtype)
    with pytest.raises(ConfigError, match=str(dtype)):
        DistilledRouter(2, 2, encoding=qmoe.AngleEncoding(), groups=[(0, 1)], dtype=dtype)


def test_a_default_dtype_that_nothing_could_run_in_is_named_as_such() -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with pytest.raises(ConfigError, match=r"torch's default dtype is torch.bfloat16"):
            QuantumRouter(2, 2)
        router = QuantumRouter(2, 2, noise=0.1, dtype=torch.float32)
    finally:
        torch.set_default_dtype(before)
    assert router.quantum.noise_strength.dtype == torch.float32


# --- autocast --------------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("lowered", [torch.bfloat16, torch.float16], ids=str)
def test_inside_autocast_parts_take_what_the_layer_in_front_gives(
    part: str, lowered: torch.dtype, dtype: torch.dtype
) -> None:
    module, x = PARTS[part](dtype=dtype), rows(lowered)
    expected = module(x.to(dtype))
    with torch.autocast("cpu", lowered):
        out = module(x)
    torch.testing.assert_close(out.to(dtype), expected, rtol=0.03, atol=0.03)
    with pytest.raises(ShapeError, match=str(lowered)):
        module(x)


def test_a_router_without_numbers_of_its_own_works_in_float32_then() -> None:
    x = rows(torch.bfloat16)
    for router in (UniformRouter(2, 3), RandomRouter(2, 3)):
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(router(x), router(x.float()))
            assert router(rows(torch.float64)).dtype == torch.float64


def test_a_whole_network_trains_inside_autocast() -> None:
    net = nn.Sequential(
        nn.Linear(4, 2),
        nn.Sigmoid(),
        MixtureOfExperts(QuantumRouter(2, 2, noise=0.1), QuantumExperts(2, 2), Linear(1, 2)),
    )
    with torch.autocast("cpu", torch.bfloat16):
        loss = nn.functional.cross_entropy(net(torch.rand(9, 4)), torch.arange(9) % 2)
    loss.backward()
    for name, p in net.named_parameters():
        assert p.grad is not None, name
        assert p.grad.dtype == torch.float32


@pytest.mark.parametrize("options", [{}, {"noise": 0.1}, {"readout": "born"}, {"encoding": "amplitude"},
                                     {"readout": "born", "noise": 0.2, "n_layers": 1}], ids=str)  # fmt: skip
@pytest.mark.parametrize("engine", ["torch", "reference", "native", "pennylane"])
def test_circuits_keep_their_precision_inside_autocast(engine: str, options: dict[str, Any]) -> None:
    router = QuantumRouter(3, 2, **options, engine=engine, generator=torch.Generator().manual_seed(2))
    x = 0.1 + torch.rand(5, 3)
    expected = router.measure(x)
    wanted = torch.autograd.grad(expected[:, 0].sum(), router.quantum.weights)[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = router.measure(x)
    assert torch.equal(found, expected)
    assert torch.equal(torch.autograd.grad(found[:, 0].sum(), router.quantum.weights)[0], wanted)


@pytest.mark.parametrize("noise", [None, 0.1])
def test_engines_that_are_called_directly_keep_their_precision_too(noise: float | None) -> None:
    circuit = Circuit(3, 2, noise=noise)
    x, weights = torch.rand(5, 3), torch.rand(circuit.weight_shape)
    for engine in (TorchEngine(), ReferenceEngine()):
        with torch.autocast("cpu", torch.bfloat16):
            found = engine.evaluate(circuit, x, weights)
        assert torch.equal(found, engine.evaluate(circuit, x, weights))


# --- one warning for each module, at the caller's line -----------------------------------------------------------------


WARN: dict[str, Callable[[], nn.Module]] = {
    "router": lambda: QuantumRouter(2, 2),
    "experts": lambda: QuantumExperts(2, 2, encoding="angle"),
    "twin": lambda: qmoe.twin(QuantumRouter(2, 2)),
    "distilled": lambda: qmoe.distill(QuantumRouter(2, 2)),
    "mixture": lambda: MixtureOfExperts(QuantumRouter(2, 2), LinearExperts(2, 2, 2)),
    "deep inside": lambda: nn.Sequential(nn.Identity(), nn.Sequential(MeanRouting(QuantumRouter(2, 2)))),
}


@pytest.mark.parametrize("kind", WARN)
def test_angles_beyond_a_period_are_told_of_once_for_each_module_at_the_callers_line(kind: str) -> None:
    for module in (WARN[kind](), WARN[kind]()):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for step in range(20):
                module(torch.tensor([[0.0, 7.0 + step]]))
        assert [w.category for w in caught] == [EncodingRangeWarning]
        assert caught[0].filename == __file__


def test_a_warning_that_is_an_error_is_raised_every_time() -> None:
    router = QuantumRouter(2, 2)
    for _ in range(2):
        with pytest.raises(EncodingRangeWarning):
            router(torch.tensor([[0.0, 9.0]]))


def test_models_of_which_one_has_warned_still_train_in_one_stack() -> None:
    first, second = QuantumRouter(2, 2), QuantumRouter(2, 2)
    with pytest.warns(EncodingRangeWarning):
        first(torch.tensor([[0.0, 9.0]]))
    assert len(ModelStack([first, second])) == len(ModelStack([second, first])) == 2
    assert copy.deepcopy(first).warned_of_range


# --- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"p is {np.float64(0.5)!r}.", "p is 0.5."),
        (f"of {np.str_('a')!r} and {np.int64(-3)!r}", "of 'a' and -3"),
        (f"{(np.float32(1e-7), np.bool_(True))!r}", "(1e-07, True)"),
        (f"{[np.uint8(7), np.complex128(0)]}", "[7, 0j]"),
        ("call np.float64(x) or np.array([1])", "call np.float64(x) or np.array([1])"),
    ],
)
def test_numpys_numbers_read_as_pythons(text: str, expected: str) -> None:
    assert str(QMoEError(text)) == expected
    assert str(ShapeError(text)) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: check_sizes(hidden=np.int64(0)),
            r"hidden is 0 of type numpy.int64 \(int\(...\) makes it Python's\), exp",
        ),
        (lambda: QuantumRouter(np.int32(2), 2), r"in_features is 2 of type numpy.int32"),
        (lambda: Circuit(np.int64(2)), r"n_qubits is 2 of type numpy.int64"),
        (lambda: qmoe.NoiseModel(np.float64(1.5)), "depolarizing=1.5 is not"),
        (lambda: RandomFourierRouter(2, 2, length_scale=np.float64(-1.0)), "length_scale is -1.0, exp"),
        (lambda: MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 2, 2), top_k=np.int64(1)), "top_k is 1 of type"),
        (lambda: qmoe.QMoEClassifier().fit(np.zeros((3, 2)), np.array(["a"] * 3)), r"1 class \('a'\)"),
    ],
)
def test_messages_show_values_as_they_were_meant(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
