"""What stands in for a layer, and what it leaves of it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import qmoe
from helpers import generator
from qmoe.auditing import as_quantum_layer
from qmoe.auditing.circuit_forms import dephased, quantum_part, twin_of, why_no_twin, with_circuit, without_entanglers
from qmoe.auditing.location import Seen
from qmoe.auditing.replacements import ARMS, arms_for, n_trainable
from qmoe.auditing.stand_ins import ConstantOutput, PermutedOutput
from qmoe.circuits import (
    AmplitudeDamping,
    BitFlip,
    Circuit,
    Disturb,
    Feature,
    Gate,
    Pauli,
    ReadoutError,
    Weight,
)
from qmoe.errors import ConfigError

ANY = Circuit.from_operations(
    [
        Gate("RX", (0,), (2 * Weight(0) + Feature(0),)),
        Gate("RY", (1,), (Feature(1),)),
        Gate("IsingZZ", (0, 1), (Weight(1),)),
        Gate("CNOT", (0, 1)),
        Gate("RY", (1,), (Weight(2),)),
    ],
    readout=[Pauli("Z0"), Pauli("Z1")],
)
CIRCUITS = {
    "paper": Circuit(2, 3),
    "wide": Circuit(4, 2),
    "one angle": Circuit(3, 2, ansatz="basic_entangler"),
    "noise on gates": Circuit(2, 2, noise=qmoe.NoiseModel(0.1, "gate")),
    "operations": ANY,
}


def seen_of(layer, x):
    with torch.no_grad():
        return Seen(x, layer(x))


def arms_of(layer, x, wanted=None):
    found, left_out = arms_for(layer, seen_of(layer, x), wanted)
    return {arm.name: arm for arm in found}, left_out


@pytest.mark.parametrize("circuit", CIRCUITS.values(), ids=CIRCUITS)
def test_without_entanglers_no_output_depends_on_the_feature_of_another_wire(circuit):
    layer = qmoe.QuantumLayer(circuit, generator=generator(1), dtype=torch.float64)
    alone = with_circuit(layer, without_entanglers(circuit), generator())
    x = torch.rand(6, circuit.in_features, generator=generator(2), dtype=torch.float64)
    for wire in range(circuit.n_qubits):
        other = x.clone()
        other[:, wire] += 1.0
        moved = (alone(other) - alone(x)).abs().amax(0) > 1e-9
        assert moved.tolist() == [w == wire for w in range(circuit.n_qubits)]


@pytest.mark.parametrize("circuit", CIRCUITS.values(), ids=CIRCUITS)
def test_dephased_is_the_circuit_with_that_noise_and_the_same_weights(circuit):
    layer = qmoe.QuantumLayer(circuit, generator=generator(1), dtype=torch.float64)
    found = with_circuit(layer, dephased(circuit), generator())
    before = circuit.noise or qmoe.NoiseModel()
    model = qmoe.NoiseModel(before.depolarizing, before.placement, "all")
    expected = qmoe.QuantumLayer(circuit.with_noise(model), dtype=torch.float64)
    expected.load_state_dict(dict(layer.state_dict()))
    x = torch.rand(6, circuit.in_features, generator=generator(2), dtype=torch.float64)
    torch.testing.assert_close(found(x), expected(x), rtol=0, atol=1e-12)
    assert (found(x) - layer(x)).abs().max() > 1e-3


@pytest.mark.parametrize(
    "circuit", [CIRCUITS["paper"], CIRCUITS["wide"], Circuit(2, 2, "amplitude"), Circuit(2, 2, readout="born")]
)
def test_the_twin_of_a_layer_holds_what_its_circuit_computes(circuit):
    layer = qmoe.QuantumLayer(circuit, generator=generator(3), dtype=torch.float64)
    twin = twin_of(layer, generator())
    x = torch.rand(300, circuit.in_features, generator=generator(4), dtype=torch.float64) * 6
    design = torch.cat([torch.ones(300, 1, dtype=torch.float64), twin.basis.values(x)], -1)
    out = layer(x).detach()
    solution = torch.linalg.lstsq(design, out, driver="gelsd").solution
    with torch.no_grad():
        twin.map.bias.copy_(solution[0])
        twin.map.weight.copy_(solution[1:].T)
    torch.testing.assert_close(twin(x), out, rtol=0, atol=1e-9)


def test_a_router_keeps_its_other_parts_when_its_circuit_changes():
    router = qmoe.QuantumRouter(3, 2, n_qubits=2, generator=generator())
    changed = with_circuit(router, without_entanglers(router.circuit), generator())
    assert torch.equal(changed.projection.weight, router.projection.weight)
    assert torch.equal(changed.adapter.weight, router.adapter.weight)
    assert changed.circuit != router.circuit
    assert changed(torch.rand(5, 3)).shape == (5, 2)


def test_circuits_without_the_thing_that_is_taken_away_say_so():
    assert "no gates on two qubits" in without_entanglers(Circuit(2, 2, ansatz="no_entangler"))
    assert "nothing but gates on two qubits" in without_entanglers(
        Circuit.from_operations([Gate("IsingXX", (0, 1), (Feature(0),))])
    )
    assert "dephased already" in dephased(Circuit(2, 2, noise=qmoe.NoiseModel(dephasing="layers")))
    assert "nothing but the measurement" in dephased(Circuit.from_operations([Gate("RX", (0,), (Feature(0),))]))
    assert "noise stands at blocks" in without_entanglers(Circuit(2, 2, noise=0.1))
    of_layers = qmoe.NoiseModel(0.1, "gate", channels=[BitFlip(0.1).after("layer")])
    assert "noise stands at blocks" in without_entanglers(Circuit(2, 2, noise=of_layers))
    gates = [Gate("RX", (0,), (Feature(0),)), Disturb(BitFlip(0.1), (0,)), Gate("CNOT", (0, 1))]
    assert "noise stands among its gates" in without_entanglers(Circuit.from_operations(gates, noise=qmoe.NoiseModel()))
    assert "8255 quadratic forms" in why_no_twin(qmoe.QuantumLayer(Circuit(7, 2, "amplitude")))
    constant = Circuit(1, 0, qmoe.AngleEncoding(rotation="Z"))
    assert "nothing but constants" in why_no_twin(qmoe.QuantumLayer(constant))


def test_of_other_modules_no_circuit_is_known():
    layer, router = qmoe.QuantumLayer(Circuit(2, 1)), qmoe.QuantumRouter(2, 2)
    assert as_quantum_layer(layer) is layer
    assert as_quantum_layer(router) is router
    assert as_quantum_layer(nn.Linear(2, 2)) is None


def test_a_layer_of_pennylane_is_known_with_its_weights():
    qml = pytest.importorskip("pennylane")

    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(inputs, weights):
        qml.AngleEmbedding(inputs, wires=range(2))
        qml.StronglyEntanglingLayers(weights, wires=range(2))
        return [qml.expval(qml.PauliZ(0)), qml.expval(qml.PauliZ(1))]

    layer = qml.qnn.TorchLayer(circuit, {"weights": (2, 2, 3)})
    known, x = as_quantum_layer(layer, 2), torch.rand(5, 2)
    assert isinstance(known, qmoe.QuantumLayer)
    torch.testing.assert_close(known(x), layer(x).float(), rtol=0, atol=1e-5)
    arms, left_out = arms_of(layer, x)
    assert set(arms) | set(left_out) == set(ARMS)
    alone = arms["no-entangler"].make(layer, seen_of(layer, x), generator())
    torch.testing.assert_close(alone.flat_weights().flatten(), layer.weights.flatten().detach())


def test_a_circuit_that_cannot_be_imported_says_why():
    qml = pytest.importorskip("pennylane")

    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(inputs, weights):
        qml.AngleEmbedding(inputs, wires=range(2))
        qml.RX(weights[0], wires=0)
        return qml.probs(wires=0) if qml.measure(0) is None else qml.expval(qml.PauliZ(0))

    layer = qml.qnn.TorchLayer(circuit, {"weights": (1,)})
    assert as_quantum_layer(layer, 2) is None
    assert quantum_part(layer, 2).startswith("its circuit cannot be imported: ")


@pytest.mark.parametrize("shape", [(5, 3), (5, 7, 3)])
def test_the_constant_is_the_mean_output_and_trains(shape):
    layer, x = nn.Linear(3, 4), torch.rand(*shape, generator=generator())
    seen = seen_of(layer, x)
    constant = arms_of(layer, x)[0]["mean"].make(layer, seen, generator())
    expected = layer(x).detach().flatten(0, -2).mean(0)
    torch.testing.assert_close(constant(x), expected.expand(*shape[:-1], 4))
    assert n_trainable(constant) == 4
    other = constant(torch.rand(2, *shape[1:]))
    assert (other == other.flatten(0, -2)[0]).all()


def test_the_constant_of_a_layer_that_keeps_no_axis_has_the_shape_of_one_output():
    layer, x = nn.Flatten(), torch.rand(5, 2, 3)
    constant = arms_of(layer, x)[0]["mean"].make(layer, seen_of(layer, x), generator())
    torch.testing.assert_close(constant(x[:2]), x.reshape(5, 6).mean(0).expand(2, 6))


@given(n=st.integers(2, 40), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_permuted_outputs_are_the_same_outputs_and_none_is_at_its_place(n, seed):
    x = torch.rand(n, 3, generator=generator(seed), dtype=torch.float64)
    out = PermutedOutput(nn.Identity())(x)
    assert sorted(map(tuple, out.tolist())) == sorted(map(tuple, x.tolist()))
    assert (out != x).any(-1).all()


@given(n_in=st.integers(1, 8), n_out=st.integers(1, 8), layers=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_the_mlp_has_as_many_parameters_as_can_be_matched(n_in, n_out, layers):
    layer = nn.Sequential(*(nn.Linear(n_in, n_in) for _ in range(layers)), nn.Linear(n_in, n_out))
    x = torch.rand(4, n_in)
    arm = arms_of(layer, x)[0]["mlp"]
    mlp, budget, step = arm.make(layer, seen_of(layer, x), generator()), n_trainable(layer), n_in + 1 + n_out
    assert mlp(x).shape == (4, n_out)
    assert abs(n_trainable(mlp) - budget) <= step / 2 or n_trainable(mlp) == step + n_out
    assert f"{n_trainable(mlp)} parameters for the layer's {budget}" in arm.says


def test_frozen_is_the_layer_with_its_weights_as_drawn():
    layer, x = nn.Linear(2, 2), torch.rand(4, 2)
    frozen = arms_of(layer, x)[0]["frozen"].make(layer, seen_of(layer, x), generator())
    assert frozen is layer
    assert n_trainable(frozen) == 0


def test_stand_ins_of_a_router_are_routers():
    router, x = qmoe.QuantumRouter(3, 4, generator=generator()), torch.rand(6, 3)
    arms, left_out = arms_of(router, x)
    assert list(arms) == list(ARMS)
    assert left_out == {}
    for name, arm in arms.items():
        new = arm.make(qmoe.QuantumRouter(3, 4, generator=generator()), seen_of(router, x), generator())
        assert isinstance(new, qmoe.Router), name
        torch.testing.assert_close(new(x).sum(-1), torch.ones(6))
    constant = arms["mean"].make(router, seen_of(router, x), generator())
    torch.testing.assert_close(constant(x)[0], router(x).mean(0))


def test_arms_that_do_not_apply_are_left_out_with_the_reason():
    arms, left_out = arms_of(nn.Tanh(), torch.rand(4, 2))
    assert list(arms) == ["base", "mean", "permuted"]
    assert left_out["twin"] == "qmoe does not know the circuit of a Tanh"
    assert "no parameters that train" in left_out["frozen"]
    assert set(arms) | set(left_out) == set(ARMS)
    ids = torch.randint(0, 5, (4, 3))
    assert "one tensor of numbers" in arms_of(nn.Embedding(5, 2), ids)[1]["mlp"]


def test_arms_that_were_not_asked_for_are_not_told():
    arms, left_out = arms_of(nn.Linear(2, 2), torch.rand(4, 2), ["frozen"])
    assert list(arms) == ["base", "mean", "frozen"]
    assert left_out == {}
    with pytest.raises(ConfigError, match="Unknown arm 'frozn'; did you mean 'frozen'"):
        arms_of(nn.Linear(2, 2), torch.rand(4, 2), ["frozn"])


def test_a_dephased_circuit_keeps_its_other_noise():
    noise = qmoe.NoiseModel(
        0.1, "gate", channels=[AmplitudeDamping(0.2).after("gate"), ReadoutError(0.05).before_readout()]
    )
    found = dephased(Circuit(2, 2, noise=noise)).noise
    assert (found.depolarizing, found.placement, found.channels) == (0.1, "gate", noise.channels)
    assert found.dephasing == "all"


def test_a_dephased_circuit_in_which_nothing_is_left_says_so():
    layer = qmoe.QuantumLayer(Circuit(2, 2, qmoe.AngleEncoding(rotation="Z")))
    arms, _ = arms_of(layer, torch.rand(4, 2))
    assert arms["dephased"].says.endswith("nothing of the input is left")


def test_the_constant_of_one_row_axis_alone():
    assert ConstantOutput(torch.ones(2, 3), leading=False)(torch.rand(4, 9)).shape == (4, 2, 3)
