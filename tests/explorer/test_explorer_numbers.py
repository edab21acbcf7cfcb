"""The page computes what qmoe computes, at any setting of its controls."""

import json

import numpy as np
import pytest
import torch

import qmoe
from explorer.conftest import put, text, untrained
from explorer.page_numbers import binomial, bloch_of, evaluated, exactly, measured, model_of, scaled, trained
from qmoe.circuits import Circuit, Pauli, Readouts

NAMES = ("quantum", "twin", "linear")
PLACEMENTS = ("block", "gate", "encoding", "layer", "layers")
DEPHASINGS = ("none", "encoding", "layers", "all")
SCALINGS = ("minmax_pi", "minmax_centred", "standard", "none")
#: Pixels of the maps that are compared.
PIXELS = np.arange(0, 10_000, 37)


def random_controls(seed, exact):
    """A value for every control, by its id; placements, dephasings and axes come in turn, the rest is random."""
    rng = np.random.default_rng(seed)
    window = np.array([untrained()[0].split.x_train.min(0), untrained()[0].split.x_train.max(0)])
    values = {
        "strength": round(float(rng.uniform(0.0, 0.6)), 3),
        "placement": PLACEMENTS[seed % 5],
        "dephasing": DEPHASINGS[seed % 4],
        "dephasingAxis": "XYZ"[seed % 3],
        f"axis-{'YZX'[seed % 3]}": True,
        "entangler": bool(rng.random() < 0.7),
        "shots": 7 if exact else int(rng.integers(0, 7)),
        "shotSeed": int(rng.integers(0, 1000)),
        "scaling": str(rng.choice(SCALINGS)),
        "stretch": round(float(rng.uniform(0.25, 2)), 2),
        "rows": str(rng.choice(["heldOut", "train", "both", "none"])),
        "errors": bool(rng.random() < 0.5),
        "point0": float(rng.uniform(*window[:, 0])),
        "point1": float(rng.uniform(*window[:, 1])),
    }
    for layer in range(3):
        for qubit in range(2):
            values |= {f"angle-{layer}-{qubit}-{k}": float(rng.uniform(-3.1, 3.1)) for k in range(3)}
    for expert in range(2):
        values |= {f"adapter-{expert}-{k}": float(rng.uniform(-6, 6)) for k in range(2)}
        values[f"bias-{expert}"] = float(rng.uniform(-2, 2))
    return values


def compared(opened, exact, seed):
    """The largest difference between the page and qmoe in all that the page computes, and the number of shares compared."""
    data, arms = untrained()
    state = opened.run(f"check.put({json.dumps(random_controls(seed, exact))})")
    worst, shares = 0.0, []
    for name in NAMES:
        model, results = model_of(name, state, arms), state["results"][name]
        draws = measured if name == "quantum" and not exact else None
        grid = opened.run(f"explorer.grid('{name}')")
        places = np.array([[grid["x"][k % 100], grid["y"][99 - k // 100]] for k in PIXELS])
        split = data.split
        asked = [
            (split.x_train, 0, range(300), results["rows"]["train"]),
            (split.x_test, 1, range(300), results["rows"]["heldOut"]),
            (places, 2, PIXELS, {key: np.array(grid[key])[PIXELS] for key in ("share", "output")}),
        ]
        for rows, stream, indices, found in asked:
            x = scaled(rows, state, data)
            share, output = exactly(model, x) if draws is None else draws(model, state, x, stream, map(int, indices))
            worst = max(worst, np.abs(share - found["share"]).max(), np.abs(output - found["output"]).max())
            shares.append(share)
            if stream < 2:
                labels = (split.y_train, split.y_test)[stream]
                part = ("train", "heldOut")[stream]
                assert results[part] == np.mean((output > 0) == labels)
                shown = text(opened, f"{name}-{part}")
                assert shown == ("100%" if results[part] == 1 else f"{100 * results[part]:.1f}%")
        x = scaled([state["settings"]["point"]], state, data)
        share, output = exactly(model, x) if draws is None else draws(model, state, x, 3, [0])
        probability = 1 / (1 + np.exp(-output[0]))
        worst = max(worst, abs(share[0] - results["share"]), abs(probability - results["probability"]))
    bloch = np.array([path[-1] for path in state["results"]["bloch"]])
    return max(worst, np.abs(bloch - bloch_of(state, x)).max()), np.concatenate(shares)


@pytest.mark.parametrize("seed", range(12))
def test_exact_numbers_are_those_of_qmoe_at_random_settings(opened, seed):
    worst, shares = compared(opened, True, seed)
    assert worst < 1e-9
    assert np.ptp(shares) > 0.1


@pytest.mark.parametrize("seed", range(4))
def test_numbers_with_shots_are_those_of_the_same_draws(opened, seed):
    worst, _ = compared(opened, False, 100 + seed)
    assert worst < 1e-9


def test_draws_have_the_probabilities_of_a_binomial():
    u = (np.arange(4000) + 0.5) / 4000
    drawn = np.array([binomial(9, 0.3, value) for value in u])
    assert drawn.mean() == pytest.approx(2.7, abs=0.01)
    assert drawn.var() == pytest.approx(9 * 0.3 * 0.7, abs=0.01)


def test_shots_on_the_page_scatter_as_those_of_a_device(opened):
    """Held-out rows are measured once each; their deviations from exact values have the variance of so many shots."""
    data, arms = untrained()
    adapter = {"adapter-0-0": 0, "adapter-0-1": 0, "adapter-1-0": 1, "adapter-1-1": 0, "bias-0": 0, "bias-1": 0}
    state = put(opened, shots=3, **{name.replace("-", "_"): value for name, value in adapter.items()})
    assert state["settings"]["shots"] == 64
    share = np.array(state["results"]["quantum"]["rows"]["heldOut"]["share"])
    model, x = model_of("quantum", state, arms), scaled(data.split.x_test, state, data)
    with torch.no_grad():
        z = model.router.measure(x)[:, 0].numpy()
    off = (np.log(share / (1 - share)) - z) / np.sqrt((1 - z**2) / 64)
    assert abs(off.mean()) < 4 / np.sqrt(len(off))
    assert abs((off**2).mean() - 1) < 4 * np.sqrt(2 / len(off))
    again = put(opened, shotSeed=1)["results"]["quantum"]["rows"]["heldOut"]["share"]
    assert np.mean(np.array(again) != share) > 0.8


def test_bloch_pictures_show_the_state_after_every_layer(opened):
    state = put(opened, axis_Y=True)
    data, _ = untrained()
    x = scaled([state["settings"]["point"]], state, data)
    words = Readouts(tuple(Pauli(word) for word in ("X0", "Y0", "Z0", "X1", "Y1", "Z1")))
    for layers in range(4):
        circuit = Circuit(2, layers, qmoe.AngleEncoding(rotation="Y"), "strongly_entangling", words)
        angles = torch.tensor(state["arms"]["quantum"]["angles"][:layers], dtype=torch.float64).reshape(layers, 2, 3)
        expected = evaluated(circuit, x, angles)[0].reshape(2, 3)
        found = [path[layers] for path in state["results"]["bloch"]]
        assert np.abs(expected - found).max() < 1e-12


@pytest.mark.parametrize("controls", [{}, {"strength": 0.2, "placement": "gate", "axis_Z": True, "stretch": 1.2}])
def test_training_in_the_browser_is_adam_on_the_same_loss(opened, controls):
    data, arms = untrained()
    before = put(opened, **controls)
    opened.run("(explorer.train(40), explorer.settled())")
    after = opened.run("explorer.state()")
    x, y = scaled(data.split.x_train, before, data), torch.as_tensor(data.split.y_train)
    for name in NAMES:
        model = trained(model_of(name, before, arms), x, y, 40, 0.05)
        assert np.abs(exactly(model, x)[0] - after["results"][name]["rows"]["train"]["share"]).max() < 1e-6
        assert after["results"][name]["train"] > before["results"][name]["train"]


def test_a_copied_twin_equals_the_quantum_router_at_any_setting(opened):
    controls = random_controls(8, True)
    opened.run(f"check.put({json.dumps(controls)})")
    opened.run("(document.getElementById('copy-twin').click(), explorer.settled())")
    quantum, twin = (np.array(opened.run(f"explorer.grid('{name}').output")) for name in ("quantum", "twin"))
    assert np.abs(quantum - twin).max() < 1e-10
    assert np.ptp(quantum) > 0.1
