"""Channels of noise in study files."""

import pytest

from qmoe.circuits import BitFlip, Depolarizing, NoiseModel, ReadoutError
from qmoe.errors import ConfigError
from qmoe.studies import make_trials, parse_study, run_stack
from qmoe.studies.assembly import build_model
from qmoe.studies.trials import TrialSpec
from tiny_study import tiny_values

CHANNELS = [
    {"channel": "bit_flip", "p": 0.01, "place": "gate", "wires": [0]},
    {"channel": "depolarizing", "p": 0.02, "n_wires": 2, "place": "two_qubit_gate", "gates": ["CNOT"]},
    {"channel": "readout_error", "zero_as_one": 0.02, "one_as_zero": 0.05, "place": "readout"},
]
PLACED = (
    BitFlip(0.01).after("gate", [0]),
    Depolarizing(0.02, 2).after("two_qubit_gate", gates=["CNOT"]),
    ReadoutError(0.02, 0.05).before_readout(),
)


def trials_of(router, **options):
    model = {"router": {"kind": "quantum", **router}, "experts": {"kind": "linear"}}
    arms = [{"name": "quantum", "label": "quantum", "model": model, **options}]
    return [made.trial for made in make_trials(parse_study(tiny_values(arms=arms)))]


def test_channels_of_a_file_are_those_of_the_circuit():
    trials = trials_of({"channels": CHANNELS, "noise": 0.1, "placement": "gate"})
    assert build_model(trials[0]).router.circuit.noise == NoiseModel(0.1, "gate", channels=PLACED)
    (alone,) = {build_model(trial).router.circuit.noise for trial in trials_of({"channels": CHANNELS})}
    assert alone == NoiseModel(channels=PLACED)


def test_a_trial_without_channels_has_the_hash_that_it_had():
    (without, *_), (empty, *_), (noisy, *_) = (
        trials_of(router) for router in ({}, {"channels": []}, {"channels": CHANNELS})
    )
    assert without.hash == empty.hash != noisy.hash
    assert "channels" not in without.canonical
    assert without.shape_key != noisy.shape_key


def test_a_trial_with_channels_survives_its_json_and_trains():
    trial = trials_of({"channels": CHANNELS})[0]
    again = TrialSpec.from_json(trial.canonical)
    assert again == trial
    (record,) = run_stack((trial,))
    assert 0 <= record.metrics["test_accuracy"] <= 1
    assert len(record.history["loss"]) == 2


def test_strengths_of_an_arm_share_its_channels():
    circuits = [
        build_model(trial).router.circuit.noise for trial in trials_of({"channels": CHANNELS}, noise=[0.0, 0.1])
    ]
    assert {noise.depolarizing for noise in circuits} == {0.0, 0.1}
    assert {noise.channels for noise in circuits} == {PLACED}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"channel": "bit_flop", "p": 0.1, "place": "gate"}, r"Unknown channel 'bit_flop'; did you mean 'bit_flip'\?"),
        ({"channel": "bit_flip", "p": 0.1}, r"The channel bit_flip lacks 'place'"),
        ({"channel": "bit_flip", "p": 1.5, "place": "gate"}, r"BitFlip: p is 1\.5, expected a probability"),
        ("bit_flip", r"router.*channels.*valid dictionary"),
    ],
)
def test_tables_that_make_no_channel_are_refused(table, message):
    with pytest.raises(ConfigError, match=message):
        trials_of({"channels": [table]})
