# %% [markdown]
# # Phase 1: a baseline on simple data
#
# To run this on Colab, upload it there together with the wheel of qmoe, which `make dist` builds in a checkout.
#
# A *mixture of experts* has two parts. Several small models, the experts, each give an answer, and a *router* decides for
# every input how much each answer counts. Either part can be a quantum circuit. The paper
# [arXiv 2512.22296](https://arxiv.org/abs/2512.22296) starts with a baseline: on simple data, are models with quantum
# circuits any better than a classical mixture, and what do they cost?
#
# Here the *experts* are quantum. Phases 2 and 3 turn to quantum *routers*.
#
# The paper's numbers come from one run each. This notebook trains every model many times, from different first weights and
# on different draws of the data, and sets each published number beside the distribution that comes out. It takes about
# two minutes on a laptop.

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

import torch

from qmoe.notebook import Progress, difference, mean, scores, show_figures, show_headline, show_table

torch.set_num_threads(1)  # the matrices are small here: more threads would only wait for each other

# %% [markdown]
# ## Size of the run
#
# The environment variable `QMOE_NOTEBOOK_SIZE` decides how much is trained. `full`, the default, is what this notebook was
# written for. `small` trains two seeds for an epoch or two: it only shows that everything runs, and its numbers mean
# nothing. Results go to a folder `results` beside the notebook, and what is already there is not trained again.

# %%
from qmoe.report import build_report, headline
from qmoe.studies import Store, load_preset, run_studies

SIZE = os.environ.get("QMOE_NOTEBOOK_SIZE", "full")
if SIZE not in ("small", "full"):
    raise ValueError(f"QMOE_NOTEBOOK_SIZE is {SIZE!r}, expected 'small' or 'full'.")
FOLDER = Path("results", f"phase1-{SIZE}")


def sized(name, seeds):
    """A preset with so many seeds; in the small size, one or two epochs of two seeds."""
    study = load_preset(name)
    if SIZE == "full":
        return study.resized(seeds=seeds)
    training = study.training.model_copy(update={"epochs": 1})
    return study.resized(seeds=2).model_copy(update={"training": training})


# %% [markdown]
# ## The three models
#
# | model | router | experts | head |
# |---|---|---|---|
# | classical MoE | linear + softmax, 3 weights | 3 networks 16 → 8 → 4 with ReLU | linear 4 → 2 |
# | QNN | none | 1 quantum circuit | linear 4 → 2 |
# | QMoE | linear + softmax, 3 weights | 3 quantum circuits | linear 4 → 2 |
#
# Every quantum expert is the circuit below, with weights of its own. Each row is a qubit, read from left to right. The 16
# features become the 16 amplitudes of the state of 4 qubits (`|x>`, *amplitude encoding*). Then come two layers. In each,
# `Rot` rotates every qubit by three trainable angles `w`, and CNOT gates (`●` is the control, `X` the target) entangle the
# qubits in a ring. At the end the expectation value ⟨Z⟩ of each qubit is measured: four numbers from -1 to 1.

# %%
import qmoe

experts = qmoe.QuantumExperts(in_features=16, n_experts=3, generator=torch.Generator().manual_seed(0))
print(experts.circuit.draw())
print()
print("trainable angles of one expert:", experts.quantum.weights[0].numel())

# %% [markdown]
# Amplitudes have to have a squared sum of 1, so the features are divided by their norm. The expectation values are then
# xᵀAx / |x|² with a symmetric matrix A that the angles decide. Such a function does not change when x becomes -x, or when x
# becomes longer. A classical network has no such limit: this is one reason why the two can differ.

# %%
x = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
with torch.no_grad():
    print("largest change when x becomes -x:", f"{(experts(-x) - experts(x)).abs().max():.1e}")
    print("largest change when x becomes 5x:", f"{(experts(5 * x) - experts(x)).abs().max():.1e}")

# %% [markdown]
# ## Training
#
# A *study* says what is compared, on which data and how often. Those of the paper come with the package as presets. Two
# data sets are used: a synthetic one with 16 features, and the digits 0 and 1 of MNIST shrunk to 4×4 pixels.
#
# * `published` follows the authors' protocol: one data set (seed 42), many initialisations.
# * `heldout` draws the data anew as well. What it says holds for data *of this kind*, not for one draw of it.
#
# For MNIST there is one official test set, so the two protocols are the same there. Models of one shape are trained side by
# side, many at once, in this process.

# %%
studies = [
    sized("phase1-synthetic-published", seeds=30),
    sized("phase1-synthetic-heldout", seeds=20),
    sized("phase1-mnist-published", seeds=6),
]
progress = Progress()
with Store(FOLDER / "store.sqlite") as store:
    run_studies(studies, store, on_plan=progress.plan, on_progress=progress.step)
    results = {study.name: store.load(study.name) for study in studies}

# %% [markdown]
# `build_report` writes a page `report.html` with all pictures and tables; the rest of this notebook shows parts of it.

# %%
build_report(FOLDER / "store.sqlite", FOLDER)
show_headline(headline(list(results.values())))

# %% [markdown]
# How to read the table: *ours* is the mean over our runs. The brackets hold a 95% confidence interval: it contains the true
# mean in about 95 of 100 repetitions of the whole experiment. *Percentile* is the share of our runs that lie below the
# paper's number: near 50 the published number is a typical run, below 1 or above 99 it is not. The first epoch is epoch 0,
# so epoch 7 is the last.
#
# ## The synthetic data
#
# First the test accuracy against the epoch, then the training loss (summed over the batches of an epoch), then the final
# accuracy of every run. A line is the median over the runs and the band holds the middle 80% of them. In the last figure
# each dot is a run, the bar is the mean with its 95% interval, and the diamond is the paper's number.

# %%
show_figures(FOLDER, "phase1-synthetic")

# %% [markdown]
# Two means can differ by chance. So the models are compared in pairs: on the same data with the same seed, how much better
# is one than the other? If the interval of the mean difference leaves out 0, one is clearly ahead.

# %%
RIVALS = {"qnn": "QNN", "qmoe": "QMoE"}


def compare(name):
    """The classical mixture minus each quantum model, on the test part."""
    classical = scores(results[name], "classical")
    rows = []
    for arm, label in RIVALS.items():
        rival = scores(results[name], arm)
        gap, verdict = difference(classical, rival)
        rows.append((f"{mean(classical):.4f}", label, f"{mean(rival):.4f}", gap, verdict))
    header = ("classical MoE", "rival", "its accuracy", "difference [95% interval]", "the classical MoE is")
    show_table(header, rows)


compare("phase1-synthetic-heldout")

# %% [markdown]
# ## MNIST, 0 against 1
#
# The same three figures. Mind the scale of the accuracy: it spans a few tenths of a percent.

# %%
show_figures(FOLDER, "phase1-mnist")

# %%
compare("phase1-mnist-published")

# %% [markdown]
# ## What it costs
#
# The first run of every model is trained alone, so that its wall time can be compared. The paper reports 0.58 s, 61.4 s and
# 171.7 s on the synthetic data and 23.3 s, 1,709 s and 5,258 s on MNIST (classical MoE, QNN, QMoE; on Colab). So its
# quantum models take 73 to 296 times as long as the classical one. Part of that is the program and not the
# model: the circuits ran sample by sample. Here a whole batch goes through a circuit at once.

# %%
rows = []
for name in ("phase1-synthetic-published", "phase1-mnist-published"):
    alone = {
        arm: min(r.execution.seconds for r in results[name].of(arm) if r.execution.stack_size == 1)
        for arm in ("classical", *RIVALS)
    }
    rows += [(name, arm, f"{seconds:.2f}", f"{seconds / alone['classical']:.1f}") for arm, seconds in alone.items()]
show_table(("study", "model", "seconds on this machine", "times the classical MoE"), rows)

# %% [markdown]
# A simulated 4-qubit circuit is cheap, and that says nothing about larger ones: the memory and time of an exact simulation
# double with every qubit.
#
# ## The paper's own path: lightning.qubit with adjoint differentiation
#
# The authors run their circuits in PennyLane on `lightning.qubit`, with adjoint differentiation. The default engine of this
# package is another program. To see that both compute the same thing, here are the three quantum experts in both: the same
# weights (one generator seed), the same rows of the synthetic data, double precision. Compared are the outputs of the
# experts and the gradients with respect to the angles.

# %%
import statistics
import time

from qmoe.data import UnitNorm, make_dataset

split = make_dataset("synthetic", n_samples=500).split(42)
batch = torch.from_numpy(UnitNorm.fit(split.x_train)(split.x_train))[:32]


def run_experts(engine, repeats):
    """Outputs, gradients and the median of milliseconds of a forward and backward pass."""
    generator = torch.Generator().manual_seed(0)
    experts = qmoe.QuantumExperts(16, 3, engine=engine, generator=generator, dtype=torch.float64)
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        output = experts(batch)
        (gradient,) = torch.autograd.grad(output.square().mean(), experts.quantum.weights)
        times.append(1000 * (time.perf_counter() - begin))
    return output.detach(), gradient, statistics.median(times[1:])  # the first pass warms up


ours = run_experts("torch", repeats=20)
theirs = run_experts("pennylane:lightning.qubit", repeats=5 if SIZE == "full" else 1)

print("first row, first expert, default engine:", [f"{v:+.6f}" for v in ours[0][0, 0].tolist()])
print("first row, first expert, lightning:     ", [f"{v:+.6f}" for v in theirs[0][0, 0].tolist()])
print("largest difference of an output:  ", f"{(ours[0] - theirs[0]).abs().max():.1e}")
print("largest difference of a gradient: ", f"{(ours[1] - theirs[1]).abs().max():.1e}")
print(f"forward and backward pass of a batch of {len(batch)} on this machine:")
print(f"  default engine {ours[2]:.1f} ms, lightning.qubit {theirs[2]:.1f} ms, ratio {theirs[2] / ours[2]:.0f}")

# %% [markdown]
# Differences of about 1e-15 are rounding: a number in double precision has about 16 digits. Nothing in the results above
# depends on which engine ran the circuits; only the waiting time does. `lightning.qubit` takes one sample after another, and
# is written for circuits with many more qubits than these.
#
# ## Questions to go on with
#
# * Give the QNN more layers (`n_layers`). Does it catch up with the classical mixture on the synthetic data?
# * A symmetry limits amplitude encoding (see above). What happens if the data are shifted, so that x and -x are not both
#   likely?
# * Phase 2 leaves the experts linear and asks what a quantum *router* adds.
