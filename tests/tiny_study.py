"""A study small enough for tests."""


def tiny_values(**changes):
    """Tables of a valid study: two arms, three data seeds with two initialisations each, two epochs."""
    values = {
        "name": "tiny",
        "title": "Tiny",
        "phase": "phase2",
        "protocol": "heldout",
        "data": {"name": "moons", "options": {"n_samples": 60, "noise": 0.1}, "scaling": "minmax_pi"},
        "seeds": {"data": 3, "per_data": 2},
        "training": {"epochs": 2, "batch_size": 16, "lr": 0.1},
        "arms": [
            {"name": "linear", "label": "linear", "model": {"router": {"kind": "linear"}, "experts": {"kind": "linear"}}},
            {"name": "quantum", "label": "quantum", "model": {"router": {"kind": "quantum"}, "experts": {"kind": "linear"}}},
        ],
    }  # fmt: skip
    return values | changes


def diverging_values():
    """A study whose six trials all end in NaN: products of two weights near 1e30 overflow float32."""
    model = {"router": {"kind": "mlp", "hidden": 8, "activation": "silu"}, "experts": {"kind": "linear"}}
    return tiny_values(arms=[{"name": "wild", "label": "wild", "model": model}], training={"epochs": 6, "lr": 1e30})


#: `tiny_values()` as a study file.
TINY_TOML = """
name = "tiny"
title = "Tiny"
phase = "phase2"
protocol = "heldout"
data = { name = "moons", options = { n_samples = 60, noise = 0.1 }, scaling = "minmax_pi" }
seeds = { data = 3, per_data = 2 }
training = { epochs = 2, batch_size = 16, lr = 0.1 }
[[arms]]
name = "linear"
label = "linear"
model = { router = { kind = "linear" }, experts = { kind = "linear" } }
[[arms]]
name = "quantum"
label = "quantum"
model = { router = { kind = "quantum" }, experts = { kind = "linear" } }
"""
