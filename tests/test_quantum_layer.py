"""Any circuit as a torch layer, and as a router: shapes, parameters, first values, and all that torch does with modules."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn

import qmoe
from qmoe.circuits import Circuit, Feature, Gate, Hamiltonian, Parity, Pauli, Prepare, Probs, Weight
from qmoe.engines import ReferenceEngine
from qmoe.errors import ConfigError, ShapeError, UnsupportedError
from qmoe.layers import runs_stacked

GATES = [
    Gate("RX", (0,), (Feature(0) * Weight(0),)),
    Gate("RY", (1,), (2 * Weight(1) + Feature(1),)),
    Gate("CNOT", (0, 1)),
    Gate("IsingZZ", (0, 1), ((math.pi - Feature(0)) * (math.pi - Feature(1)),)),
    Gate("RX", (1,), (Weight(2),)),
]
CIRCUIT = Circuit.from_operations(GATES, readout=[Pauli("Z0 Z1"), Pauli("X1"), Probs((0,))])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def layer(circuit=CIRCUIT, **options):
    return qmoe.QuantumLayer(circuit, **{"generator": seeded(), "dtype": torch.float64} | options)


def rows(*shape):
    return torch.rand(*shape, 2, generator=seeded(1), dtype=torch.float64)


@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (0,)])
def test_features_become_outputs(batch):
    model, x = layer(), rows(*batch)
    each = [model(row) for row in x.reshape(-1, 2)]
    expected = torch.stack(each) if each else x.new_zeros(0, 4)
    torch.testing.assert_close(model(x), expected.reshape(*batch, 4), rtol=0, atol=1e-12)


def test_it_computes_what_the_circuit_says():
    model = layer()
    expected = ReferenceEngine().evaluate(CIRCUIT, rows(5), model.weights.detach())
    torch.testing.assert_close(model(rows(5)).detach(), expected, rtol=0, atol=1e-12)


def test_it_takes_templates():
    model = layer(Circuit(2, 3))
    expected = ReferenceEngine().evaluate(Circuit(2, 3), rows(5), model.weights.detach())
    torch.testing.assert_close(model(rows(5)).detach(), expected, rtol=0, atol=1e-12)


def test_it_trains_in_a_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2, dtype=torch.float64), layer(), nn.Linear(4, 1, dtype=torch.float64))
    x = torch.rand(16, 3, generator=seeded(2), dtype=torch.float64)
    y = x.sum(-1, keepdim=True).sin()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


# --- parameters ----------------------------------------------------------------------------------------------------


def test_parameters_have_the_names_and_shapes_that_are_given():
    names = (("scale", (2,)), ("angle", (1, 1)))
    model = layer(parameters=names)
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == dict(names)
    plain = layer()
    plain.load_state_dict({"weights": torch.cat([model.scale, model.angle.flatten()]).detach()})
    torch.testing.assert_close(model(rows(4)), plain(rows(4)), rtol=0, atol=0)
    model(rows(4)).sum().backward()
    plain(rows(4)).sum().backward()
    torch.testing.assert_close(torch.cat([model.scale.grad, model.angle.grad[0]]), plain.weights.grad, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((("a", (2,)),), "hold 2 number"),
        ((("a", (2,)), ("a", (1,))), "name each parameter once"),
        ((("forward", (3,)),), "cannot be called 'forward'"),
        ((("circuit", (3,)),), "cannot be called 'circuit'"),
        ((("two words", (3,)),), "cannot be called 'two words'"),
        ((("training", (3,)),), "cannot be called 'training'"),
        ((("_parameters", (3,)),), "cannot be called '_parameters'"),
        ((("n_copies", (3,)),), "cannot be called 'n_copies'"),
        ((("_engine", (3,)),), "cannot be called '_engine'"),
        (((1, (3,)),), "cannot be called 1"),
        ((("a", (3.0,)),), "has the shape"),
        ((("a", (-1,)), ("b", (-3,))), "has the shape"),
        ((("a", 3),), "expected the name and shape of each"),
        (5, "expected the name and shape of each"),
        ({"a": (3,)}, "expected the name and shape of each"),
        ((), "hold 0 number"),
    ],
)
def test_parameters_that_cannot_be_are_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        layer(parameters=parameters)


def test_without_weights_it_runs_all_the_same():
    circuit = Circuit.from_operations([Gate("RX", (0,), (Feature(0),)), Gate("CNOT", (0, 1))])
    x = torch.rand(3, 1, generator=seeded(), dtype=torch.float64)
    for model in (layer(circuit, parameters=()), layer(circuit), copy.deepcopy(layer(circuit, parameters=())).double()):
        torch.testing.assert_close(model(x), x.cos().expand(3, 2), rtol=0, atol=1e-12)
    with pytest.raises(ShapeError, match=r"the weights are torch\.float64"):
        model(x.float())


@pytest.mark.parametrize("engine", ["native", "torch", "reference"])
def test_without_gates_every_qubit_is_up(engine):
    for noise in (None, 0.0):
        circuit = Circuit.from_operations([], n_qubits=2, readout=["expval", "born", Pauli("X0")], noise=noise)
        out = layer(circuit, engine=engine)(torch.rand(3, 1, dtype=torch.float64))
        torch.testing.assert_close(out, out.new_tensor([[1, 1, 1, 0, 0, 0, 0]]).expand(3, 7), rtol=0, atol=1e-12)


def test_rows_of_zeros_are_no_amplitudes():
    circuit = Circuit.from_operations([Prepare(2), Gate("RX", (0,), (Weight(0),))], in_features=3)
    x = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    router = qmoe.QuantumRouter(3, 2, circuit=circuit, dtype=torch.float64)
    for model in (layer(circuit), router):
        with pytest.raises(ShapeError, match="Row 1 of x is all zeros"):
            model(x)


@pytest.mark.parametrize("weight", [10**12, 10**30])
def test_weights_beyond_the_machine_are_refused_in_words(weight):
    circuit = Circuit.from_operations([Gate("RX", (0,), (Weight(weight),))])
    with pytest.raises(UnsupportedError, match="number weights from 0 without gaps"):
        qmoe.QuantumLayer(circuit)


def test_sparse_rows_are_refused_with_a_remedy():
    with pytest.raises(ShapeError, match=r"call x\.to_dense\(\)"):
        layer()(rows(3).to_sparse())


def test_the_same_generator_draws_the_same_weights():
    assert torch.equal(layer().weights, layer().weights)
    assert not torch.equal(layer().weights, layer(generator=seeded(1)).weights)


def test_first_values_are_as_asked():
    many = Circuit(4, 200)
    uniform, normal = layer(many).weights.detach(), layer(many, init="normal").weights.detach()
    assert 0 <= float(uniform.min()) < 0.02
    assert 2 * math.pi - 0.02 < float(uniform.max()) < 2 * math.pi
    assert float(normal.std()) == pytest.approx(0.1, rel=0.1)
    assert not layer(init="zeros").weights.any()
    assert layer(init=nn.init.ones_).weights.tolist() == [1, 1, 1]
    assert layer(init=lambda value: torch.arange(3.0)).weights.tolist() == [0, 1, 2]
    given = layer(parameters=(("a", (2,)), ("b", (1,))), init={"a": 0.5, "b": torch.tensor([2.0])})
    assert (given.a.tolist(), given.b.tolist()) == ([0.5, 0.5], [2.0])


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("gaussian", "Unknown init 'gaussian'"),
        (3, "expected one of"),
        ({"weight": 1.0}, "did you mean 'weights'"),
        ({}, "init says nothing of weights"),
        ({"weights": None}, "is None, expected uniform"),
        ({"weights": "zero"}, "is 'zero', expected uniform"),
        ({"weights": math.nan}, "not finite"),
        (lambda value: "a", "expected a tensor of shape"),
        ({"weights": torch.zeros(2)}, r"values of shape \(2,\), expected \(3,\)"),
    ],
)
def test_first_values_that_cannot_be_are_refused(init, message):
    with pytest.raises(ConfigError, match=message):
        layer(init=init)


def test_frozen_weights_do_not_train():
    assert not layer(frozen=True).weights.requires_grad


def test_what_is_no_circuit_is_refused_with_what_takes_it():
    with pytest.raises(ConfigError, match=r"got a function; QuantumLayer\.from_pennylane"):
        qmoe.QuantumLayer(rows)


# --- what torch does with modules ----------------------------------------------------------------------------------


def test_it_pickles_and_copies():
    model = layer(parameters=(("a", (2,)), ("b", (1,))))
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(other(rows(3)), model(rows(3)))
        other.reset_parameters(seeded(5))


def test_a_function_that_cannot_be_pickled_is_left_behind():
    model = pickle.loads(pickle.dumps(layer(init=lambda value: value.fill_(0.5))))
    assert model.weights.tolist() == [0.5] * 3
    with pytest.raises(ConfigError, match="could not be pickled"):
        model.reset_parameters()
    model.init = "zeros"
    model.reset_parameters()
    assert not model.weights.any()


def test_numbers_of_another_circuit_are_refused():
    other = layer(Circuit.from_operations([*GATES[:-1], Gate("RZ", (1,), (Weight(2),))], readout=CIRCUIT.readout))
    with pytest.raises(ConfigError, match="operations="):
        layer().load_state_dict(other.state_dict())


def test_it_runs_as_a_stack_of_models():
    first, second = layer(), layer(generator=seeded(1))
    assert runs_stacked(first)
    stacked = torch.stack([first.weights, second.weights]).detach()
    x = torch.stack([rows(5), rows(5) + 0.1])
    out = torch.func.functional_call(first, {"weights": stacked}, (x,))
    torch.testing.assert_close(out[0], first(x[0]), rtol=0, atol=1e-12)
    torch.testing.assert_close(out[1], second(x[1]), rtol=0, atol=1e-12)
    together = torch.func.vmap(lambda w, row: torch.func.functional_call(first, {"weights": w}, (row,)))(stacked, x)
    torch.testing.assert_close(together, out, rtol=0, atol=1e-12)


def test_it_compiles_whole_with_its_gradients():
    model = layer(parameters=(("a", (2,)), ("b", (1,))))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = rows(5).requires_grad_()
    compiled(x).sum().backward()
    found = [x.grad, model.a.grad, model.b.grad]
    y = rows(5).requires_grad_()
    expected = torch.autograd.grad(model(y).sum(), (y, model.a, model.b))
    for got, want in zip(found, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


def test_it_exports_for_any_batch():
    model = layer()
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(model, (rows(5),), dynamic_shapes=({0: batch},), strict=False)
    torch.testing.assert_close(program.module()(rows(9)), model(rows(9)), rtol=0, atol=1e-12)


def test_it_keeps_its_precision_inside_autocast():
    model = layer(dtype=torch.float32)
    x = rows(5).float()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(x.bfloat16())
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, model(x.bfloat16().float()), rtol=0, atol=1e-6)


def test_second_derivatives_are_right():
    model = layer()
    assert torch.autograd.gradgradcheck(model, (rows(3).requires_grad_(),))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(5, 3, dtype=torch.float64), r"expected \(..., 2\)"),
        (torch.rand(5, 2), "the weights are torch.float64"),
        (torch.full((5, 2), math.nan, dtype=torch.float64), "not finite"),
    ],
)
def test_features_that_do_not_fit_are_refused(x, message):
    with pytest.raises(ShapeError, match=message):
        layer()(x)


def test_it_says_what_it_is():
    assert "2 qubits, 5 operations, list, engine=native" in repr(layer())


# --- as a router ---------------------------------------------------------------------------------------------------


def test_a_router_takes_any_circuit():
    router = qmoe.QuantumRouter(2, 3, circuit=CIRCUIT, generator=seeded())
    assert router.circuit == CIRCUIT
    assert router.projection is None
    weights = router(rows(5).float())
    torch.testing.assert_close(weights.sum(-1), torch.ones(5))


def test_a_router_projects_onto_the_features_of_its_circuit():
    router = qmoe.QuantumRouter(5, 2, circuit=CIRCUIT, generator=seeded())
    x = torch.rand(4, 5, generator=seeded(1))
    torch.testing.assert_close(router.measure(x), router.quantum(router.projection(x)), rtol=0, atol=0)
    torch.testing.assert_close(router(x), torch.softmax(router.adapter(router.measure(x)), -1), rtol=0, atol=1e-6)


def test_a_router_of_a_circuit_equals_the_router_of_its_options():
    options = {"n_qubits": 2, "n_layers": 2, "readout": "born"}
    by_options = qmoe.QuantumRouter(2, 3, **options, generator=seeded())
    by_circuit = qmoe.QuantumRouter(2, 3, circuit=Circuit(**options), generator=seeded())
    assert torch.equal(by_options(rows(5).float()), by_circuit(rows(5).float()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"circuit": CIRCUIT, "n_layers": 2}, "so n_layers decides nothing"),
        ({"circuit": "a circuit"}, "Unknown circuit 'a circuit'"),
        ({"circuit": 3}, "expected a qmoe.Circuit"),
        ({"circuit": Circuit(1, 1, readout="born")}, "3 experts need 3 basis states"),
    ],
)
def test_a_router_refuses_a_circuit_beside_options_of_one(options, message):
    with pytest.raises(ConfigError, match=message):
        qmoe.QuantumRouter(2, 3, **options)


def test_readouts_of_any_kind_lead_to_experts():
    for readout in (Parity(), Pauli("Z0 X1"), Hamiltonian([0.5, 2], ["Z0", "X1"])):
        router = qmoe.QuantumRouter(2, 2, circuit=CIRCUIT.with_readout(readout), generator=seeded())
        read = ReferenceEngine().evaluate(router.circuit, rows(3), router.quantum.weights.detach().double())
        expected = torch.softmax(router.adapter(read.float()), -1)
        torch.testing.assert_close(router(rows(3).float()), expected, rtol=0, atol=1e-5)


def test_one_output_may_stand_without_an_axis():
    single = CIRCUIT.with_readout(Parity())
    torch.testing.assert_close(layer(single, is_bare=True)(rows(5)), layer(single)(rows(5))[:, 0], rtol=0, atol=0)
    with pytest.raises(ConfigError, match="the circuit has 4"):
        layer(is_bare=True)
