"""Tables of a user's own, and studies on them, small enough for tests."""

from pathlib import Path

import numpy as np

from tiny_study import tiny_values


def write_table(path: Path, seed: int = 0, rows: int = 40, labels=None) -> Path:
    """Two features that decide the class; or ``labels``, which they know nothing of."""
    x = np.random.default_rng(seed).uniform(size=(rows, 2))
    labels = ["ab"[int(a > b)] for a, b in x] if labels is None else labels
    lines = [f"{a:.6f},{b:.6f},{label}" for (a, b), label in zip(x, labels, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["left,right,side", *lines]), encoding="utf-8")
    return path


def table_values(path, **changes):
    """Tables of a study on a table: one linear arm, two draws."""
    options = {"path": str(path), "target": "side"} | changes.pop("options", {})
    values = tiny_values(
        data={"name": "table", "options": options, "scaling": "minmax_pi"}, seeds={"data": 2, "per_data": 1}
    )
    return values | {"arms": values["arms"][:1]} | changes
