# %% [markdown]
# # Tutorial: your own data
#
# To run this on Colab, upload it there together with the wheel of qmoe, which `make dist` builds in a checkout.
#
# You have a table and a question: does a quantum router help here, and if so, why? This notebook goes from a CSV file
# to an answer in three steps: a scikit-learn estimator, the ladder of ablations (`qmoe ablate`), and the verdict. It
# takes about two minutes on a laptop.

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
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from qmoe.notebook import show_figures, show_table

# %config InlineBackend.figure_formats = ["svg"]

SIZE = os.environ.get("QMOE_NOTEBOOK_SIZE", "full")  # "small" only shows that everything runs
if SIZE not in ("small", "full"):
    raise ValueError(f"QMOE_NOTEBOOK_SIZE is {SIZE!r}, expected 'small' or 'full'.")

# %% [markdown]
# ## The table
#
# A CSV file with a header, numeric features, and one column with the labels. Here it is the wine table that comes with
# scikit-learn: 178 wines, 13 measurements of each, and three growers. Put the path of your own file into `TABLE` and
# the name of its label column into `TARGET`; the rest of the notebook stays.

# %%
from sklearn.datasets import load_wine

TABLE, TARGET = "wine.csv", "class"

wine = load_wine(as_frame=True)
wine.data.assign(**{TARGET: wine.target_names[wine.target]}).to_csv(TABLE, index=False)

table = pd.read_csv(TABLE)
X, y = table.drop(columns=TARGET).to_numpy(), table[TARGET].to_numpy()
print(f"{len(table)} rows, {X.shape[1]} features, classes: {', '.join(map(str, np.unique(y)))}")

# %% [markdown]
# ## A first answer: the estimator
#
# `QMoEClassifier` is a scikit-learn estimator like any other, so `cross_val_score` takes it. It scales the features
# itself, on the training rows only. A quantum router has at most 4 qubits by default; more features go through a
# trainable linear map. Beside it stand a router without a circuit and scikit-learn's logistic regression.

# %%
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import qmoe

epochs = 30 if SIZE == "full" else 2
models = {
    f"{router} router": qmoe.QMoEClassifier(router=router, n_experts=2, epochs=epochs, random_state=0)
    for router in ("quantum", "linear")
}
models["logistic regression"] = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))

folds = StratifiedKFold(5 if SIZE == "full" else 2, shuffle=True, random_state=0)
accuracy = {name: cross_val_score(model, X, y, cv=folds) for name, model in models.items()}
for name, values in accuracy.items():
    print(f"{name:<20} {values.mean():.3f} +- {values.std():.3f}")

# %%
figure, axes = plt.subplots(figsize=(6, 2.4), layout="constrained")
for row, values in enumerate(accuracy.values()):
    axes.plot(values, np.full(len(values), row), "o", alpha=0.6)
    axes.plot(values.mean(), row, "k|", markersize=18)
axes.set_yticks(range(len(accuracy)), accuracy)
axes.invert_yaxis()
axes.set_xlabel("accuracy on the held-out fold; the bar is the mean")
plt.show()

# %% [markdown]
# Such a table looks like an answer and is none yet. A few folds of one table vary by about as much as the models
# differ, and a better score of the quantum router would not say *why* it is better.
#
# ## Where each input goes
#
# The mixture is inspected like any PyTorch module: `module_` is the trained mixture and `scaler_` the scaling that was
# fitted.

# %%
import torch

classifier = models["quantum router"].fit(X, y)
dtype = next(classifier.module_.parameters()).dtype  # a module takes its own precision only
scaled = torch.as_tensor(classifier.scaler_(X), dtype=dtype)
with torch.no_grad():
    weights = classifier.module_.router(scaled).numpy()
rows = [(name, *(f"{w:.2f}" for w in weights[y == name].mean(0))) for name in classifier.classes_]
show_table(("class", "mean weight of expert 0", "of expert 1"), rows)

# %% [markdown]
# ## The ladder: what is the router's part?
#
# `qmoe ablate` trains the quantum router and models that each differ from it by one thing, on many splits of the table,
# all of them paired: the same rows, the same seeds. Here three rungs are asked for: the classical *twin* (a linear
# router on exactly the functions that the circuit can represent), the circuit without entangling gates, and a linear
# router. Without `--rung` it trains the whole ladder. By default each qubit takes one principal component of the
# features, four at most. They are those of the features in their own units, so the features with the largest numbers decide
# them. That is why the accuracies are lower here than above.

# %%
seeds, passes = (10, 50) if SIZE == "full" else (2, 1)
command = f"qmoe ablate --data {TABLE} --target {TARGET} --seeds {seeds} --epochs {passes} --out ablation"
command += " --rung twin --rung no-entangler --rung linear --workers 0"
print(command)  # as you would type it in a terminal
done = subprocess.run([sys.executable, "-m", *command.split()], capture_output=True, text=True)
if done.returncode:
    raise RuntimeError(done.stderr)

# %% [markdown]
# It writes a page, `ablation/report.html`, with everything; some of it follows. The picture shows the held-out accuracy
# of each arm: the dot is the mean, and the line its 95% confidence interval.

# %%
show_figures("ablation", "ablate-")

# %%
ladder = pd.read_csv(next(Path("ablation", "tables").glob("ablate-*-ladder.csv")))
lines = []
for arm in ladder.itertuples():
    gap = (
        ""
        if pd.isna(arm.difference)
        else f"{arm.difference:+.3f} [{arm.difference_low:+.3f}, {arm.difference_high:+.3f}]"
    )
    lines.append((arm.label, f"{arm.mean:.3f}", gap, arm.n))
show_table(("arm", "accuracy", "minus the quantum router [95% interval]", "runs"), lines)

# %% [markdown]
# ## Reading the verdict
#
# Each question is a claim, and each claim has a verdict:
#
# * **supported** or **refuted**: the data decide, after correction for multiple comparisons. A difference of less than
#   0.02 in accuracy counts as none.
# * **inconclusive**: the data cannot tell. That is no evidence of equality; the report says how many draws would be
#   needed.

# %%
verdicts = pd.read_csv("ablation/tables/verdicts.csv")
verdicts = verdicts.drop_duplicates("claim")
show_table(("claim", "statement", "verdict"), verdicts[["claim", "statement", "verdict"]].itertuples(index=False))

# %% [markdown]
# A checklist for the conclusion:
#
# 1. Does the quantum router *beat the linear router*? If not, there is nothing to explain.
# 2. If it does, does its *twin* do as well? Then the functions help, and not the circuit: `qmoe.twin` is that router,
#    and needs no quantum device.
# 3. Do the *entangling gates* matter? If not, the circuit is a product of single qubits, and cheap to compute
#    classically.
#
# ## Questions to go on with
#
# * Run the whole ladder: leave out `--rung`, and take `--seeds 30`. Which rungs change the verdict?
# * Each run of `qmoe ablate` goes on where it stopped. What do ten more seeds change?
# * Read `ablation/report.html`: which caveats does it state?
