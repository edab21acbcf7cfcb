"""The compiled engine under every way in which torch differentiates."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import hessian, jacfwd, jacrev, vmap

from qmoe.circuits import AngleEncoding, Circuit, Feature, Gate, NoiseModel, Operation, Weight
from qmoe.engines import Engine, NativeEngine, ReferenceEngine, TorchEngine
from qmoe.engines.native.plan import batch_plan as plans
from qmoe.testing import random_circuit, random_inputs

EXACT = {"rtol": 0, "atol": 1e-10}
CLEAN = Circuit(2, 2)
NOISY = Circuit(2, 1, AngleEncoding("Y"), noise=NoiseModel(0.1, "gate"))
AMPLITUDE = Circuit(2, 2, "amplitude", readout="born")
# Forward mode makes torch compile some of its own formulas by a road that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

CIRCUITS = pytest.mark.parametrize("circuit", [CLEAN, NOISY, AMPLITUDE], ids=["clean", "noisy", "amplitude"])


@pytest.fixture
def large(fresh_plans: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every state of 13 qubits or more goes the way of large ones."""
    monkeypatch.setattr(plans, "LARGE_VECTORS", 1)


def curved(engine: Engine, circuit: Circuit) -> Callable[..., Tensor]:
    """``(x, weights[, strength])`` to a number that depends on read-outs in no linear way."""

    def run(x: Tensor, weights: Tensor, strength: Tensor | None = None) -> Tensor:
        out = engine.evaluate(circuit, x, weights, strength)
        return (out * torch.linspace(1, 2, out.shape[-1], dtype=out.dtype)).sin().sum()

    return run


# --- gradients of the noise strength ---------------------------------------------------------------------------------


@pytest.mark.parametrize("placement", ["block", "gate"])
@pytest.mark.parametrize("stack", [(), (3,), (2, 2)])
@pytest.mark.parametrize("readout", ["expval", "born"])
def test_gradient_of_the_noise_strength_equals_the_reference(
    placement: str, stack: tuple[int, ...], readout: str
) -> None:
    circuit = Circuit(3, 2, readout=readout, noise=NoiseModel(0.1, placement))
    x, weights = random_inputs(circuit, 1, stack=stack, batch=(2,), requires_grad=True)
    n_models = torch.Size(stack).numel()
    strength = torch.linspace(0.02, 0.3, n_models, dtype=x.dtype).reshape(stack).requires_grad_()
    results = []
    for engine in (NativeEngine(), ReferenceEngine()):
        loss = curved(engine, circuit)(x, weights, strength)
        results.append(torch.autograd.grad(loss, (strength, x, weights)))
    for ours, truth in zip(*results, strict=True):
        torch.testing.assert_close(ours, truth, **EXACT)
    assert float(results[0][0].abs().min()) > 1e-3


# --- second derivatives ----------------------------------------------------------------------------------------------


def by_double_backward(f: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """All blocks of the Hessian, a row at a time through the graph of the gradient."""
    inputs = tuple(t.detach().clone().requires_grad_() for t in inputs)
    blocks = []
    for gradient in torch.autograd.grad(f(*inputs), inputs, create_graph=True):
        rows = [torch.autograd.grad(g, inputs, retain_graph=True, materialize_grads=True) for g in gradient.flatten()]
        blocks += [torch.stack(column).unflatten(0, gradient.shape) for column in zip(*rows, strict=True)]
    return blocks


def by_functional(f: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> list[Tensor]:
    return [block for row in torch.autograd.functional.hessian(f, inputs) for block in row]


def by(outer: Callable, inner: Callable) -> Callable[..., list[Tensor]]:
    def run(f: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> list[Tensor]:
        every = tuple(range(len(inputs)))
        return [block for row in outer(inner(f, argnums=every), argnums=every)(*inputs) for block in row]

    return run


def by_func(f: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> list[Tensor]:
    return [block for row in hessian(f, argnums=tuple(range(len(inputs))))(*inputs) for block in row]


WAYS = {
    "double backward": by_double_backward,
    "functional.hessian": by_functional,
    "func.hessian": by_func,
    "jacrev of jacrev": by(jacrev, jacrev),
    "jacrev of jacfwd": by(jacrev, jacfwd),
    "jacfwd of jacfwd": by(jacfwd, jacfwd),
}


@CIRCUITS
@pytest.mark.parametrize("way", list(WAYS))
def test_second_derivatives_equal_those_of_the_torch_engine(circuit: Circuit, way: str) -> None:
    inputs = random_inputs(circuit, 2, batch=(2,))
    ours = WAYS[way](curved(NativeEngine(), circuit), inputs)
    truth = by_functional(curved(TorchEngine(), circuit), inputs)
    assert len(ours) == len(truth) == 4
    for got, want in zip(ours, truth, strict=True):
        torch.testing.assert_close(got, want, **EXACT)
        assert float(want.abs().max()) > 1e-3


def test_second_derivatives_equal_those_of_the_reference() -> None:
    for circuit in (CLEAN, NOISY, AMPLITUDE):
        inputs = random_inputs(circuit, 3, batch=(1,))
        for got, want in zip(
            *(by_functional(curved(engine, circuit), inputs) for engine in (NativeEngine(), ReferenceEngine())),
            strict=True,
        ):
            torch.testing.assert_close(got, want, **EXACT)


@pytest.mark.parametrize("way", list(WAYS))
def test_second_derivatives_by_the_noise_strength_equal_those_of_the_torch_engine(way: str) -> None:
    inputs = (*random_inputs(NOISY, 4, stack=(2,), batch=(1,)), torch.tensor([0.1, 0.4], dtype=torch.float64))
    ours = WAYS[way](curved(NativeEngine(), NOISY), inputs)
    truth = by_functional(curved(TorchEngine(), NOISY), inputs)
    assert len(ours) == len(truth) == 9
    for got, want in zip(ours, truth, strict=True):
        torch.testing.assert_close(got, want, **EXACT)


def test_gradient_of_the_gradient_norm_can_be_trained_on() -> None:
    x, weights = random_inputs(CLEAN, 5, stack=(2,), batch=(2, 3), requires_grad=True)
    results = []
    for engine in (NativeEngine(), TorchEngine()):
        (slope,) = torch.autograd.grad(curved(engine, CLEAN)(x, weights), x, create_graph=True)
        results.append(torch.autograd.grad(slope.square().sum(), (x, weights)))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, **EXACT)


def test_third_derivatives_equal_those_of_the_torch_engine() -> None:
    circuit = Circuit(1, 1)
    x, weights = random_inputs(circuit, 6, batch=(1,))
    results = []
    for engine in (NativeEngine(), TorchEngine()):
        f = curved(engine, circuit)
        results.append(jacrev(jacrev(jacrev(lambda w, f=f: f(x, w))))(weights))
    torch.testing.assert_close(*results, **EXACT)
    assert float(results[0].abs().max()) > 1e-3


# --- one graph, several passes ---------------------------------------------------------------------------------------


def assert_later_passes_are_equal(circuit: Circuit, batch: int, dtype: torch.dtype = torch.float32) -> None:
    x, weights = random_inputs(circuit, 7, batch=(batch,), dtype=dtype, requires_grad=True)
    out = NativeEngine().evaluate(circuit, x, weights)
    cotangents = [torch.ones_like(out), torch.linspace(-1, 1, out.numel(), dtype=dtype).view_as(out)]
    first, *others = (torch.autograd.grad(out, (x, weights), cotangents[i], retain_graph=True) for i in (0, 1, 0))
    fresh = NativeEngine().evaluate(circuit, x, weights)
    other = torch.autograd.grad(fresh, (x, weights), cotangents[1])
    for got, want in zip((*others[1], *others[0]), (*first, *other), strict=True):
        assert torch.equal(got, want), "a later backward pass through the same graph gives other gradients"


@pytest.mark.parametrize(
    "circuit", [CLEAN, NOISY, AMPLITUDE, Circuit(8, 1)], ids=["clean", "noisy", "amplitude", "8 qubits"]
)
@pytest.mark.parametrize("batch", [2, 40])
def test_backward_passes_through_one_graph_are_equal(circuit: Circuit, batch: int) -> None:
    assert_later_passes_are_equal(circuit, batch)


@pytest.mark.parametrize("batch", [2, 9], ids=["basis states in the lanes", "samples in the lanes"])
@pytest.mark.usefixtures("large")
def test_backward_passes_through_one_graph_of_large_states_are_equal(batch: int) -> None:
    assert_later_passes_are_equal(Circuit(13, 1), batch)
    assert_later_passes_are_equal(Circuit(13, 1, "amplitude", readout="born", in_features=40), batch)


def test_second_backward_without_retaining_the_graph_raises() -> None:
    x, weights = random_inputs(CLEAN, 7, requires_grad=True)
    out = NativeEngine().evaluate(CLEAN, x, weights).sum()
    out.backward()
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()


@CIRCUITS
@pytest.mark.parametrize("wanted", [0, 1, 2], ids=["x", "weights", "strength"])
def test_gradient_of_one_input_alone_equals_the_reference(circuit: Circuit, wanted: int) -> None:
    if wanted == 2 and circuit.noise is None:
        circuit = circuit.with_noise(0.1)
    strength = None if circuit.noise is None else torch.tensor(0.2, dtype=torch.float64)
    inputs = [*random_inputs(circuit, 8, batch=(3,)), strength]
    inputs[wanted].requires_grad_()
    results = []
    for engine in (NativeEngine(), ReferenceEngine()):
        curved(engine, circuit)(*inputs).backward()
        results.append(inputs[wanted].grad)
        inputs[wanted].grad = None
    torch.testing.assert_close(*results, **EXACT)
    assert float(results[0].abs().max()) > 1e-3
    assert all(t is None or t.grad is None for t in inputs)


@pytest.mark.parametrize("changed", [0, 1], ids=["x", "weights"])
@CIRCUITS
def test_input_changed_before_backward_raises(circuit: Circuit, changed: int) -> None:
    inputs = random_inputs(circuit, 9, requires_grad=True)
    loss = curved(NativeEngine(), circuit)(*inputs)
    with torch.no_grad():
        inputs[changed].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# --- how tensors lie in memory ---------------------------------------------------------------------------------------


def spread(t: Tensor) -> Tensor:
    """The same numbers, every other one of a larger tensor, in reverse order of axes."""
    shape = [2 * n for n in reversed(t.shape)]
    wide = torch.full(shape, torch.nan, dtype=t.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in shape)].permute(*reversed(range(t.dim())))
    view.copy_(t)
    return view


LAYOUTS = {
    "sliced and transposed": spread,
    "sliced": lambda t: torch.cat([torch.full_like(t, torch.nan), t, t], -1)[..., t.shape[-1] : 2 * t.shape[-1]],
    "transposed": lambda t: t.transpose(0, -1).contiguous().transpose(0, -1),
    "second of two": lambda t: torch.stack([torch.full_like(t, torch.nan), t])[1],
    "negated lazily": lambda t: torch.complex(t, -t).conj().imag,
}


def run(circuit: Circuit, x: Tensor, weights: Tensor, cotangent: Tensor | None = None) -> tuple[Tensor, ...]:
    x, weights = (t.detach().requires_grad_() for t in (x, weights))
    out = NativeEngine().evaluate(circuit, x, weights)
    gradients = torch.autograd.grad(out, (x, weights), torch.cos(3 * out.detach()) if cotangent is None else cotangent)
    return out.detach(), *gradients


@CIRCUITS
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_layout_of_x_and_weights_in_memory_does_not_matter(circuit: Circuit, layout: str, dtype: torch.dtype) -> None:
    x, weights = random_inputs(circuit, 10, stack=(2,), batch=(3, 5), dtype=dtype)
    expected = run(circuit, x, weights)
    place = LAYOUTS[layout]
    assert torch.equal(place(x), x)
    for pair in ((place(x), weights), (x, place(weights)), (place(x), place(weights))):
        for got, want in zip(run(circuit, *pair), expected, strict=True):
            assert torch.equal(got, want)


@CIRCUITS
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_layout_of_the_cotangent_in_memory_does_not_matter(circuit: Circuit, layout: str) -> None:
    x, weights = random_inputs(circuit, 11, stack=(2,), batch=(3,))
    cotangent = torch.cos(torch.arange(2 * 3 * circuit.n_outputs, dtype=x.dtype)).view(2, 3, -1)
    expected = run(circuit, x, weights, cotangent)
    for got, want in zip(run(circuit, x, weights, LAYOUTS[layout](cotangent)), expected, strict=True):
        assert torch.equal(got, want)


@CIRCUITS
def test_expanded_inputs_and_cotangents_are_read_without_a_copy_of_their_own(circuit: Circuit) -> None:
    x, weights = random_inputs(circuit, 12, batch=(3,))
    x_all, weights_all = x.expand(4, 2, 3, -1), weights.expand(4, *weights.shape)
    ones = torch.ones((), dtype=x.dtype).expand(4, 2, 3, circuit.n_outputs)
    assert ones.stride() == (0, 0, 0, 0)
    expected = run(circuit, x_all.contiguous(), weights_all.contiguous(), ones.contiguous())
    for got, want in zip(run(circuit, x_all, weights_all, ones), expected, strict=True):
        assert torch.equal(got, want)


@CIRCUITS
def test_gradient_of_expanded_inputs_is_the_sum_over_their_copies(circuit: Circuit) -> None:
    x, weights = random_inputs(circuit, 13, batch=(3,), requires_grad=True)
    results = []
    for engine in (NativeEngine(), ReferenceEngine()):
        out = engine.evaluate(circuit, x.expand(2, 3, -1), weights.expand(2, *weights.shape))
        results.append(torch.autograd.grad(out.sin().sum(), (x, weights)))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, **EXACT)


@pytest.mark.parametrize("layout", [*LAYOUTS, "expanded"])
def test_layout_of_the_noise_strength_in_memory_does_not_matter(layout: str) -> None:
    x, weights = random_inputs(NOISY, 14, stack=(3,), batch=(2,))
    strength = torch.tensor([0.1] * 3 if layout == "expanded" else [0.1, 0.4, 0.7], dtype=x.dtype)
    placed = strength[0].expand(3) if layout == "expanded" else LAYOUTS[layout](strength)
    runs = (NativeEngine().evaluate(NOISY, x, weights, p) for p in (placed, strength))
    assert torch.equal(*runs)


# --- torch.func ------------------------------------------------------------------------------------------------------


@CIRCUITS
def test_nested_vmap_equals_the_loops(circuit: Circuit) -> None:
    engine = NativeEngine()
    x, _ = random_inputs(circuit, 15, batch=(3,))
    _, weights = random_inputs(circuit, 16, stack=(2,))

    def one(row: Tensor, w: Tensor) -> Tensor:
        return engine.evaluate(circuit, row, w)

    loops = torch.stack([torch.stack([one(row, w) for row in x]) for w in weights])
    over_rows = vmap(one, in_dims=(0, None))
    torch.testing.assert_close(vmap(over_rows, in_dims=(None, 0))(x, weights), loops, **EXACT)
    over_weights = vmap(one, in_dims=(None, 0))
    torch.testing.assert_close(vmap(over_weights, in_dims=(0, None))(x, weights), loops.transpose(0, 1), **EXACT)


@CIRCUITS
def test_vmap_over_other_axes_equals_the_loop(circuit: Circuit) -> None:
    engine = NativeEngine()
    x, weights = random_inputs(circuit, 17, stack=(3,), batch=(2,))
    loop = torch.stack([engine.evaluate(circuit, a, w) for a, w in zip(x, weights, strict=True)])
    mapped = vmap(lambda a, w: engine.evaluate(circuit, a, w), in_dims=(2, -1), out_dims=1)
    out = mapped(x.movedim(0, 2), weights.movedim(0, -1))
    torch.testing.assert_close(out, loop.transpose(0, 1), **EXACT)


@CIRCUITS
def test_gradients_inside_vmap_equal_the_loop(circuit: Circuit) -> None:
    x, weights = random_inputs(circuit, 18, batch=(3,))
    for argnums in (0, 1):
        gradient = torch.func.grad(curved(NativeEngine(), circuit), argnums=argnums)
        loop = torch.stack([gradient(row, weights) for row in x])
        torch.testing.assert_close(vmap(gradient, in_dims=(0, None))(x, weights), loop, **EXACT)
        truth = torch.func.grad(curved(TorchEngine(), circuit), argnums=argnums)
        torch.testing.assert_close(loop, torch.stack([truth(row, weights) for row in x]), **EXACT)


@CIRCUITS
def test_hessians_inside_vmap_equal_the_torch_engine(circuit: Circuit) -> None:
    x, weights = random_inputs(circuit, 19, batch=(2,))
    mapped = (vmap(hessian(curved(e, circuit), argnums=1), in_dims=(0, None)) for e in (NativeEngine(), TorchEngine()))
    torch.testing.assert_close(*(f(x, weights) for f in mapped), **EXACT)


@CIRCUITS
def test_forward_mode_equals_the_torch_engine(circuit: Circuit) -> None:
    inputs, tangents = random_inputs(circuit, 20, batch=(2,)), random_inputs(circuit, 21, batch=(2,))
    results = [torch.func.jvp(curved(engine, circuit), inputs, tangents) for engine in (NativeEngine(), TorchEngine())]
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, **EXACT)


# --- features in gates of two wires ----------------------------------------------------------------------------------


class Interacting(AngleEncoding):
    """Features as the angles of gates of two wires as well, which the torch engine writes out."""

    def operations(self, n_qubits: int) -> tuple[Operation, ...]:
        between = (
            Gate("IsingYY", (0, 1), (Feature(0),)),
            Gate("CRX", (1, 0), (Feature(1),)),
            Gate("IsingZZ", (0, 1), (Feature(1),)),
        )
        return (*super().operations(n_qubits), *between)


@pytest.mark.parametrize("noise", [None, 0.1])
@pytest.mark.parametrize("batch", [1, 20])
def test_two_qubit_gates_by_features_equal_the_reference(noise: float | None, batch: int) -> None:
    circuit = Circuit(2, 2, Interacting("Y", uploads=2), noise=noise)
    x, weights = random_inputs(circuit, 22, batch=(batch,), requires_grad=True)
    results = []
    for engine in (NativeEngine(), ReferenceEngine()):
        out = engine.evaluate(circuit, x, weights)
        results.append([out.detach(), *torch.autograd.grad(out.sin().sum(), (x, weights))])
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, **EXACT)


@pytest.mark.parametrize("noise", [None, 0.1])
@pytest.mark.parametrize("way", list(WAYS))
def test_second_derivatives_of_two_qubit_gates_by_features_equal_the_reference(way: str, noise: float | None) -> None:
    circuit = Circuit(2, 1, Interacting(), noise=noise)
    inputs = random_inputs(circuit, 23, batch=(1,))
    got, want = (WAYS[way](curved(engine, circuit), inputs) for engine in (NativeEngine(), ReferenceEngine()))
    torch.testing.assert_close(got, want, **EXACT)


# --- circuits of all kinds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_second_derivatives_of_random_circuits_equal_those_of_the_torch_engine(seed: int) -> None:
    circuit = random_circuit(seed, max_qubits=3)
    x, weights = random_inputs(circuit, seed, batch=(2,), requires_grad=True)
    results = []
    for engine in (NativeEngine(), TorchEngine()):
        first = torch.autograd.grad(
            curved(engine, circuit)(x, weights), (x, weights), create_graph=True, materialize_grads=True
        )
        loss = sum(gradient.square().sum() for gradient in first)
        results.append(torch.autograd.grad(loss, (x, weights), materialize_grads=True))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def test_angles_of_gates_shared_between_weights_and_features_sum_their_gradients() -> None:
    twice = [Gate("RY", (0,), (Weight(0),)), Gate("RX", (1,), (Weight(0),)), Gate("CRZ", (0, 1), (Weight(0),))]
    circuit = Circuit(2, 2, AngleEncoding("X", uploads=2), twice)
    x, weights = random_inputs(circuit, 24, batch=(3,), requires_grad=True)
    results = [
        torch.autograd.grad(curved(engine, circuit)(x, weights), (x, weights))
        for engine in (NativeEngine(), ReferenceEngine())
    ]
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, **EXACT)
