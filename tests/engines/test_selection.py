import pytest
import torch

from qmoe.circuits import Circuit, NoiseModel
from qmoe.engines import ENGINES, Engine, NativeEngine, ReferenceEngine, TorchEngine, choose_engine, get_engine
from qmoe.errors import ConfigError

DEPHASED = NoiseModel(dephasing="all")


@pytest.mark.parametrize("name", list(ENGINES))
def test_every_engine_is_reached_by_its_name(name: str) -> None:
    engine = get_engine(name)
    assert isinstance(engine, Engine)
    assert engine.name == name


def test_engine_instance_is_returned_as_it_is() -> None:
    engine = ReferenceEngine()
    assert get_engine(engine) is engine


def test_auto_is_chosen_at_the_call() -> None:
    assert get_engine("auto") is None


@pytest.mark.parametrize(
    ("circuit", "device", "kind", "words"),
    [
        (Circuit(2, 3), "cpu", NativeEngine, "faster than the torch engine on the CPU"),
        (Circuit(2, 3, noise=0.1), "cpu", NativeEngine, "exact noise"),
        (Circuit(7, 2, noise=DEPHASED), "cpu", NativeEngine, "exact noise"),
        (Circuit(8, 2, noise=DEPHASED), "cpu", TorchEngine, "noise on 8 qubits"),
        (Circuit(9, 1, noise=0.1), "cpu", TorchEngine, "noise on 9 qubits"),
        (Circuit(2, 3), "cuda", TorchEngine, "cuda"),
    ],
)
def test_choice_comes_with_its_reason(circuit: Circuit, device: str, kind: type[Engine], words: str) -> None:
    engine, reason = choose_engine(circuit, torch.device(device))
    assert isinstance(engine, kind)
    assert words in reason


def test_chosen_engine_takes_what_it_was_chosen_for() -> None:
    for circuit in (Circuit(2, 3), Circuit(7, 1, noise=0.1), Circuit(8, 1, noise=0.1), Circuit(7, 2, noise=DEPHASED)):
        for device in (torch.device("cpu"), torch.device("cuda")):
            engine, _ = choose_engine(circuit, device)
            assert engine.why_not(circuit, device) is None


def test_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Unknown engine 'pennylan'; did you mean 'pennylane'\? Known: aer, "):
        get_engine("pennylan")


def test_engine_that_is_neither_name_nor_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a name or an Engine"):
        get_engine(3)  # type: ignore[arg-type]
