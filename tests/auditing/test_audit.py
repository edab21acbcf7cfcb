"""Audits, as a user meets them: verdicts where the truth is known, pairing, and what is refused."""

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import qmoe
from helpers import generator
from qmoe.auditing import ARMS, audit
from qmoe.auditing.objective import as_tensor
from qmoe.errors import ConfigError, EncodingRangeWarning, ShapeError

QUICK = {"seeds": 6, "epochs": 2}


def parity(n=160, seed=0):
    """Four bits as angles, and their parity."""
    bits = torch.randint(0, 2, (n, 4), generator=generator(seed))
    return math.pi * bits + 0.1 * torch.randn(n, 4, generator=generator(seed + 1)), bits.sum(1) % 2


def line(n=160, seed=0, noise=0.5):
    """Four features, and on which side of a plane they lie, with noise."""
    x = torch.randn(n, 4, generator=generator(seed))
    return x, (x.sum(1) + noise * torch.randn(n, generator=generator(seed + 1)) > 0).long()


def through():
    return nn.Sequential(qmoe.QuantumLayer(qmoe.Circuit(4, 2)), nn.Linear(4, 2))


class Beside(nn.Module):
    """A layer beside the features, whose output counts ``weight`` times."""

    def __init__(self, weight=1.0, circuit=None):
        super().__init__()
        self.body = nn.ModuleDict({"layer": nn.Linear(4, 4) if circuit is None else qmoe.QuantumLayer(circuit)})
        self.head, self.weight = nn.Linear(8, 2), weight

    def forward(self, x):
        return self.head(torch.cat([x, self.weight * self.body["layer"](x)], -1))


@pytest.fixture(scope="module")
def carried():
    return audit(through, "0", *parity(), seeds=12, epochs=25, lr=0.1, name="parity")


def test_a_layer_that_carries_everything_is_found_and_so_is_its_twin(carried):
    assert carried.outcome == "supported"
    assert carried.headline.startswith("The layer carries the effect. Its classical twin does as well.")
    assert carried.arms == tuple(ARMS)
    outcomes = {verdict.claim.id: verdict.outcome for verdict in carried.verdicts}
    assert outcomes["twin"] == "refuted"
    assert outcomes["entanglement"] == "supported"
    assert carried.scores().mean() > 0.99
    assert carried.scores("mean").mean() <= carried.runs.chance  # it says one class every time
    assert carried.difference("mean").low > 0.3


def test_the_card_says_what_was_found(carried):
    text = str(carried)
    assert text.splitlines()[0] == "Audit of layer 0, a QuantumLayer"
    for label in ARMS.values():
        assert label in text
    assert "yes: On parity, the model needs what the layer computes from its input." in text
    assert "The draws are splits of one table" in text
    assert carried._repr_html_().startswith("<pre>Audit of layer 0")
    plain = json.loads(json.dumps(carried.as_dict()))
    assert plain["outcome"] == "supported"
    assert len(plain["scores"]["twin"]) == 12


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ({"twin": "inconclusive", "mlp": "supported"}, ["Whether it has to be quantum is undecided."]),
        ({"twin": "depends", "interference": "inconclusive"}, ["Whether it has to be quantum is undecided."]),
        (
            {"twin": "supported", "mlp": "inconclusive"},
            ["Its classical twin does worse.", "Whether it has to be quantum is undecided."],
        ),
        (
            {"twin": "supported", "mlp": "supported"},
            ["Its classical twin does worse.", "Nothing classical that was tried does as well."],
        ),
        ({"twin": "supported"}, ["Its classical twin does worse."]),
        (
            {"twin": "inconclusive", "mlp": "refuted"},
            ["With an MLP of equal size in the layer's place, the model does as well."],
        ),
        ({"mlp": "inconclusive"}, []),  # not of a circuit that qmoe knows
    ],
)
def test_the_headline_of_a_layer_that_matters_says_whether_it_has_to_be_quantum(carried, outcomes, told):
    asked = [dataclasses.replace(v, outcome=outcomes[v.claim.id]) for v in carried.verdicts if v.claim.id in outcomes]
    result = dataclasses.replace(carried, verdicts=(carried.verdict, *asked))
    assert result.headline == " ".join(["The layer carries the effect.", *told])
    assert result.as_dict()["headline"] == result.headline
    assert result.headline in " ".join(str(result).split())


def test_the_frame_has_a_row_for_each_run(carried):
    frame = carried.to_frame()
    assert len(frame) == len(ARMS) * 12
    assert set(frame["learning rate"]) == {"0.1"}
    base = frame[frame["arm"] == "base"].sort_values("draw")
    np.testing.assert_array_equal(base["test_accuracy"], carried.scores())


def test_a_layer_that_only_costs_does_nothing_that_a_constant_does_not():
    x, y = line(300)
    result = audit(
        functools.partial(Beside, circuit=qmoe.Circuit(4, 1)),
        "body.layer",
        x.clamp(-3, 3),
        y,
        seeds=16,
        epochs=15,
        arms=[],
    )
    assert result.outcome == "refuted"
    assert result.headline == "The layer does nothing that a constant does not."


def test_a_layer_whose_output_counts_for_nothing_gives_scores_exactly_alike_and_a_verdict():
    result = audit(lambda: Beside(weight=0.0), "body.layer", *line(), seeds=8, epochs=2, arms=["permuted"])
    np.testing.assert_array_equal(result.scores(), result.scores("permuted"))
    assert result.outcome == "refuted"
    assert result.headline == "The layer does nothing that a constant does not."


def test_a_layer_that_is_not_needed_is_refuted_where_all_is_solved_without_it():
    x, y = line(noise=0.0)
    result = audit(Beside, "body.layer", 5 * x, y, seeds=8, epochs=60, lr=0.3, arms=[])
    assert result.scores("mean").mean() > 0.98
    assert result.outcome == "refuted"


def test_where_nothing_is_learned_nothing_is_decided():
    x, _ = line()
    y = torch.randint(0, 2, (160,), generator=generator(9))
    result = audit(Beside, "body.layer", x, y, **QUICK)
    assert result.outcome == "inconclusive"
    assert "neither arm does better than guessing" in result.headline


def test_that_there_are_too_few_draws_is_said_once():
    text = " ".join(str(audit(through, "0", *parity(40), seeds=3, epochs=1)).split())
    assert text.count("there are 3 draws of the data, and the claim asks for 6") == 1
    assert text.count("* undecided: On your-data,") == 6


def test_runs_that_fail_count_in_no_number_and_are_told():
    def fit(model, x, y, seed):
        if x[0, 0] > 0:
            nn.init.constant_(model.head.bias, math.nan)

    result = audit(Beside, "body.layer", *line(40), seeds=8, fit=fit, arms=[])
    failed = np.isnan(result.scores())
    assert 0 < failed.sum() < 8
    assert result.outcome == "inconclusive"
    assert "pairs failed, so the remaining ones are a selection" in result.headline
    assert [score is None for score in result.as_dict()["scores"]["base"]] == failed.tolist()
    assert "nan" not in str(result)


def test_all_arms_have_the_same_rows_the_same_seeds_and_the_same_other_weights():
    begun = []

    def fit(model, x, y, seed):
        begun.append((seed, x.clone(), y.clone(), model.head.weight.detach().clone()))

    audit(Beside, "body.layer", *line(40), seeds=3, fit=fit)
    arms = [begun[at : at + 3] for at in range(0, len(begun), 3)]
    assert len(arms) == 5
    for arm in arms[1:]:
        for (seed, x, y, w), (seed2, x2, y2, w2) in zip(arms[0], arm, strict=True):
            assert seed == seed2
            assert torch.equal(x, x2)
            assert torch.equal(y, y2)
            assert torch.equal(w, w2)
    assert len({seed for seed, *_ in arms[0]}) == 3
    assert not torch.equal(arms[0][0][3], arms[0][1][3])


def test_equal_seeds_give_equal_numbers_and_torchs_generator_stays():
    x, y = line(60)
    before = torch.get_rng_state()
    one, again, other = (audit(Beside, "body.layer", x, y, **QUICK, arms=["mlp"], seed=s) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    for arm in one.arms:
        np.testing.assert_array_equal(one.scores(arm), again.scores(arm))
    assert (one.scores() != other.scores()).any()


def test_a_model_is_copied_and_drawn_anew():
    model = Beside()
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    result = audit(model, "body.layer", *line(60), **QUICK, arms=["frozen"])
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert model.body["layer"].weight.requires_grad
    assert result.kept == ()


def test_arrays_that_are_not_writable_such_as_those_of_pandas_are_taken_without_a_warning(recwarn):
    values = np.random.default_rng(0).random((8, 2))
    values.flags.writeable = False
    taken = as_tensor("X", values)
    np.testing.assert_array_equal(taken.numpy(), values)
    assert [str(warning.message) for warning in recwarn] == []


def test_a_module_that_cannot_draw_anew_is_told():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.ones(4))

        def forward(self, x):
            return self.factor * x

    result = audit(nn.Sequential(Scaled(), nn.Linear(4, 2)), "0", *line(60), **QUICK, arms=[])
    assert result.kept == ("0",)
    assert any(caveat.startswith("Layer 0: no reset_parameters") for caveat in result.caveats)


def test_with_held_out_rows_given_initialisations_are_the_unit():
    x, y = line(90)
    result = audit(Beside, "body.layer", x[:60], y[:60], test=(x[60:], y[60:]), **QUICK, arms=[])
    assert not result.runs.clustered
    assert any("the data never vary" in caveat for caveat in result.caveats)
    assert not any("splits of one table" in caveat for caveat in result.caveats)


def test_several_learning_rates_are_a_multiverse_of_the_verdict():
    result = audit(Beside, "body.layer", *line(60), lr=(0.05, 0.1), **QUICK, arms=[])
    assert [row.choices for row in result.verdict.multiverse.rows] == [
        {"learning rate": "0.05"},
        {"learning rate": "0.1"},
    ]
    assert set(result.to_frame()["learning rate"]) == {"0.05", "0.1"}
    assert not any("One way of training" in caveat for caveat in result.caveats)


def test_several_loops_of_a_user_are_a_multiverse_too():
    loops = {"none": lambda model, x, y, seed: None, "other": lambda model, x, y, seed: model}
    result = audit(Beside, "body.layer", *line(60), fit=loops, seeds=6, arms=[])
    assert [dict(universe.choices) for universe in result.universes] == [{"training": "none"}, {"training": "other"}]


def test_numbers_are_regression_and_arrays_take_the_dtype_of_the_model():
    x = np.linspace(-1, 1, 80).reshape(-1, 1)
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    result = audit(model, "0", x, x[:, 0] ** 3, seeds=8, epochs=80, lr=0.1, arms=[])
    assert result.metric == "test_r2"
    assert result.scores().mean() > 0.9
    assert result.scores("mean").mean() < 0.05
    assert result.outcome == "supported"
    assert "mean squared error" in " ".join(result.stability)


def test_the_router_of_a_mixture_and_the_circuit_inside_it_can_be_audited():
    moe = qmoe.MixtureOfExperts(qmoe.QuantumRouter(4, 2, n_layers=2), qmoe.LinearExperts(4, 2, n_experts=2))
    x, y = parity(60)
    with pytest.warns(EncodingRangeWarning):
        whole = audit(moe, "router", x + 4, y, **QUICK)
    assert whole.arms == tuple(ARMS)
    inner = audit(moe, "router.quantum", x - 1.5, y, **QUICK)
    assert inner.arms == tuple(ARMS)


def test_a_layer_of_pennylane_has_all_arms():
    qml = pytest.importorskip("pennylane")

    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(inputs, weights):
        qml.AngleEmbedding(inputs, wires=range(2))
        qml.BasicEntanglerLayers(weights, wires=range(2))
        return [qml.expval(qml.PauliZ(0)), qml.expval(qml.PauliZ(1))]

    def build():
        return nn.Sequential(nn.Linear(4, 2), qml.qnn.TorchLayer(circuit, {"weights": (1, 2)}), nn.Linear(2, 2))

    result = audit(build, "1", *line(20), seeds=2, epochs=1)
    assert result.arms == tuple(ARMS)
    assert result.outcome == "inconclusive"
    assert np.isfinite(result.scores()).all()


class _Scaled(nn.Module):
    """A layer of bare numbers, ``(B, 2)`` to ``(B,)``, times a weight."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.scale = layer, nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.scale * self.layer(x)


def test_of_one_measurement_pennylane_gives_bare_numbers_and_so_do_all_arms():
    qml = pytest.importorskip("pennylane")

    @qml.qnode(qml.device("default.qubit", wires=2))
    def circuit(inputs, weights):
        qml.AngleEmbedding(inputs, wires=range(2))
        qml.BasicEntanglerLayers(weights, wires=range(2))
        return qml.expval(qml.PauliZ(1))

    def build():
        return _Scaled(qml.qnn.TorchLayer(circuit, {"weights": (1, 2)}))

    x = torch.rand(40, 2, generator=torch.Generator().manual_seed(0)) * 3
    result = audit(build, "layer", x, x.cos().prod(1), seeds=6, epochs=60, lr=0.1, batch_size=40)
    assert result.arms == tuple(ARMS)
    # The target is a function of the twin, so that its R2 is near 1; spread over the batch it would be near -1.
    assert min(result.scores("twin")) > 0.8


def test_what_gives_another_shape_than_the_layer_is_refused(monkeypatch):
    from qmoe.auditing import replacements

    def lengthened(layer, seen):
        return "longer outputs", lambda layer, seen, generator: nn.Linear(4, 3)

    monkeypatch.setitem(replacements._STEPS, "mlp", lengthened)
    model = nn.Sequential(nn.Linear(4, 1))
    x, _ = line(20)
    with pytest.raises(ConfigError, match=r"gives outputs of shape \(3,\) for a sample, the layer \(1,\)"):
        audit(model, "0", x, x[:, :1], seeds=2, epochs=1, arms=["mlp"])


@pytest.mark.filterwarnings("ignore")  # those of Qiskit's own changes
def test_a_layer_of_qiskit_is_audited_too():
    pytest.importorskip("qiskit_machine_learning")
    from qiskit.circuit import ParameterVector, QuantumCircuit
    from qiskit_machine_learning.connectors import TorchConnector
    from qiskit_machine_learning.neural_networks import EstimatorQNN

    circuit, x, w = QuantumCircuit(2), ParameterVector("x", 2), ParameterVector("w", 2)
    for wire in range(2):
        circuit.rx(x[wire], wire)
        circuit.ry(w[wire], wire)
    circuit.cx(0, 1)

    def build():
        network = EstimatorQNN(circuit=circuit, input_params=list(x), weight_params=list(w))
        return nn.Sequential(nn.Linear(4, 2), TorchConnector(network), nn.Linear(1, 2))

    result = audit(build, "1", *line(12), seeds=2, epochs=1, arms=["mlp", "no-entangler"])
    assert result.arms == ("base", "mean", "mlp", "no-entangler")
    assert np.isfinite(result.scores()).all()


class _Gated(nn.Module):
    """Calls its layer with two arguments."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Bilinear(4, 4, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.layer(x, x))


def test_a_layer_of_several_arguments_has_the_arms_that_need_no_sizes():
    result = audit(_Gated, "layer", *line(40), **QUICK)
    assert result.arms == ("base", "mean", "permuted", "frozen")
    assert "one tensor of numbers" in result.left_out["mlp"]


def test_progress_is_told_after_each_arm():
    told = []
    audit(Beside, "body.layer", *line(40), **QUICK, arms=["frozen"], on_progress=lambda *at: told.append(at))
    assert told == [(6, 18), (12, 18), (18, 18)]


class _UsesMore(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 2)

    def forward(self, x):
        return self.inner(x) * self.inner.out_features


X, Y = line(40)
REFUSED = {
    "path": ({"path": "body.layr"}, ConfigError, "Unknown layer 'body.layr'; did you mean 'body.layer'"),
    "no path": ({"path": ""}, ConfigError, "Unknown layer ''"),
    "rows": ({"y": Y[:30]}, ShapeError, "X has 40 rows and y 30"),
    "classes": ({"y": Y + 5}, ConfigError, "classes from 5 to 6, but the model has outputs for 0 to 1"),
    "one class": ({"y": torch.zeros(40, dtype=torch.long)}, ConfigError, "a single class"),
    "not finite": ({"X": X * math.inf}, ShapeError, "X holds numbers that are not finite"),
    "features": ({"X": X[:, :3]}, ConfigError, r"cannot be called on X: rows of shape \(40, 3\)"),
    "few rows": ({"X": X[:3], "y": Y[:3]}, ShapeError, "expected at least 4 rows"),
    "text": ({"X": "rows"}, ConfigError, "X is a str, expected a tensor"),
    "targets": ({"y": torch.rand(40, 5)}, ShapeError, r"y has shape \(40, 5\)"),
    "task": ({"task": "clustering"}, ConfigError, "Unknown task 'clustering'"),
    "fractions": ({"y": torch.rand(40), "task": "classification"}, ConfigError, "numbers that are not whole"),
    "rate": ({"lr": (0.1, 0.1)}, ConfigError, "lr is"),
    "rate 0": ({"lr": 0}, ConfigError, "lr is 0, expected a positive number"),
    "share": ({"test_share": 1.0}, ConfigError, "test_share is 1.0"),
    "margin": ({"margin": 0.0}, ConfigError, "margin is 0.0"),
    "seeds": ({"seeds": 0}, ConfigError, "seeds is 0"),
    "seed": ({"seed": -1}, ConfigError, "A seed is -1"),
    "fit": ({"fit": 3}, ConfigError, "fit is 3, expected a function"),
    "model": ({"model": lambda: 3}, ConfigError, r"model\(\) returned a int"),
    "name": ({"name": "My Data"}, ConfigError, "name is 'My Data', expected"),
    "uses more": ({"model": _UsesMore, "path": "inner"}, ConfigError, r"does not run with the arm 'mean'.*arms=\["),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_audited_is_refused(changed, error, message):
    given = {"model": Beside, "path": "body.layer", "X": X, "y": Y, "seeds": 2, "epochs": 1} | changed
    with pytest.raises(error, match=message):
        audit(**given)


def test_a_layer_that_the_model_does_not_call_is_refused():
    model = Beside()
    model.idle = nn.Linear(4, 4)
    with pytest.raises(ConfigError, match="does not call 'idle'"):
        audit(model, "idle", X, Y, **QUICK)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"fit": lambda *given: None, "lr": 0.1}, "fit was given"),
        ({"fit": lambda *given: None, "epochs": 3}, "fit was given"),
        ({"test": line(10), "test_share": 0.5}, "test was given"),
    ],
)
def test_an_option_that_would_decide_nothing_is_refused(options, told):
    with pytest.raises(ConfigError, match=told):
        audit(Beside, "body.layer", *line(40), **options)
