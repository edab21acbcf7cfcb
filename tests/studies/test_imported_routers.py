"""Routers of the user's own in a study: imported where that is allowed, and nowhere else."""

import sys

import pytest

from helpers import qmoe_command
from qmoe.errors import ConfigError
from qmoe.report import read_store
from qmoe.studies import LocalProcesses, Store, allow_imports, make_trials, parse_study, run_stack, run_studies
from qmoe.studies.measurements import effective_dimensions
from tiny_study import TINY_TOML, tiny_values

#: What a user would write; `_imported` says that somebody imported it.
MODULE = '''
import torch
from pathlib import Path
from qmoe.routers import SoftmaxRouter

Path(__file__).with_name("imported.txt").write_text("yes")


class Cubic(SoftmaxRouter):
    """A linear gate on the cubes of the features."""

    def __init__(self, in_features, n_experts, scale=1.0, *, generator=None, device=None, dtype=None):
        super().__init__(in_features, n_experts)
        self.scale = scale
        self.weight = torch.nn.Parameter(torch.empty(n_experts, in_features, device=device, dtype=dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator=None):
        torch.nn.init.normal_(self.weight, generator=generator)

    def logits(self, x):
        x = self.take(x)
        self.validate_input(x)
        return self.scale * x.pow(3) @ self.weight.T


class Narrow(Cubic):
    def __init__(self, in_features, n_experts, **drawn):
        super().__init__(1, n_experts, **drawn)


def plain(in_features, n_experts, generator, dtype):
    return torch.nn.Linear(in_features, n_experts)


NUMBER = 3
'''


def values(path="my_cubic:Cubic", **arguments):
    router = {"kind": "import", "path": path, "arguments": arguments}
    mine = {"name": "mine", "label": "mine", "model": {"router": router, "experts": {"kind": "linear"}}}
    return tiny_values(arms=[tiny_values()["arms"][0], mine])


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The folder with the user's module, which can be imported from there and was not imported yet."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_cubic.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "my_cubic", raising=False)
    yield folder
    sys.modules.pop("my_cubic", None)


def numbers(store):
    return {h: (r.metrics, r.history, r.state) for h, r in store.load("tiny").records.items()}


def test_it_trains_like_any_other_in_this_process_and_in_others(module, tmp_path):
    study = parse_study(values(scale=0.5))
    found = []
    for name, executor in (("here", None), ("there", LocalProcesses(1))):
        with Store(tmp_path / f"{name}.sqlite") as store, allow_imports():
            summary = run_studies([study], store, executor)
            assert (summary.ran, summary.failed) == (12, 0)
            found.append(numbers(store))
        if executor is not None:
            executor.shutdown()
    assert found[0] == found[1]


def test_nothing_is_imported_unless_that_is_allowed(module, tmp_path):
    study = parse_study(values())
    trials = [member.trial for member in make_trials(study)]
    with Store(tmp_path / "store.sqlite") as store:
        with pytest.raises(
            ConfigError, match=r"Study tiny, arm mine: The router my_cubic:Cubic is code .*--allow-import"
        ):
            run_studies([study], store)
        with allow_imports():
            run_studies([study], store)
        with allow_imports(), allow_imports(False), pytest.raises(ConfigError, match="may not run unasked"):
            run_stack(tuple(trials[6:7]))
    sys.modules.pop("my_cubic")
    (module / "imported.txt").unlink()
    contents = read_store(tmp_path / "store.sqlite")
    assert contents.results[0].n_missing == 0
    assert contents.judged.verdicts == ()
    with pytest.raises(ConfigError, match="may not run unasked"):
        effective_dimensions(study, ["mine"], repeats=1, n_draws=2)
    assert not (module / "imported.txt").exists()


@pytest.mark.usefixtures("undrawn")
def test_on_the_command_line_a_flag_allows_it_and_no_report_needs_it(module, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(module)])
    (module / "mine.toml").write_text(
        TINY_TOML.replace('router = { kind = "quantum" }', 'router = { kind = "import", path = "my_cubic:Cubic" }')
    )
    arguments = ["run", "mine.toml", "--workers", "0", "--out", str(tmp_path / "results")]
    refused = qmoe_command(*arguments, cwd=module)
    assert refused.returncode == 2
    assert "--allow-import" in refused.stderr
    done = qmoe_command(*arguments, "--allow-import", cwd=module)
    assert done.returncode == 0, done.stderr
    (module / "imported.txt").unlink()
    sys.modules.pop("my_cubic")
    again = qmoe_command("report", tmp_path / "results")
    assert again.returncode == 0, again.stderr
    assert not (module / "imported.txt").exists()


def test_the_hash_covers_path_and_arguments(module):
    hashes = {
        make_trials(parse_study(values(path, **arguments)))[-1].trial.hash
        for path in ("my_cubic:Cubic", "my_cubic:Other")
        for arguments in ({}, {"scale": 1.0}, {"scale": 0.5})
    }
    assert len(hashes) == 6


@pytest.mark.parametrize(
    ("path", "arguments", "words"),
    [
        ("my_cubik:Cubic", {}, "my_cubik:Cubic cannot be imported: ModuleNotFoundError"),
        ("my_cubic:Cubik", {}, "Unknown name in my_cubic: 'Cubik'; did you mean 'Cubic'"),
        ("my_cubic:Cubic", {"skale": 2}, "cannot be called as studies do: .*'skale'"),
        ("my_cubic:Narrow", {}, "made a router of 1 features and 2 experts, expected 2 and 2"),
        ("my_cubic:plain", {}, "router is a Linear, expected a qmoe.routers.Router"),
        ("my_cubic:NUMBER", {}, "my_cubic:NUMBER is a int, expected a class of routers"),
    ],
)
@pytest.mark.usefixtures("module")
def test_what_is_no_such_router_is_refused_before_training(path, arguments, words, tmp_path):
    refused = pytest.raises(ConfigError, match=f"Study tiny, arm mine: .*{words}")
    with Store(tmp_path / "store.sqlite") as store, allow_imports(), refused:
        run_studies([parse_study(values(path, **arguments))], store)


@pytest.mark.parametrize("path", ["", "my_cubic", "my_cubic:", ":Cubic", "../mine.py:Cubic", "my cubic:Cubic"])
def test_what_is_no_path_is_refused_in_the_file(path):
    with pytest.raises(ConfigError, match=r"import.*path|path: String should match"):
        parse_study(values(path))


def test_a_module_that_raises_while_it_is_imported_is_told(module, tmp_path):
    (module / "my_cubic.py").write_text("1 / 0")
    with (
        Store(tmp_path / "store.sqlite") as store,
        allow_imports(),
        pytest.raises(ConfigError, match="ZeroDivisionError"),
    ):
        run_studies([parse_study(values())], store)
