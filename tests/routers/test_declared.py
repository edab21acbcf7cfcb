"""Encodings of a user's own: what they declare is held against what they do, and never believed unseen."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import qmoe
from qmoe import AngleEncoding, Circuit, ConfigError, Gate, QuantumRouter
from qmoe.analysis import circuit_spectrum
from qmoe.circuits import Encoding, Feature, Operation, Prepare
from qmoe.routers import circuit_basis


class Own(Encoding):
    """Rotations by each feature, several in a row; declares whatever it is told to."""

    name = "own"
    uploads = 1
    period = None

    def __init__(self, gates: str, declared: Any, shift: int = 0) -> None:
        self.gates, self.declared, self.shift = gates.split(), declared, shift

    def __repr__(self) -> str:
        return f"Own({' '.join(self.gates)!r}, {self.declared!r})"

    @property
    def max_frequency(self) -> Any:
        return self.declared

    def n_features(self, n_qubits: int) -> int:
        return n_qubits

    def check_features(self, in_features: int, n_qubits: int) -> None:
        assert in_features == n_qubits

    def operations(self, n_qubits: int) -> tuple[Operation, ...]:
        if self.gates == ["Prepare"]:
            return (Prepare(n_qubits),)
        ops = []
        for wire in range(n_qubits):
            angles = (Feature((wire + self.shift) % n_qubits),)
            ops += [
                Gate(name, (wire, (wire + 1) % n_qubits) if name == "IsingZZ" else (wire,), angles)
                for name in self.gates
            ]
        return tuple(ops)


def router(encoding: Encoding, n_qubits: int = 2, **options: Any) -> QuantumRouter:
    of = torch.Generator().manual_seed(n_qubits)
    options = {"n_qubits": n_qubits, "encoding": encoding, "generator": of, "dtype": torch.float64, **options}
    return QuantumRouter(n_qubits, 2, **options)


TOO_LOW = [("RX RY", 1), ("RY RX", 1), ("RX RY RX", 2), ("RX RX", 1), ("RX RY", None), ("RY", None)]


@pytest.mark.parametrize("options", [{}, {"readout": "born"}, {"noise": 0.05}, {"dtype": torch.float32}], ids=str)
@pytest.mark.parametrize(("gates", "declared"), TOO_LOW)
def test_a_router_that_is_not_what_it_declares_is_not_distilled(gates: str, declared: Any, options: Any) -> None:
    with pytest.raises(ConfigError, match=r"not what its encoding declares.*max_frequency=.*differ from it by [\d.]+"):
        qmoe.distill(router(Own(gates, declared), **options))


@pytest.mark.parametrize(("gates", "declared"), TOO_LOW)
def test_spans_and_twins_of_a_wrong_declaration_are_refused_in_words(gates: str, declared: Any) -> None:
    made = router(Own(gates, declared))
    for ask in (qmoe.span, qmoe.twin, lambda r: circuit_basis(r.circuit)):
        with pytest.raises(
            ConfigError, match=rf"Own\('{gates}', {declared}\) declares max_frequency={declared}.*declare"
        ):
            ask(made)


@pytest.mark.parametrize(("gates", "declared"), [("RX RY", 2), ("RX RY", 3), ("RY", 1), ("RX RZ RX", 3)])
@pytest.mark.parametrize("n_qubits", [1, 2])
def test_an_encoding_that_declares_enough_is_distilled_and_spanned(gates: str, declared: int, n_qubits: int) -> None:
    made = router(Own(gates, declared), n_qubits)
    x = (torch.rand(30, n_qubits, dtype=torch.float64) - 0.5) * 20
    torch.testing.assert_close(qmoe.distill(made)(x), made(x), rtol=0, atol=1e-10)
    assert qmoe.span(made, n_circuits=10).residual < 1e-9
    design = torch.cat([qmoe.twin(made).features(x), torch.ones(30, 1, dtype=torch.float64)], -1)
    if design.shape[1] < 30:
        fit = design @ torch.linalg.lstsq(design, made.logits(x).detach()).solution
        torch.testing.assert_close(fit, made.logits(x).detach(), rtol=0, atol=1e-9)


def test_amplitudes_of_an_own_encoding_are_a_quadratic_form() -> None:
    class Full(Own):
        def n_features(self, n_qubits: int) -> int:
            return 2**n_qubits

        def check_features(self, in_features: int, n_qubits: int) -> None:
            assert in_features == 2**n_qubits

    made = QuantumRouter(4, 2, n_qubits=2, encoding=Full("Prepare", None), dtype=torch.float64)
    x = torch.randn(9, 4, dtype=torch.float64)
    torch.testing.assert_close(qmoe.distill(made)(x), made(x), rtol=0, atol=1e-10)
    assert len(qmoe.twin(made).basis) == 9
    with pytest.raises(ConfigError, match=r"declares max_frequency=2, but prepares .*; declare None"):
        circuit_basis(Circuit(2, 2, encoding=Full("Prepare", 2), in_features=4).with_noise(None))


@pytest.mark.parametrize(("gates", "words"), [("PhaseShift", "PhaseShift"), ("IsingZZ", "IsingZZ")])
def test_gates_that_spans_do_not_follow_are_named(gates: str, words: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"puts feature 0 into {words} on the wires .* follow RX, RY or RZ on wire 0"
    ):
        qmoe.twin(router(Own(gates, 1), engine="reference"))


def test_a_phase_by_a_feature_is_distilled_though_spans_do_not_follow_it() -> None:
    made = router(Own("RY PhaseShift", 2))
    x = torch.rand(9, 2, dtype=torch.float64) * 9
    torch.testing.assert_close(qmoe.distill(made)(x), made(x), rtol=0, atol=1e-10)


def test_features_on_wires_of_others_are_refused_or_right() -> None:
    with pytest.raises(ConfigError, match=r"feature 1 into RX on the wires \(0,\)"):
        qmoe.span(router(Own("RX", 1, shift=1)))
    with pytest.raises(ConfigError, match="encode feature i on wire i"):
        qmoe.distill(router(Own("RX", 1, shift=1), ansatz="no_entangler"))


@pytest.mark.parametrize("declared", [0, -1, 1.0, "1", True])
def test_a_declaration_that_is_no_frequency_is_refused(declared: Any) -> None:
    for ask in (qmoe.distill, qmoe.span, qmoe.twin):
        with pytest.raises(ConfigError, match="an integer of at least 1, or None for amplitudes"):
            ask(router(Own("RX", declared)))


@pytest.mark.parametrize(("gates", "declared"), TOO_LOW[:4])
def test_a_spectrum_that_would_fold_is_refused(gates: str, declared: int) -> None:
    circuit = Circuit(2, 2, encoding=Own(gates, declared))
    weights = torch.rand(3, *circuit.weight_shape, dtype=torch.float64) * math.pi
    with pytest.raises(ConfigError, match=rf"up to frequency {declared}, so higher ones fold back"):
        circuit_spectrum(circuit, weights)
    right = circuit_spectrum(circuit, weights, degree=len(gates.split()))
    assert right.degree == len(gates.split())


def test_qmoes_own_encodings_are_taken_at_their_word() -> None:
    for encoding in (AngleEncoding("Z", 2), AngleEncoding("Y")):
        assert circuit_basis(Circuit(2, 3, encoding=encoding)).complete


def test_an_encoding_of_a_users_own_is_not_written_to_a_file_that_could_not_be_read(tmp_path: Any) -> None:
    class Angle(AngleEncoding):
        """Called as ours is."""

    with pytest.raises(
        ConfigError, match=r"holds the encodings angle, amplitude of qmoe, not .*; keep this router by torch"
    ):
        qmoe.distill(router(Angle())).save(tmp_path / "r.safetensors")


def test_a_router_that_has_diverged_is_named_as_such() -> None:
    made = QuantumRouter(2, 2)
    for p in made.parameters():
        p.data.fill_(math.nan)
    with pytest.raises(ConfigError, match="not finite, so there is nothing to distil"):
        qmoe.distill(made)
