"""What is particular to PennyLane devices; that the numbers are right is for the conformance suite."""

import copy
import math
import pickle
import re
import warnings

import numpy as np
import pennylane as qml
import pytest
import torch
from pennylane.exceptions import QuantumFunctionError

from qmoe.circuits import (
    AmplitudeDamping,
    BitFlip,
    BitPhaseFlip,
    Channel,
    Circuit,
    Depolarizing,
    Gate,
    Kraus,
    NoiseModel,
    PauliError,
    PhaseDamping,
    PhaseFlip,
    ReadoutConfusion,
    ReadoutError,
    ThermalRelaxation,
    Weight,
)
from qmoe.engines import ReferenceEngine, get_engine
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.engines.pennylane.canary import check_truth, known_of_channel
from qmoe.engines.pennylane.named_channels import apply_channel
from qmoe.errors import ConfigError, ShapeError, UnsupportedError
from qmoe.testing import random_inputs

CPU = torch.device("cpu")


# --- what running leaves alone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit", "default.mixed", "reference.qubit"])
def test_running_changes_no_global_state(device: str) -> None:
    circuit = Circuit(2, 1)
    x, weights = random_inputs(circuit, 0, requires_grad=True)
    filters, dtype = list(warnings.filters), torch.get_default_dtype()
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    for shots in (None, 10):
        PennyLaneEngine(device, shots=shots).evaluate(circuit, x, weights).sum().backward()
    assert warnings.filters == filters
    assert torch.get_default_dtype() == dtype
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


# --- choices -----------------------------------------------------------------------------------------------------------


def test_name_pennylane_gives_default_devices() -> None:
    assert repr(get_engine("pennylane")) == "PennyLaneEngine()"


def test_repr_shows_what_was_chosen() -> None:
    engine = PennyLaneEngine("lightning.qubit", diff_method="adjoint", shots=10, batch_obs=True)
    assert repr(engine) == "PennyLaneEngine(device='lightning.qubit', diff_method='adjoint', shots=10, batch_obs=True)"


@pytest.mark.parametrize(
    ("options", "circuit", "expected"),
    [
        ({}, Circuit(2, 1), ("default.qubit", "backprop")),
        ({}, Circuit(2, 1, noise=0.1), ("default.mixed", "backprop")),
        ({"shots": 5}, Circuit(2, 1), ("default.qubit", "parameter-shift")),
        ({"device": "lightning.qubit"}, Circuit(2, 1), ("lightning.qubit", "adjoint")),
        ({"device": "lightning.qubit"}, Circuit(2, 1, readout="born"), ("lightning.qubit", "parameter-shift")),
        ({"device": "reference.qubit"}, Circuit(2, 1), ("reference.qubit", "best")),
        ({"device": "default.mixed", "diff_method": "finite-diff"}, Circuit(2, 1), ("default.mixed", "finite-diff")),
    ],
)
def test_default_device_and_differentiation(options: dict, circuit: Circuit, expected: tuple[str, str]) -> None:
    engine = PennyLaneEngine(**options)
    assert (engine._device_name(circuit), engine._diff_method(circuit)) == expected


@pytest.mark.parametrize(("dtype", "expected"), [(torch.float32, np.complex64), (torch.float64, np.complex128)])
def test_lightning_computes_in_the_precision_of_the_input(dtype: torch.dtype, expected: type) -> None:
    circuit, engine = Circuit(2, 1), PennyLaneEngine("lightning.qubit")
    engine.evaluate(circuit, *random_inputs(circuit, 0, dtype=dtype))
    assert [device.c_dtype for device in engine._devices.values()] == [expected]


def test_device_options_reach_the_device() -> None:
    circuit, engine = Circuit(2, 1), PennyLaneEngine("lightning.qubit", c_dtype=np.complex64)
    engine.evaluate(circuit, *random_inputs(circuit, 0))
    assert [device.c_dtype for device in engine._devices.values()] == [np.complex64]


def test_lightning_keeps_all_digits_of_float64() -> None:
    # PennyLane alone gives float32 here, since lightning returns Python floats.
    circuit = Circuit(2, 2)
    x, weights = random_inputs(circuit, 1, requires_grad=True)
    out = PennyLaneEngine("lightning.qubit").evaluate(circuit, x, weights)
    torch.testing.assert_close(out, ReferenceEngine().evaluate(circuit, x, weights), rtol=0, atol=1e-14)


@pytest.mark.parametrize("diff_method", ["backprop", "parameter-shift"])
@pytest.mark.parametrize("angle", [Weight(1), 0.3])
@pytest.mark.parametrize("name", ["RZ", "CRZ", "IsingZZ", "PhaseShift"])
def test_diagonal_gates_keep_all_digits_on_default_mixed(name: str, angle: Weight | float, diff_method: str) -> None:
    # PennyLane takes the eigenvalues of these in complex64 if their angle has no batch axis.
    wires = (0,) if name in ("RZ", "PhaseShift") else (0, 1)
    gates = [Gate("RX", (0,), (Weight(0),)), Gate(name, wires, (angle,)), Gate("RY", (0,), (Weight(0),))]
    circuit = Circuit(2, 1, ansatz=gates, noise=0.1)
    x, weights = random_inputs(circuit, 2)
    out = PennyLaneEngine(diff_method=diff_method).evaluate(circuit, x, weights)
    torch.testing.assert_close(out, ReferenceEngine().evaluate(circuit, x, weights), rtol=0, atol=1e-12)


def test_constant_and_trainable_angles_mix_in_one_gate() -> None:
    circuit = Circuit(2, 1, ansatz=[Gate("Rot", (0,), (Weight(0), 0.5, Weight(1)))])
    x, weights = random_inputs(circuit, 3)
    for device in ("default.qubit", "lightning.qubit"):
        out = PennyLaneEngine(device).evaluate(circuit, x, weights)
        torch.testing.assert_close(out, ReferenceEngine().evaluate(circuit, x, weights), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("device", "diff_method"),
    [
        ("default.qubit", "adjoint"),
        ("default.qubit", "parameter-shift"),
        ("default.mixed", "parameter-shift"),
        ("lightning.qubit", "parameter-shift"),
        ("reference.qubit", "best"),
    ],
)
@pytest.mark.parametrize("readout", ["expval", "born"])
def test_other_differentiation_methods_equal_the_reference(device: str, diff_method: str, readout: str) -> None:
    circuit = Circuit(2, 2, readout=readout, noise=0.1 if device == "default.mixed" else None)
    x, weights = random_inputs(circuit, 4, batch=(2,), requires_grad=True)
    results = []
    for engine in (PennyLaneEngine(device, diff_method=diff_method), ReferenceEngine()):
        out = engine.evaluate(circuit, x, weights)
        results.append([out, *torch.autograd.grad((out * out.detach().cos()).sum(), (x, weights))])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-11)


def test_qnode_is_built_once_per_circuit_and_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    built, original = [], qml.QNode

    def counting(*args: object, **options: object) -> object:
        built.append(args)
        return original(*args, **options)

    monkeypatch.setattr(qml, "QNode", counting)
    engine = PennyLaneEngine()
    for dtype in (torch.float32, torch.float64):
        for seed in range(3):
            engine.evaluate(Circuit(2, 1), *random_inputs(Circuit(2, 1), seed, dtype=dtype))
    assert len(built) == 2


def test_engine_in_use_can_be_copied_and_pickled() -> None:
    circuit, engine = Circuit(2, 1), PennyLaneEngine("lightning.qubit", diff_method="adjoint")
    x, weights = random_inputs(circuit, 5)
    out = engine.evaluate(circuit, x, weights)
    for twin in (copy.deepcopy(engine), pickle.loads(pickle.dumps(engine))):
        assert repr(twin) == repr(engine)
        assert torch.equal(twin.evaluate(circuit, x, weights), out)


# --- shots -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit", "default.mixed"])
def test_same_seed_gives_the_same_shots(device: str) -> None:
    circuit = Circuit(2, 1)
    x, weights = random_inputs(circuit, 6)

    def draw(seed: int | np.random.SeedSequence) -> torch.Tensor:
        return PennyLaneEngine(device, shots=50, seed=seed).evaluate(circuit, x, weights)

    assert torch.equal(draw(1), draw(1))
    assert torch.equal(draw(np.random.SeedSequence(1)), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_shots_are_drawn_anew_at_each_call() -> None:
    circuit, engine = Circuit(2, 1), PennyLaneEngine(shots=50, seed=1)
    x, weights = random_inputs(circuit, 6)
    assert not torch.equal(engine.evaluate(circuit, x, weights), engine.evaluate(circuit, x, weights))


def test_expectations_of_n_shots_are_multiples_of_two_over_n() -> None:
    circuit = Circuit(2, 1)
    out = PennyLaneEngine(shots=8, seed=1).evaluate(circuit, *random_inputs(circuit, 6))
    assert torch.equal(out * 4, (out * 4).round())
    assert float(out.abs().max()) <= 1


def test_shot_error_falls_with_the_root_of_the_number_of_shots() -> None:
    circuit = Circuit(2, 1)
    x, weights = random_inputs(circuit, 7, batch=(60,))
    exact = ReferenceEngine().evaluate(circuit, x, weights)
    shots = np.array([100, 1000, 10000])
    errors = [
        float((PennyLaneEngine(shots=int(n), seed=3).evaluate(circuit, x, weights) - exact).square().mean().sqrt())
        for n in shots
    ]
    slope = np.polyfit(np.log(shots), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.08)


def test_gradients_from_shots_scatter_around_the_exact_ones() -> None:
    circuit = Circuit(2, 1)
    x, weights = random_inputs(circuit, 8, batch=(2,), requires_grad=True)
    exact = torch.autograd.grad(ReferenceEngine().evaluate(circuit, x, weights).sum(), weights)[0]
    engine = PennyLaneEngine(shots=20000, seed=1)
    drawn = torch.autograd.grad(engine.evaluate(circuit, x, weights).sum(), weights)[0]
    torch.testing.assert_close(drawn, exact, rtol=0, atol=0.06)
    assert not torch.equal(drawn, exact)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "circuit", "message"),
    [
        ({"device": "lightning.qubit"}, Circuit(2, 1, noise=0.1), "pure states .* device='default.mixed'"),
        ({"device": "default.qubit"}, Circuit(2, 1, noise=0.1), "pure states .* engine='torch'"),
        ({"diff_method": "adjoint"}, Circuit(2, 1, noise=0.1), "no noise channels; use diff_method='backprop'"),
        (
            {"device": "lightning.qubit", "diff_method": "adjoint"},
            Circuit(2, 1, readout="born"),
            "does not support probabilities; .* diff_method='parameter-shift', or engine='torch'",
        ),
        ({"device": "lightning.qubit", "diff_method": "backprop"}, Circuit(2, 1), "use diff_method='adjoint'"),
        ({"diff_method": "backprop", "shots": 10}, Circuit(2, 1), "needs exact numbers; use shots=None"),
        ({"diff_method": "adjoint", "shots": 10}, Circuit(2, 1), "needs exact numbers; use shots=None"),
    ],
)
def test_what_cannot_work_is_refused_beforehand_with_a_remedy(options: dict, circuit: Circuit, message: str) -> None:
    engine = PennyLaneEngine(**options)
    assert re.search(message, str(engine.why_not(circuit, CPU)))
    with pytest.raises(UnsupportedError, match=f"Engine 'pennylane' cannot run this circuit: .*{message}"):
        engine.evaluate(circuit, *random_inputs(circuit, 9))


def test_what_the_device_refuses_becomes_an_unsupported_error() -> None:
    circuit, engine = Circuit(2, 1), PennyLaneEngine("default.mixed", diff_method="adjoint")
    with pytest.raises(UnsupportedError, match=r"default\.mixed with diff_method='adjoint' refuses .* engine='torch'"):
        engine.evaluate(circuit, *random_inputs(circuit, 9, requires_grad=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "lightning.qbit"}, r"Unknown PennyLane device 'lightning.qbit'; did you mean 'lightning.qubit'\?"),
        ({"diff_method": "adjont"}, r"Unknown differentiation method 'adjont'; did you mean 'adjoint'\?"),
        ({"shots": 0}, "shots is 0, expected an integer of at least 1, .*shots=None"),
        ({"shots": True}, "shots is True"),
        ({"shots": 10.0}, "shots is 10.0"),
        ({"wires": 3}, "the circuit sets the wires"),
    ],
)
def test_wrong_options_are_refused_at_construction(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PennyLaneEngine(**options)


def test_seed_for_a_device_that_takes_none_is_refused() -> None:
    circuit, engine = Circuit(2, 1), PennyLaneEngine("null.qubit", shots=10, seed=1)
    with pytest.raises(ConfigError, match=r"'null\.qubit' refuses the options .*seed"):
        engine.evaluate(circuit, *random_inputs(circuit, 9))


def test_option_that_the_device_does_not_know_is_refused() -> None:
    circuit, engine = Circuit(2, 1), PennyLaneEngine("lightning.qubit", colour="red")
    with pytest.raises(ConfigError, match=r"'lightning\.qubit' refuses the options .*colour"):
        engine.evaluate(circuit, *random_inputs(circuit, 9))


def test_device_that_lacks_a_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*args: object, **options: object) -> object:
        raise ImportError("pip install quimb")

    monkeypatch.setattr(qml, "device", absent)
    with pytest.raises(UnsupportedError, match="lacks a package it needs: pip install quimb"):
        PennyLaneEngine().evaluate(Circuit(2, 1), *random_inputs(Circuit(2, 1), 9))


def test_device_that_returns_placeholders_is_refused() -> None:
    circuit, engine = Circuit(2, 1), PennyLaneEngine("null.qubit")
    with pytest.raises(
        UnsupportedError, match=r"'null\.qubit' fails a check with a known answer: after an X gate <Z> is 0"
    ):
        engine.evaluate(circuit, *random_inputs(circuit, 9))


@pytest.mark.parametrize("shots", [None, 100])
def test_device_that_drops_the_noise_is_refused(monkeypatch: pytest.MonkeyPatch, shots: int | None) -> None:
    monkeypatch.setattr("qmoe.engines.pennylane.engine._PURE", ())
    monkeypatch.setattr(qml, "DepolarizingChannel", lambda p, wires: qml.Identity(wires))
    circuit, engine = Circuit(2, 1, noise=0.1), PennyLaneEngine("reference.qubit", shots=shots, seed=1)
    with pytest.raises(UnsupportedError, match="noise of strength 3/4 after an X gate <Z> is -1, expected 0"):
        engine.evaluate(circuit, *random_inputs(circuit, 9))


@pytest.mark.parametrize("shots", [None, 100])
def test_device_that_drops_dephasing_is_refused_by_the_first_circuit_with_it(
    monkeypatch: pytest.MonkeyPatch, shots: int | None
) -> None:
    monkeypatch.setattr("qmoe.engines.pennylane.engine._PURE", ())
    monkeypatch.setattr(qml, "PhaseFlip", lambda p, wires: qml.Identity(wires))
    clean, engine = Circuit(2, 1), PennyLaneEngine("reference.qubit", shots=shots, seed=1)
    inputs = random_inputs(clean, 9)
    engine.evaluate(clean, *inputs)
    monkeypatch.setattr(qml, "DepolarizingChannel", lambda p, wires: qml.PauliRot(1.6, "Y", wires))  # <Z> near 0
    for _ in range(2):
        with pytest.raises(UnsupportedError, match="dephasing between two Hadamard gates <Z> is 1, expected 0"):
            engine.evaluate(clean.with_noise(NoiseModel(dephasing="encoding")), *inputs)


CHANNELS = [
    Depolarizing(0.1), Depolarizing(0.05, 2), BitFlip(0.01), PhaseFlip(0.1), BitPhaseFlip(0.1), PauliError((("XY", 0.1),)),
    PauliError((("IX", 0.1), ("ZI", 0.2))), AmplitudeDamping(0.01), AmplitudeDamping(0.3, 0.4), PhaseDamping(0.3),
    ThermalRelaxation(50, 70, 10), ThermalRelaxation(50, 30, 10, 0.2), ReadoutError(0.1, 0.2),
    ReadoutConfusion(((0.9, 0.1, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))), Kraus((((1, 0), (0, 1j)),)),
]  # fmt: skip


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_the_known_answer_of_a_channel_is_that_of_default_mixed_and_far_from_that_without_it(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = known_of_channel(channel)
    device = qml.device("default.mixed", wires=2)
    check_truth(device, "default.mixed", known)
    assert known.high - known.low >= 0.2
    monkeypatch.setattr("qmoe.engines.pennylane.canary.apply_channel", lambda channel, wires: None)
    with pytest.raises(UnsupportedError, match=r"default\.mixed' fails a check with a known answer: after .* times "):
        check_truth(device, "default.mixed", known)


def test_a_channel_that_does_nothing_has_no_known_answer() -> None:
    assert known_of_channel(BitFlip(0.0)) is None


def test_an_effect_too_small_for_shots_is_left_unchecked_without_exact_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    known = known_of_channel(BitFlip(1e-6))
    assert known.shots > 10**9

    class Sampling:
        def __call__(self) -> float:
            raise QuantumFunctionError("draws shots")

    monkeypatch.setattr(qml, "QNode", lambda *args, **options: Sampling())
    check_truth(qml.device("default.mixed", wires=1), "default.mixed", known)


@pytest.mark.parametrize("shots", [None, 100])
def test_device_that_drops_one_channel_is_refused_by_the_first_circuit_with_it(
    monkeypatch: pytest.MonkeyPatch, shots: int | None
) -> None:
    monkeypatch.setattr("qmoe.engines.pennylane.engine._PURE", ())
    monkeypatch.setattr(qml, "AmplitudeDamping", lambda gamma, wires: qml.Identity(wires))
    monkeypatch.setattr("qmoe.engines.pennylane.named_channels._SAME", math.inf)
    monkeypatch.setattr(qml.Identity, "kraus_matrices", lambda op: [np.eye(2)], raising=False)
    monkeypatch.setattr(qml, "DepolarizingChannel", lambda p, wires: qml.PauliRot(1.6, "Y", wires))  # <Z> near 0
    circuit = Circuit(2, 1, noise=NoiseModel(channels=[AmplitudeDamping(0.0625).after("gate")]))
    engine = PennyLaneEngine("reference.qubit", shots=shots, seed=1)
    with pytest.raises(
        UnsupportedError, match=r"times AmplitudeDamping\(gamma=0\.0625, .* Its numbers cannot be trusted"
    ):
        engine.evaluate(circuit, *random_inputs(circuit, 9))


def test_a_class_of_pennylane_that_means_something_else_is_not_taken() -> None:
    # An epsilon under a root of 0 makes PhaseDamping(1) wrong by 1e-7, and its thermal relaxation fails after long times.
    for channel, own in (
        (PhaseDamping(0.5), qml.PhaseDamping),
        (PhaseDamping(1.0), qml.QubitChannel),
        (ThermalRelaxation(50, 70, 10), qml.ThermalRelaxationError),
        (ThermalRelaxation(50, 100, 1e4, 0.2), qml.QubitChannel),
        (AmplitudeDamping(0.1, 0.3), qml.GeneralizedAmplitudeDamping),
        (Depolarizing(0.1), qml.DepolarizingChannel),
        (Depolarizing(0.1, 2), qml.QubitChannel),
    ):
        assert type(apply_channel(channel, range(channel.n_wires))) is own


@pytest.mark.parametrize("diff_method", ["adjoint", "parameter-shift"])
def test_gradient_of_amplitude_encoded_features_is_refused_unless_backprop(diff_method: str) -> None:
    circuit, engine = Circuit(2, 1, "amplitude"), PennyLaneEngine("lightning.qubit", diff_method=diff_method)
    x, weights = random_inputs(circuit, 9, requires_grad=True)
    with pytest.raises(UnsupportedError, match=r"use diff_method='backprop', engine='torch', or x.detach\(\)"):
        engine.evaluate(circuit, x, weights)
    with torch.no_grad():
        engine.evaluate(circuit, x, weights)
    engine.evaluate(circuit, x.detach(), weights).sum().backward()
    assert torch.isfinite(weights.grad).all()


def test_zero_row_in_amplitude_encoding_is_refused() -> None:
    circuit = Circuit(2, 1, "amplitude")
    x, weights = random_inputs(circuit, 9)
    x[1] = 0
    with pytest.raises(ShapeError, match="all zeros"):
        PennyLaneEngine().evaluate(circuit, x, weights)


def test_torch_func_is_refused_with_a_remedy() -> None:
    circuit, engine = Circuit(2, 1), PennyLaneEngine()
    x, weights = random_inputs(circuit, 9)
    with pytest.raises(UnsupportedError, match="engine='torch', or give models as stack axes"):
        torch.func.grad(lambda w: engine.evaluate(circuit, x, w).sum())(weights)


def test_noise_strength_can_be_learned() -> None:
    circuit = Circuit(1, 0, noise=0.1)
    strength = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[0.7]], dtype=torch.float64)
    out = PennyLaneEngine().evaluate(circuit, x, torch.zeros(0, 1, 3, dtype=torch.float64), strength)
    out.sum().backward()
    assert float(strength.grad) == pytest.approx(-4 / 3 * math.cos(0.7), abs=1e-11)


def test_gate_noise_counts_every_gate() -> None:
    # RX and Rot: two gates, two channels.
    circuit = Circuit(1, 1, noise=NoiseModel(0.3, "gate"), ansatz="strongly_entangling")
    clean, factor = circuit.with_noise(None), 1 - 4 * 0.3 / 3
    x, weights = random_inputs(circuit, 10)
    expected = PennyLaneEngine().evaluate(clean, x, weights) * factor**2
    torch.testing.assert_close(PennyLaneEngine().evaluate(circuit, x, weights), expected, rtol=0, atol=1e-12)


# --- devices of a user, plug-ins, and one job for a batch ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["default.qubit", "lightning.qubit", "reference.qubit"])
def test_a_device_that_a_user_made_is_used_and_left_as_it_is(name: str) -> None:
    device = qml.device(name, wires=3)
    before = dict(vars(device))
    circuit, engine = Circuit(2, 1), PennyLaneEngine(device)
    x, weights = random_inputs(circuit, 11, requires_grad=True)
    out = engine.evaluate(circuit, x, weights)
    torch.testing.assert_close(out, ReferenceEngine().evaluate(circuit, x, weights), rtol=0, atol=1e-12)
    out.sum().backward()
    assert torch.isfinite(weights.grad).all()
    assert vars(device).keys() == before.keys()
    assert repr(engine) == f"PennyLaneEngine(device={name!r})"


def test_a_noisy_device_of_a_user_runs_noise_and_is_checked() -> None:
    circuit = Circuit(2, 1, noise=0.1)
    x, weights = random_inputs(circuit, 11)
    out = PennyLaneEngine(qml.device("default.mixed", wires=2)).evaluate(circuit, x, weights)
    torch.testing.assert_close(out, ReferenceEngine().evaluate(circuit, x, weights), rtol=0, atol=1e-12)
    with pytest.raises(UnsupportedError, match=r"'null\.qubit' fails a check with a known answer"):
        PennyLaneEngine(qml.device("null.qubit", wires=2)).evaluate(Circuit(2, 1), x, weights)


def test_a_device_without_the_wires_of_the_circuit_is_refused() -> None:
    engine = PennyLaneEngine(qml.device("default.qubit", wires=["a", 1]))
    with pytest.raises(UnsupportedError, match=r"has \['a', 1\]; make it by qml.device\('default.qubit', wires=2\)"):
        engine.evaluate(Circuit(2, 1), *random_inputs(Circuit(2, 1), 9))


@pytest.mark.parametrize(
    ("device", "options", "message"),
    [
        (3, {}, "device is 3, expected the name of a PennyLane device, or one made by qml.device"),
        (qml.device("default.qubit"), {"seed": 1}, "seed would make another device"),
        (qml.device("default.qubit"), {"c_dtype": np.complex64}, "c_dtype would make another device"),
    ],
)
def test_what_is_no_device_or_would_make_another_is_refused(device, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PennyLaneEngine(device, **options)


@pytest.mark.parametrize("name", ["lightning.gpu", "lightning.kokkos"])
def test_a_plug_in_that_is_missing_is_told_with_the_command(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"not installed: pip install pennylane-{name.replace('.', '-')}"):
        PennyLaneEngine(name)
    with pytest.raises(UnsupportedError, match="pip install"):
        get_engine(f"pennylane:{name}")


@pytest.mark.parametrize("device", ["lightning.qubit", "reference.qubit"])
@pytest.mark.parametrize("shots", [None, 100])
def test_a_batch_of_models_is_one_job(monkeypatch: pytest.MonkeyPatch, device: str, shots: int | None) -> None:
    circuit = Circuit(2, 1)
    x, weights = random_inputs(circuit, 12, stack=(2,), batch=(3,))
    engine = PennyLaneEngine(device, shots=shots, seed=1)
    engine.evaluate(circuit, x, weights)  # devices are tried with a circuit of a known answer first
    jobs: list[int] = []
    (made,) = engine._devices.values()
    execute = made.execute

    def counted(tapes: object, *given: object, **options: object) -> object:
        jobs.append(len(tapes))
        return execute(tapes, *given, **options)

    monkeypatch.setattr(made, "execute", counted)
    with torch.no_grad():
        engine.evaluate(circuit, x, weights)
    assert jobs == [6]
