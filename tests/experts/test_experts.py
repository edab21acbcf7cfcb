import copy
import math
import pickle
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from helpers import generator
from qmoe import ConfigError, LinearExperts, MLPExperts, QuantumExperts, ShapeError, UniformRouter
from qmoe.circuits import Circuit
from qmoe.engines import ReferenceEngine
from qmoe.errors import EncodingRangeWarning
from qmoe.experts import Experts

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def inputs(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (0.01 + torch.rand(shape, generator=generator(1), dtype=dtype)) * 3


def make(kind: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> Experts:
    options: dict[str, Any] = {"generator": generator(seed), "dtype": dtype}
    if kind == "linear":
        return LinearExperts(3, 2, 4, **options)
    if kind == "mlp":
        return MLPExperts(3, 2, 4, hidden=5, **options)
    return QuantumExperts(3, 4, noise=0.1 if kind == "noisy" else None, **options)


KINDS = pytest.mark.parametrize("kind", ["linear", "mlp", "quantum", "noisy"])


# --- equal to separate experts --------------------------------------------------------------------------------------


def test_linear_experts_equal_separate_linear_layers() -> None:
    experts, x = LinearExperts(3, 2, 4, generator=generator(), dtype=torch.float64), inputs(7, 3)
    for e in range(4):
        layer = nn.Linear(3, 2, dtype=torch.float64)
        layer.load_state_dict({"weight": experts.weight[e], "bias": experts.bias[e]})
        torch.testing.assert_close(experts(x)[:, e], layer(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("name", "activation"), [("relu", nn.ReLU()), ("tanh", nn.Tanh()), ("silu", nn.SiLU())])
def test_mlp_experts_equal_separate_networks(name: str, activation: nn.Module) -> None:
    experts, x = (
        MLPExperts(3, 2, 4, hidden=5, activation=name, generator=generator(), dtype=torch.float64),
        inputs(7, 3),
    )
    for e in range(4):
        net = nn.Sequential(nn.Linear(3, 5), activation, nn.Linear(5, 2)).double()
        values = {"0.weight": experts.layer1.weight, "0.bias": experts.layer1.bias, "2.weight": experts.layer2.weight}
        net.load_state_dict({k: v[e] for k, v in {**values, "2.bias": experts.layer2.bias}.items()})
        torch.testing.assert_close(experts(x)[:, e], net(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("options", "n_outputs"),
    [
        ({}, 2),
        ({"readout": "born"}, 4),
        ({"noise": 0.1}, 2),
        ({"encoding": "angle"}, 3),
        ({"ansatz": "no_entangler", "n_layers": 1}, 2),
    ],
)
def test_quantum_experts_equal_separate_circuits(options: dict[str, Any], n_outputs: int) -> None:
    experts, x = QuantumExperts(3, 4, **options, generator=generator(), dtype=torch.float64), inputs(6, 3)
    out = experts(x)
    assert out.shape == (6, 4, n_outputs)
    n_qubits = 3 if options.get("encoding") == "angle" else 2
    circuit = Circuit(n_qubits, **{"n_layers": 2, "encoding": "amplitude", **options}, in_features=3)
    for e in range(4):
        expected = ReferenceEngine().evaluate(circuit, x, experts.quantum.weights[e])
        torch.testing.assert_close(out[:, e], expected, rtol=0, atol=1e-12)


def test_three_quantum_experts_of_sixteen_features_have_seventy_two_weights() -> None:
    experts = QuantumExperts(16, 3)
    assert experts.circuit.n_qubits == 4
    assert experts.circuit.weight_shape == (2, 4, 3)
    assert sum(p.numel() for p in experts.parameters()) == 3 * 24
    assert experts.out_features == 4


def test_parameter_counts() -> None:
    assert sum(p.numel() for p in LinearExperts(2, 2, 2).parameters()) == 12
    assert sum(p.numel() for p in MLPExperts(2, 2, 3).parameters()) == 3 * (8 * 3 + 2 * 9)


# --- the contract ---------------------------------------------------------------------------------------------------


@KINDS
@DTYPES
def test_shapes_and_dtypes(kind: str, dtype: torch.dtype) -> None:
    experts = make(kind, dtype)
    for batch in ((), (1,), (5,), (2, 3), (0,), (2, 0)):
        x = inputs(*batch, 3, dtype=dtype)
        out = experts(x)
        assert out.shape == (*batch, 4, experts.out_features)
        assert out.dtype == dtype
    experts(inputs(0, 3, dtype=dtype)).sum().backward()
    assert not any(p.grad is not None and p.grad.any() for p in experts.parameters())


@KINDS
def test_every_sample_is_computed_by_itself(kind: str) -> None:
    experts, x = make(kind), inputs(2, 3, 3)
    out = experts(x)
    for a in range(2):
        for b in range(3):
            torch.testing.assert_close(experts(x[a, b]), out[a, b], rtol=0, atol=1e-13)


@KINDS
def test_gradcheck(kind: str) -> None:
    experts = make(kind)

    def run(x: Tensor, *values: Tensor) -> Tensor:
        named = dict(zip(dict(experts.named_parameters()), values, strict=True))
        return torch.func.functional_call(experts, named, (x,))

    assert torch.autograd.gradcheck(run, (inputs(2, 3).requires_grad_(), *experts.parameters()), atol=1e-6)


@KINDS
def test_copies_give_the_same_outputs(kind: str) -> None:
    experts, other, x = make(kind), make(kind, seed=1), inputs(5, 3)
    expected = experts(x)
    assert not torch.allclose(other(x), expected), "the generator is not used"
    assert torch.equal(make(kind)(x), expected)
    other.load_state_dict(safetensors.torch.load(safetensors.torch.save(experts.state_dict())))
    for twin in (other, copy.deepcopy(experts), pickle.loads(pickle.dumps(experts))):
        assert torch.equal(twin(x), expected)


def test_repr_names_sizes() -> None:
    assert repr(LinearExperts(3, 2, 4)) == "LinearExperts(in_features=3, out_features=2, n_experts=4)"
    assert "hidden=8, activation='relu'" in repr(MLPExperts(3, 2, 4))
    assert "4 x 2 qubits, 2 layers" in repr(QuantumExperts(3, 4))


# --- refusals -------------------------------------------------------------------------------------------------------


@KINDS
def test_bad_inputs_are_refused_by_name(kind: str) -> None:
    experts = make(kind)
    with pytest.raises(ShapeError, match=r"expected \(..., 3\)"):
        experts(inputs(5, 2))
    with pytest.raises(ShapeError, match=r"torch.int64.*call x.float"):
        experts(torch.ones(5, 3, dtype=torch.int64))
    x = inputs(5, 3)
    x[3, 1] = math.inf
    with pytest.raises(ShapeError, match=r"inf at index \(3, 1\)"):
        experts(x)


def test_rows_of_zeros_have_no_amplitudes() -> None:
    experts = QuantumExperts(3, 2)
    with pytest.raises(ShapeError, match=r"Row 1 of x is all zeros.*use angle encoding"):
        experts(torch.tensor([[1.0, 0, 0], [0, 0, 0]]))
    with pytest.raises(ShapeError, match=r"Row \(0, 1\) of x"):
        experts(torch.tensor([[[1.0, 0, 0], [0, 0, 0]]]))


def test_angles_beyond_one_period_warn() -> None:
    experts = QuantumExperts(2, 2, encoding="angle")
    with pytest.warns(EncodingRangeWarning, match="Scale the features"):
        experts(torch.tensor([[0.0, 6.5]]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LinearExperts(2, 0, 2), "out_features is 0"),
        (lambda: MLPExperts(2, 2, 2, hidden=-1), "hidden is -1"),
        (lambda: MLPExperts(2, 2, 2, activation="sigmoid"), "Unknown activation 'sigmoid'"),
        (lambda: QuantumExperts(2, 0), "n_experts is 0"),
        (lambda: QuantumExperts(3, 2, n_qubits=2, encoding="angle"), "one feature per qubit"),
        (lambda: QuantumExperts(5, 2, n_qubits=2), "use n_qubits=3 or more"),
        (lambda: QuantumExperts(2, 2, encoding="amplitudes"), "did you mean 'amplitude'"),
    ],
)
def test_bad_options_are_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def test_experts_are_abstract_and_not_routers() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Experts(2, 2, 2)  # type: ignore[abstract]
    assert not isinstance(UniformRouter(2, 2), Experts)
