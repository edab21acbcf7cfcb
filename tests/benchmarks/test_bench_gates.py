"""Steps of a small Mixtral with three kinds of gates."""

import torch
from benchmarks.cli import app
from typer.testing import CliRunner

from benchmarks import gates


def test_lines_say_the_times_and_what_a_gate_adds() -> None:
    wall, processor = {"linear": 2.0, "quantum": 2.5}, {"linear": 1.0, "quantum": 1.1}
    alone, extra = {"linear": 0.01, "quantum": 0.09}, {"linear": 0.0, "quantum": 0.1}
    found = gates.GateTimes(gates.GateSize(), wall, processor, alone, extra)
    assert gates.text(found) == [
        "hidden 512, 2 layer(s), 8 experts, 8 qubits, 4,096 tokens",
        "  linear      2000.0 ms      2,048 tokens/s  processor    1000.0 ms    +0.0 %  gates alone    10.0 ms",
        "  quantum     2500.0 ms      1,638 tokens/s  processor    1100.0 ms   +10.0 %  gates alone    90.0 ms",
    ]


def test_all_kinds_are_one_model_but_for_its_gates() -> None:
    (size,) = gates.QUICK_SIZES
    models = {kind: dict(gates.build(size, kind).named_parameters()) for kind in ("linear", "quantum", "twin")}
    common = {name for name in models["linear"] if ".gate." not in name}
    for found in models.values():
        assert {name for name in found if ".gate." not in name} == common
        assert all(torch.equal(found[name], models["linear"][name]) for name in common)


def test_the_command_times_every_kind(monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.cli.limit_threads", lambda n: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    done = CliRunner().invoke(app, ["gates", "--rounds", "3", "--quick"])
    assert done.exit_code == 0, done.output
    head, *lines = done.output.splitlines()
    assert head == "hidden 32, 1 layer(s), 8 experts, 4 qubits, 32 tokens"
    assert [line.split()[0] for line in lines] == ["linear", "quantum", "twin"]
