"""SciPy's L-BFGS-B without the Python around it; the only file that touches private names of SciPy.

`scipy.optimize.minimize` spends some 70 us an evaluation on copies and checks, four times what the loss of a small model
with its gradient takes. Its compiled routine asks for evaluations one after another, so the loop around it is short. Whether
the routine is the one known here is tried once, against `minimize` itself; where it is not, and with releases of SciPy that
were never tried, `minimize` runs, with the same numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy

#: The loss at ``(n,)`` numbers, whose gradient ``(n,)`` is written to the second array.
Evaluate = Callable[[np.ndarray, np.ndarray], float]

# What the routine asks for, in the first number of its task, and what it is told.
_NEW_ITERATION, _EVALUATION, _STOP = 1, 3, 5
_MOST_ITERATIONS, _MOST_EVALUATIONS = 504, 502
_LINE_SEARCH_STEPS = 20
#: Releases of SciPy whose routine was tried.
_TRIED = ("1.15.", "1.16.", "1.17.")


class Limits(NamedTuple):
    """When to stop.

    Attributes:
        iterations: most iterations.
        tolerance: largest component of the gradient at a minimum.
        memory: pairs of steps and gradients that are kept.
    """

    iterations: int
    tolerance: float
    memory: int

    @property
    def evaluations(self) -> int:
        """A line search may take several; what bounds the work is the number of iterations."""
        return 1_000 * self.iterations


def minimum(evaluate: Evaluate, start: np.ndarray, limits: Limits) -> tuple[np.ndarray, int]:
    """Minimises a loss.

    Args:
        evaluate: the loss, which writes its gradient.
        start: ``(n,)`` first numbers, float64.
        limits: when to stop.

    Returns:
        ``(n,)`` the last numbers, and how many iterations led there.
    """
    return (_directly if _is_known() else _publicly)(evaluate, start, limits)


def _publicly(evaluate: Evaluate, start: np.ndarray, limits: Limits) -> tuple[np.ndarray, int]:
    def both(values: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.empty_like(values)
        return evaluate(values, gradient), gradient

    options = {
        "maxiter": limits.iterations, "maxfun": limits.evaluations, "gtol": limits.tolerance, "ftol": 0.0,
        "maxcor": limits.memory, "maxls": _LINE_SEARCH_STEPS,
    }  # fmt: skip
    found = scipy.optimize.minimize(both, start, jac=True, method="L-BFGS-B", options=options)
    return found.x, found.nit


def _directly(evaluate: Evaluate, start: np.ndarray, limits: Limits) -> tuple[np.ndarray, int]:
    from scipy.optimize._lbfgsb import setulb

    n, m = len(start), limits.memory
    x, loss, gradient = np.array(start, dtype=np.float64), np.zeros(()), np.zeros(n)
    no_bound, unbounded = np.zeros(n), np.zeros(n, np.int32)
    work, whole_work = np.zeros(2 * m * n + 5 * n + 11 * m * m + 8 * m), np.zeros(3 * n, np.int32)
    task, search_task = np.zeros(2, np.int32), np.zeros(2, np.int32)
    saved = np.zeros(4, np.int32), np.zeros(44, np.int32), np.zeros(29)
    n_iterations = n_evaluations = 0
    while True:
        setulb(
            m, x, no_bound, no_bound, unbounded, loss, gradient, 0.0, limits.tolerance, work, whole_work, task, *saved,
            _LINE_SEARCH_STEPS, search_task,
        )  # fmt: skip
        asked = task[0]
        if asked == _EVALUATION:
            loss[()] = evaluate(x, gradient)
            n_evaluations += 1
        elif asked == _NEW_ITERATION:
            n_iterations += 1
            if n_iterations >= limits.iterations:
                task[:] = _STOP, _MOST_ITERATIONS
            elif n_evaluations > limits.evaluations:
                task[:] = _STOP, _MOST_EVALUATIONS
        else:
            return x, n_iterations


@functools.cache
def _is_known() -> bool:
    """Whether the routine, called as here, does to the last bit what `minimize` does on a problem with curved valleys.

    Releases that nobody has tried are not: a routine that works in more memory than it is given here would write beyond it.
    """
    if not scipy.__version__.startswith(_TRIED):
        return False

    def rosenbrock(x: np.ndarray, gradient: np.ndarray) -> float:
        away, off = 1 - x[:-1], x[1:] - x[:-1] ** 2
        gradient[:] = 0
        gradient[:-1] = -2 * away - 400 * off * x[:-1]
        gradient[1:] += 200 * off
        return float(np.sum(away**2 + 100 * off**2))

    start, few, many = np.linspace(-1.5, 1.5, 6), Limits(7, 1e-8, 3), Limits(500, 1e-8, 10)
    for limits in (few, many):
        try:
            x, n_iterations = _directly(rosenbrock, start, limits)
        except (ImportError, TypeError, ValueError):  # no such routine, or one with other arguments
            return False
        expected, n_expected = _publicly(rosenbrock, start, limits)
        if n_iterations != n_expected or not np.array_equal(x, expected):
            return False
    return True
