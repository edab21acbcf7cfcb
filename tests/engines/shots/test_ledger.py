"""The ledger of cost counts what the sampler runs."""

import pytest
import torch
from torch import nn

import qmoe
from qmoe.circuits import Circuit, Feature, Gate, NoiseModel, Pauli, Weight
from qmoe.engines import TorchEngine
from qmoe.engines.shots import Ledger, Rates, cost, outcome_counts
from qmoe.errors import ConfigError, UnsupportedError

CONTROLLED = Circuit.from_operations(
    [
        Gate("RX", (0,), (Feature(0),)),
        Gate("CRY", (0, 1), (2 * Weight(0),)),
        Gate("CRZ", (1, 0), (Feature(1) + Weight(1),)),
        Gate("RY", (0,), (Weight(0),)),
        Gate("RZ", (1,), (0.3,)),
    ],
    readout=[Pauli("X0"), Pauli("Z1"), Pauli("Y0 X1")],
)
CASES = {
    "template": (Circuit(2, 3), 1 + 2 * 18, 1 + 2 * 2 + 2 * 18, 1),
    "controlled rotations and two bases": (CONTROLLED, 1 + 4 + 4 + 2, 1 + 2 + 4 + 4 + 2, 2),
    "noise": (Circuit(2, 1, noise=NoiseModel(0.01)), 1 + 2 * 6, 1 + 2 * 2 + 2 * 6, 1),
}


@pytest.fixture
def counted(monkeypatch):
    """Circuits and shots that were sampled since the test began."""
    found = {"circuits": 0, "shots": 0}
    draw = outcome_counts.counts

    def counts(probabilities, shots, source):
        drawn = draw(probabilities, shots, source)
        found["circuits"] += drawn[..., 0].numel()
        found["shots"] += int(drawn.sum())
        return drawn

    monkeypatch.setattr(outcome_counts, "counts", counts)
    return lambda: Ledger(**found)


@pytest.mark.parametrize(("circuit", "runs", "runs_in_front", "n_bases"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("in_front", [False, True], ids=["alone", "behind a layer"])
def test_a_training_runs_as_many_circuits_and_shots_as_the_ledger_says(
    circuit, runs, runs_in_front, n_bases, in_front, counted
):
    layer = qmoe.QuantumLayer(circuit, shots=30, engine=TorchEngine(), generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(3, circuit.in_features), layer) if in_front else layer
    x = torch.rand(10, 3 if in_front else circuit.in_features, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        for batch in x.split(4):
            optimizer.zero_grad()
            model(batch).sum().backward()
            optimizer.step()
    expected = cost(circuit, 10, 30, epochs=2, of_features=in_front)
    assert counted() == expected
    assert expected.circuits == n_bases * (runs_in_front if in_front else runs) * 10 * 2


def test_an_inference_runs_every_sample_once_in_each_basis(counted):
    layer = qmoe.QuantumLayer(CONTROLLED, shots=30, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        layer(torch.rand(10, 2, generator=torch.Generator().manual_seed(1)))
    assert counted() == cost(CONTROLLED, 10, 30) == Ledger(20, 600)


def test_a_frozen_circuit_is_run_forwards_alone(counted):
    layer = qmoe.QuantumLayer(CONTROLLED, shots=30, frozen=True, generator=torch.Generator().manual_seed(0))
    layer(torch.rand(10, 2, generator=torch.Generator().manual_seed(1)))
    assert counted() == cost(CONTROLLED, 10, 30, epochs=1, of_weights=False)


def test_hours_and_price_follow_from_the_rates():
    ledger = Ledger(100, 50_000)
    assert ledger.hours(Rates(seconds_per_shot=2e-4, seconds_per_circuit=0.1)) == pytest.approx(20 / 3600)
    assert ledger.price(Rates(price_per_shot=0.01, price_per_circuit=0.3)) == pytest.approx(530)
    by_time = Rates(seconds_per_shot=2e-4, seconds_per_circuit=0.1, price_per_second=1.6)
    assert ledger.price(by_time) == pytest.approx(32)
    assert ledger.price(Rates()) == 0


def test_ledgers_add_up():
    assert 3 * Ledger(1, 10) + Ledger(2, 5) == Ledger(5, 35)
    assert str(Ledger(1_000, 2_000_000)) == "1,000 circuits, 2,000,000 shots"


def test_misuse_is_refused():
    with pytest.raises(ConfigError, match="price_per_shot is -1"):
        Rates(price_per_shot=-1)
    with pytest.raises(ConfigError, match="n_samples"):
        cost(CONTROLLED, 0, 10)
    with pytest.raises(ConfigError, match="shots is None"):
        cost(CONTROLLED, 1, None)
    with pytest.raises(UnsupportedError, match="Features are amplitudes"):
        cost(Circuit(2, 1, encoding="amplitude"), 1, 10, epochs=1, of_features=True)
