"""The shape of decision boundaries on a grid: regions, length, curvature, and agreement with the best possible one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy

from qmoe.analysis.boundaries import Grid
from qmoe.data import Dataset
from qmoe.errors import ConfigError, ShapeError

#: Probabilities closer to 0 or 1 than this are taken as this, so that their logit is finite.
_CLIP = 1e-15


@dataclass(frozen=True, eq=False)
class BoundaryShape:
    """The boundaries of M models, where the probability of class 1 is 1/2.

    Attributes:
        length: ``(M,)`` length within the grid, in the units of the features; 0 for a model that predicts one class.
        total_curvature: ``(M,)`` integral of the absolute curvature along the boundary, in radians: 0 for straight lines,
            2 pi for a closed convex curve, more the more it winds.
        mean_curvature: ``(M,)`` the same per length, in 1 / units of the features: 1 / r for a circle; 0 without a boundary.
    """

    length: np.ndarray
    total_curvature: np.ndarray
    mean_curvature: np.ndarray


@dataclass(frozen=True, eq=False)
class BayesAgreement:
    """M models beside the best possible classifier.

    Attributes:
        agreement: ``(M,)`` share of the points at which the model predicts a most probable class (any of those that tie).
        excess_error: ``(M,)`` mean probability that is lost by it: the error rate above ``bayes_error``.
        bayes_error: error rate of the best classifier on points spread like these.
    """

    agreement: np.ndarray
    excess_error: np.ndarray
    bayes_error: float


def connected_regions(labels: np.ndarray, min_nodes: int = 1) -> np.ndarray:
    """Counts the connected regions that predictions cut a grid into.

    Neighbours are left, right, above and below, so regions that touch at a corner are two.

    Args:
        labels: ``(M, n, n)`` class at each node, as from ``grid.image(probability > 0.5)``.
        min_nodes: regions of fewer nodes are not counted; a few drop the specks of a boundary that grazes the grid.

    Returns:
        ``(M,)`` counts over all classes: 1 for a model that predicts one class everywhere.

    Raises:
        ShapeError: for other shapes.
        ConfigError: for ``min_nodes`` below 1.
    """
    maps = np.asarray(labels)
    if maps.ndim != 3 or 0 in maps.shape:
        raise ShapeError(f"labels has shape {maps.shape}, expected (M, n, n); use Grid.image.")
    if min_nodes < 1:
        raise ConfigError(f"min_nodes is {min_nodes!r}, expected an integer of at least 1.")
    counts = np.zeros(len(maps), dtype=np.int64)
    for index, one in enumerate(maps):
        for label in np.unique(one):
            regions, _ = scipy.ndimage.label(one == label)
            counts[index] += np.count_nonzero(np.bincount(regions.ravel())[1:] >= min_nodes)
    return counts


def boundary_shape(probability: np.ndarray, grid: Grid) -> BoundaryShape:
    """Length and curvature of the boundaries, from the level set of the logit.

    The boundary is drawn by marching squares; the curvature ``|f_xx f_y^2 - 2 f_xy f_x f_y + f_yy f_x^2| / |grad f|^3``
    comes from central differences, at the middle of each piece. Errors fall with the square of the spacing; bends tighter
    than a few spacings are not resolved, and a corner counts as far as the grid resolves it.

    Args:
        probability: ``(M, n * n)`` probability of class 1 at the nodes.
        grid: the nodes, evenly spaced in each direction.

    Raises:
        ShapeError: when the two do not fit, or the grid has fewer than 3 nodes a side.
    """
    values = np.asarray(probability, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(grid.points):
        raise ShapeError(f"probability has shape {values.shape}, expected (M, {len(grid.points)}) for this grid.")
    if min(len(grid.x), len(grid.y)) < 3:
        raise ShapeError(f"The grid has {len(grid.x)} by {len(grid.y)} nodes; curvature takes at least 3 by 3.")
    field = grid.image(scipy.special.logit(np.clip(values, _CLIP, 1 - _CLIP)))
    dx, dy = (float(line[1] - line[0]) for line in (grid.x, grid.y))
    fy, fx = np.gradient(field, dy, dx, axis=(1, 2), edge_order=2)
    fyy, fxy = np.gradient(fy, dy, dx, axis=(1, 2), edge_order=2)
    fxx = np.gradient(fx, dx, axis=2, edge_order=2)
    derivatives = np.stack([fx, fy, fxx, fxy, fyy])
    length, total = np.zeros(len(values)), np.zeros(len(values))
    for model, row, column, ends in _pieces(field):
        (u0, v0), (u1, v1) = ends
        piece = np.hypot((u1 - u0) * dx, (v1 - v0) * dy)
        u, v = (u0 + u1) / 2, (v0 + v1) / 2
        gx, gy, gxx, gxy, gyy = (
            (1 - u) * (1 - v) * derivatives[:, model, row, column]
            + u * (1 - v) * derivatives[:, model, row, column + 1]
            + (1 - u) * v * derivatives[:, model, row + 1, column]
            + u * v * derivatives[:, model, row + 1, column + 1]
        )
        # Where the gradient vanishes, as at a saddle, there is no normal, and the piece counts as straight.
        slope = np.maximum(np.hypot(gx, gy), 1e-150)
        nx, ny = gx / slope, gy / slope
        bend = np.abs(gxx * ny**2 - 2 * gxy * nx * ny + gyy * nx**2) / slope
        length += np.bincount(model, piece, len(values))
        total += np.bincount(model, piece * np.where(slope > 1e-150, bend, 0.0), len(values))
    mean = np.divide(total, length, out=np.zeros_like(total), where=length > 0)
    return BoundaryShape(length, total, mean)


def bayes_agreement(dataset: Dataset, points: np.ndarray, predicted: np.ndarray) -> BayesAgreement | None:
    """Compares predictions with those of the best possible classifier, where the data set knows it.

    Args:
        dataset: whose ``posterior`` is the truth.
        points: ``(N, F)`` features in the data set's own units, before any scaling. Points of a grid weigh the plane evenly,
            rows of ``dataset.sample`` by how often they occur.
        predicted: ``(M, N)`` classes that the models predict there, as integers from 0.

    Returns:
        The comparison; None where the data set does not know its posterior.

    Raises:
        ShapeError: for predictions that do not fit the points or the classes.
    """
    posterior = dataset.posterior(points)
    if posterior is None:
        return None
    labels = np.asarray(predicted)
    n, n_classes = posterior.shape
    if labels.ndim != 2 or labels.shape[1] != n or labels.dtype.kind not in "iub":
        raise ShapeError(f"predicted is {labels.dtype} of shape {labels.shape}, expected integers of shape (M, {n}).")
    labels = labels.astype(np.int64)
    if labels.size == 0 or labels.min() < 0 or labels.max() >= n_classes:
        raise ShapeError(f"predicted holds other classes than 0 to {n_classes - 1}, which {dataset.name} has, or none.")
    best = posterior.max(axis=1)
    lost = best - posterior[np.arange(n), labels]
    return BayesAgreement((lost <= 1e-9).mean(axis=1), lost.mean(axis=1), float(1 - best.mean()))


def _pieces(
    field: np.ndarray,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]]:
    """Marching squares: the straight pieces of ``field = 0`` in the cells of a grid ``(M, n, n)``.

    Yields models, rows and columns of cells, and the two ends of a piece in each as (along x, along y), from 0 to 1.
    """
    corners = [field[:, :-1, :-1], field[:, :-1, 1:], field[:, 1:, :-1], field[:, 1:, 1:]]
    low_left, low_right, top_left, top_right = corners
    edges = {"bottom": (low_left, low_right), "top": (top_left, top_right), "left": (low_left, top_left),
             "right": (low_right, top_right)}  # fmt: skip
    crossed = {name: (a > 0) != (b > 0) for name, (a, b) in edges.items()}
    saddle = crossed["bottom"] & crossed["top"] & crossed["left"] & crossed["right"]
    # In a saddle, the corners of the sign of the middle are connected.
    cut_off_low_left = (low_left > 0) != (sum(corners) > 0)
    for one, other in itertools.combinations(edges, 2):
        here = crossed[one] & crossed[other] & ~saddle
        if {one, other} in ({"bottom", "left"}, {"top", "right"}):
            here |= saddle & cut_off_low_left
        elif {one, other} in ({"bottom", "right"}, {"left", "top"}):
            here |= saddle & ~cut_off_low_left
        model, row, column = where = np.nonzero(here)
        ends = []
        for name in (one, other):
            before, after = (corner[where] for corner in edges[name])
            share = before / (before - after)
            side = np.full_like(share, name in ("top", "right"))
            ends.append((share, side) if name in ("bottom", "top") else (side, share))
        yield model, row, column, ends
