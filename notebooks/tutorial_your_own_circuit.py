# %% [markdown]
# # Tutorial: your own circuit
#
# To run this on Colab, upload it there together with the wheel of qmoe, which `make dist` builds in a checkout.
#
# You have a PennyLane circuit inside a PyTorch model. This notebook makes a layer of it that trains faster, lists the
# functions that it can compute, tests whether it does anything for the model (the *audit*), and adds noise. It takes
# about a minute on a laptop.

# %%
# Does nothing where qmoe is installed. Elsewhere, as on Colab, it installs qmoe: from the checkout that this notebook lies
# in, from a wheel beside it, or from SOURCE. `make dist` builds a wheel; on Colab, upload it in the panel "Files".
import importlib.util
from pathlib import Path

SOURCE = ""  # such as "git+" and the address of a repository, or the path of a wheel

if importlib.util.find_spec("qmoe") is None:
    here = Path.cwd()
    checkouts = [folder for folder in (here, here.parent) if (folder / "src" / "qmoe").is_dir()]
    package = next((str(place) for place in (*checkouts, *sorted(here.glob("qmoe-*.whl"))[-1:], SOURCE) if place), None)
    if package is None:
        raise FileNotFoundError(
            "qmoe is not installed: put its wheel beside this notebook or set SOURCE, then run this again."
        )
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is installed in its small build for CPUs")
        # %pip install -q torch --index-url https://download.pytorch.org/whl/cpu
    # %pip install -q "{package}"

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch

from qmoe.notebook import show_table

# %config InlineBackend.figure_formats = ["svg"]

torch.set_num_threads(1)  # the matrices are small here
SIZE = os.environ.get("QMOE_NOTEBOOK_SIZE", "full")  # "small" only shows that everything runs
if SIZE not in ("small", "full"):
    raise ValueError(f"QMOE_NOTEBOOK_SIZE is {SIZE!r}, expected 'small' or 'full'.")

# %% [markdown]
# ## The circuit
#
# Any QNode with an argument `inputs`, as PennyLane's own `TorchLayer` takes it. Put yours here.

# %%
import pennylane as qml

WEIGHTS = {"weights": (2, 2, 3)}


@qml.qnode(qml.device("default.qubit", wires=2))
def circuit(inputs, weights):
    qml.AngleEmbedding(inputs, wires=range(2))
    qml.StronglyEntanglingLayers(weights, wires=range(2))
    return [qml.expval(qml.PauliZ(wire)) for wire in range(2)]


# %% [markdown]
# `QuantumLayer.from_pennylane` takes the arguments of `TorchLayer`. The circuit is read once, and then runs in compiled
# kernels. That it computes the same is checked here, on the same weights.

# %%
import qmoe

layer = qmoe.QuantumLayer.from_pennylane(circuit, WEIGHTS, generator=torch.Generator().manual_seed(0))
theirs = qml.qnn.TorchLayer(circuit, WEIGHTS)
theirs.load_state_dict({name: dict(layer.named_parameters())[name].detach() for name in WEIGHTS})

x = torch.rand(32, 2, generator=torch.Generator().manual_seed(1)) * np.pi
difference = float((layer(x) - theirs(x)).detach().abs().max())
assert difference < 1e-5, difference
print(layer.circuit.draw())
print()
print("PennyLane's layer and this one agree to rounding")

# %% [markdown]
# ## What it can compute
#
# Whatever its weights are, a circuit computes combinations of a fixed list of functions of its inputs: its *span*. Here
# each is a product of sines and cosines. A classical layer on these functions, the *twin*, can do all that the circuit
# can. Both are told of a router, so the circuit becomes one here: the weights of two experts in a mixture.

# %%
router = qmoe.QuantumRouter(2, 2, circuit=layer.circuit, generator=torch.Generator().manual_seed(0))
print(qmoe.span(router))
twin = qmoe.twin(router, generator=torch.Generator().manual_seed(0))
for name, module in (("router", router), ("twin", twin)):
    print(f"parameters of the {name}: {sum(p.numel() for p in module.parameters())}")

# %% [markdown]
# The circuit's two outputs over the square of all inputs, before training:

# %%
grid = torch.linspace(0, 2 * np.pi, 60)
square = torch.cartesian_prod(grid, grid)
with torch.no_grad():
    outputs = layer(square).reshape(60, 60, 2)
figure, both = plt.subplots(1, 2, figsize=(7, 3), layout="constrained", sharey=True)
for wire, axes in enumerate(both):
    image = axes.imshow(
        outputs[..., wire].T, origin="lower", extent=(0, 2 * np.pi, 0, 2 * np.pi), vmin=-1, vmax=1, cmap="RdBu"
    )
    axes.set_title(f"<Z> of qubit {wire}")
    axes.set_xlabel("input 0")
both[0].set_ylabel("input 1")
figure.colorbar(image, ax=both)
plt.show()

# %% [markdown]
# ## Does it do anything?
#
# `qmoe.audit` puts other things in the layer's place (a constant, its output given to another sample, its twin), trains
# everything again on many splits, and compares on held-out rows. The task here: the product of two angles' cosines
# decides the class, which no linear model can tell. Put your own model and rows here.

# %%
n_rows = 200 if SIZE == "full" else 60
rows = torch.rand(n_rows, 2, generator=torch.Generator().manual_seed(2)) * np.pi
labels = (torch.cos(rows).prod(1) > 0).long()


def model():
    return torch.nn.Sequential(qmoe.QuantumLayer.from_pennylane(circuit, WEIGHTS), torch.nn.Linear(2, 2))


seeds, epochs = (10, 40) if SIZE == "full" else (2, 2)
arms = ["mean", "permuted", "twin"]
result = qmoe.audit(model, "0", rows, labels, arms=arms, seeds=seeds, epochs=epochs, lr=0.1, batch_size=32)
show_table(("verdict",), [[result.headline]])
print(result)

# %%
figure, axes = plt.subplots(figsize=(6, 2.4), layout="constrained")
for row, arm in enumerate(result.arms):
    values = result.scores(arm)
    axes.plot(values, np.full(len(values), row), "o", alpha=0.5)
    axes.plot(np.mean(values), row, "k|", markersize=18)
axes.set_yticks(range(len(result.arms)), result.arms)
axes.invert_yaxis()
axes.set_xlabel("accuracy on held-out rows; the bar is the mean")
plt.show()

# %% [markdown]
# If the *twin* does as well as the layer, the layer's functions are useful, but a circuit is not needed to compute
# them.
#
# ## With noise
#
# A trained model meets a device. Here depolarizing noise of strength p acts after the encoding and again after the layers,
# as in the paper, and nothing is trained again. The outputs are exact expectation values first, then estimates from 16
# shots.

# %%
from qmoe.analysis import noisy_copy

trained = model()
optimiser = torch.optim.Adam(trained.parameters(), lr=0.1)
for _ in range(200 if SIZE == "full" else 5):
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(trained(rows), labels).backward()
    optimiser.step()

STRENGTHS = [0.0, 0.05, 0.1, 0.2, 0.3, 0.5]
fresh = torch.rand(400, 2, generator=torch.Generator().manual_seed(3)) * np.pi
truth = (torch.cos(fresh).prod(1) > 0).long()


def accuracy(strength, shots):
    """Accuracy on fresh rows of the trained model with noise; nothing is trained again."""
    noisy = noisy_copy(trained, qmoe.NoiseModel(strength))
    noisy[0].shots = shots
    with torch.no_grad():
        return float((noisy(fresh).argmax(1) == truth).float().mean())


curves = {name: [accuracy(p, shots) for p in STRENGTHS] for name, shots in (("exact", None), ("16 shots", 16))}
table = zip(STRENGTHS, *curves.values(), strict=True)
show_table(("strength p", *curves), [(f"{p:g}", *(f"{value:.3f}" for value in values)) for p, *values in table])

# %%
figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
for name, curve in curves.items():
    axes.plot(STRENGTHS, curve, "o-", label=name)
axes.axhline(
    float(torch.bincount(truth).max()) / len(truth), color="grey", linestyle="--", label="always the larger class"
)
axes.set_xlabel("depolarizing strength p")
axes.set_ylabel("accuracy on fresh rows")
axes.legend()
plt.show()

# %% [markdown]
# This noise shrinks the expectation values. Exact values can be shrunk a good deal before a class changes. Estimates from
# few shots cannot: the signal shrinks, and the scatter stays. So a curve without shots says little about a device.
#
# ## Questions to go on with
#
# * Leave out the entangling gates of the circuit. What does the audit say then?
# * `qmoe.audit` without `arms` tries all stand-ins. Which question does each of them ask?
# * Train with the noise instead: build the layer with a noise model. How much of the loss comes back?
