"""QNodes run with symbols, or with tensors where symbols do not pass."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import AngleFunction, Computed, Readout
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop.optional import NOT_POLYNOMIAL, Trouble, refuse
from qmoe.interop.pennylane.pennylane_gates import Raw, expand, place_of
from qmoe.interop.pennylane.pennylane_program import QNodeProgram
from qmoe.interop.pennylane.pennylane_readouts import as_readout_of
from qmoe.interop.pennylane.probing import ProbePoint, at, points, polynomials
from qmoe.interop.pennylane.symbols import DependsOnValuesError, NotPolynomialError, angle_of

SOURCE = "The QNode"
_AMPLITUDES = ("AmplitudeEmbedding", "StatePrep")


class Traced(NamedTuple):
    """The tape, and its operations; wires have the labels of PennyLane."""

    tape: Any
    gates: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]]
    prepared: tuple[Any, ...] | None
    n_features: int
    function: AngleFunction | None = None


def traced_of(program: QNodeProgram, in_features: int | None) -> Traced:
    """The operations of a program, with angles that are symbols.

    Args:
        program: what to run.
        in_features: number of features; None to try until it runs.

    Raises:
        UnsupportedError: for what a circuit cannot hold, or a program that does not run.
    """
    errors: dict[bool, list[Exception]] = {False: [], True: []}
    refused: UnsupportedError | None = None
    for numeric in (False, True):
        for batched in (False, True):
            for n_features in [in_features] if in_features is not None else _sizes(program):
                try:
                    if numeric:
                        return _numeric(program, n_features, batched, in_features is not None)
                    return _symbolic(program, n_features, batched)
                except UnsupportedError:
                    raise
                except _TryNumbersError as error:
                    refused = refused or error.refusal
                    errors[numeric].append(error)
                except Exception as error:  # the user's code may raise anything
                    refused = refused or _refuse_values(error, program)
                    errors[numeric].append(error)
    if refused is not None:
        raise refused
    first = errors[True][0]
    asked = "" if in_features is not None else "; in_features says how many inputs it takes, if it is that"
    single = ", ".join(repr(name) for name, shape in program.shapes.items() if shape == ())
    if single and "0-dim" in str(first):
        asked += f"; {single} is a single number, as PennyLane takes a shape of 1: a vector of one has the shape (1,)"
    raise UnsupportedError(
        f"{SOURCE} {_name(program)} cannot be run with tensors for its arguments: {type(first).__name__}: "
        f"{first}{asked}."
    ) from first


class _TryNumbersError(Exception):
    """Symbols do not pass a decomposition; numbers may."""

    def __init__(self, refusal: UnsupportedError | None) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def _sizes(program: QNodeProgram) -> Iterator[int]:
    """Numbers of features to try: as many as wires, multiples of it, amplitudes, and smaller ones."""
    wires = program.device_wires()
    n = len(wires) if wires is not None else 1
    listed = [n, *(n * k for k in range(2, 9))]
    listed += [2**n] if n <= 12 else []
    listed += [16 * n, 64 * n, *range(n - 1, 0, -1)]
    listed += range(n, 33) if wires is None else []
    return iter(dict.fromkeys(listed))


def _name(program: QNodeProgram) -> str:
    return str(getattr(program.qnode.func, "__name__", program.qnode.func))


def _refuse_values(error: Exception, program: QNodeProgram) -> UnsupportedError | None:
    """Refuses a program that itself asks for values; PennyLane's own code may do so, and numbers will do there.

    Returns:
        What to say of a program that itself computes other functions than polynomials, unless numbers pass it.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DependsOnValuesError | NotPolynomialError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != inspect.getsourcefile(DependsOnValuesError)
    ]
    own = program.qnode.func.__code__.co_filename if hasattr(program.qnode.func, "__code__") else ""
    if not frames or frames[-1].filename != own:
        return None
    line = frames[-1].lineno
    if isinstance(cause, NotPolynomialError):
        reason = f"it {cause}, which is no polynomial"
        return refuse(SOURCE, [Trouble(f"line {line} of {own}", reason, NOT_POLYNOMIAL)])
    reason = f"it {cause} (if, comparisons, float, int), and a circuit is the same for all values"
    trouble = Trouble(f"line {line} of {own}", reason, "Write out each case as a circuit.")
    raise refuse(SOURCE, [trouble]) from error


def _symbolic(program: QNodeProgram, n_features: int, batched: bool) -> Traced:
    tape = program.symbolic(n_features, batched)
    expanded = expand(tape.operations)
    readout, unreadable = readout_of(program, tape)
    if expanded.impossible or unreadable:
        raise refuse(SOURCE, [*expanded.impossible, *unreadable])
    if expanded.failed:
        raise _TryNumbersError(refuse(SOURCE, expanded.failed))
    try:
        gates = [(raw.name, raw.wires, tuple(map(angle_of, raw.angles))) for raw in expanded.gates]
    except NotPolynomialError as error:
        raise _TryNumbersError(None) from error
    for point in points(n_features, program.n_weights, 8):
        truth = program.numeric(point.x, point.w, batched)
        _compare(tape, truth, point)
        _check_readout(readout, program, truth)
    return Traced(tape, gates, None, n_features)


def _compare(tape: Any, truth: Any, point: ProbePoint) -> None:
    """Refuses a tape of symbols that is another one than that of numbers."""
    same = len(tape.operations) == len(truth.operations)
    for number, (op, true) in enumerate(zip(tape.operations, truth.operations, strict=False)):
        same = same and op.name == true.name and op.wires == true.wires and len(op.data) == len(true.data)
        for value, number_value in zip(op.data, true.data, strict=False):
            mine = np.array([at(angle_of(v), point) for v in np.asarray(value, dtype=object).reshape(-1)])
            theirs = np.asarray(_plain(number_value), dtype=complex).reshape(-1)
            same = same and mine.shape == theirs.shape and bool(np.allclose(mine, theirs, atol=1e-9))
        if not same:
            raise refuse(SOURCE, [_differs(number, op)])
    if not same:
        raise refuse(
            SOURCE, [Trouble("the end", "the number of operations depends on the values of inputs or weights")]
        )


def readout_of(program: QNodeProgram, tape: Any) -> tuple[Readout, list[Trouble]]:
    """What a tape measures, wires numbered in the order of the device or of the tape."""
    labels = program.device_wires() or list(tape.wires)
    return as_readout_of(tape.measurements, {label: number for number, label in enumerate(labels)})


def _check_readout(readout: Readout, program: QNodeProgram, tape: Any) -> None:
    if readout_of(program, tape)[0] != readout:
        reason = "what is measured depends on the values of inputs or weights"
        raise refuse(SOURCE, [Trouble("the end", reason, "Multiply the outputs after the layer.")])


def _differs(number: int, op: Any) -> Trouble:
    return Trouble(place_of(number, op), "what it is depends on the values of inputs or weights")


def _plain(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _numeric(program: QNodeProgram, n_features: int, batched: bool, fixed: bool) -> Traced:
    first = points(n_features, program.n_weights, 1)[0]
    tape = program.numeric(*first, batched)
    prepared = _prepared(program, tape, n_features, batched)
    full = 2 ** len(prepared) if prepared is not None else n_features
    if full > n_features and full <= 2**12 and not fixed:
        # Padded amplitudes: the QNode takes fewer features as well, and what it takes at most is what it is for.
        try:
            return _numeric(program, full, batched, fixed)
        except Exception:  # it takes fewer alone
            full = n_features
    skipped = 0 if prepared is None else 1
    expected = expand(tape.operations[skipped:], skipped)
    readout, unreadable = readout_of(program, tape)
    if expected.impossible or expected.failed or unreadable:
        raise refuse(SOURCE, [*expected.impossible, *expected.failed, *unreadable])
    shapes = [(raw.name, raw.wires, len(raw.angles)) for raw in expected.gates]

    def angles_at(point: ProbePoint) -> list[Any]:
        there = program.numeric(*point, batched)
        found = expand(there.operations[skipped:], skipped).gates
        for number, raw in enumerate(found):
            if number >= len(shapes) or (raw.name, raw.wires, len(raw.angles)) != shapes[number]:
                raise refuse(SOURCE, [_differs(raw.place, there.operations[raw.place])])
        if len(found) != len(shapes):
            raise refuse(SOURCE, [_differs(found[-1].place if found else 0, there.operations[-1])])
        _check_readout(readout, program, there)
        return [value for raw in found for value in raw.angles]

    angles, used = polynomials(angles_at, n_features, program.n_weights)
    function = None
    if None in angles:
        chosen = [number for number, angle in enumerate(angles) if angle is None]
        n_used = n_features if fixed else max([index for index in used if index < n_features], default=0) + 1
        function = _function(program, (n_features, n_used), batched, chosen, expected.gates, tape)
        n_features = n_used
        found = iter(map(Computed, range(len(chosen))))
        angles = [next(found) if angle is None else angle for angle in angles]
    left = iter(angles)
    gates = [(raw.name, raw.wires, tuple(next(left) for _ in raw.angles)) for raw in expected.gates]
    return Traced(tape, gates, prepared, n_features, function)


def _function(
    program: QNodeProgram, n_features: tuple[int, int], batched: bool, chosen: list[int], gates: list[Raw], tape: Any
) -> AngleFunction:
    """The chosen angles as a function of inputs and weights that torch traces.

    ``n_features`` are those that the program takes, and those of them, from the first on, that it uses.
    """
    taken, used = n_features

    def angles(x: Tensor, weights: Tensor) -> Tensor:
        def of_sample(row: Tensor) -> Tensor:
            whole = torch.nn.functional.pad(row, (0, taken - used))
            values = [
                v for raw in expand(program.numeric(whole, weights, batched).operations).gates for v in raw.angles
            ]
            return torch.stack([torch.as_tensor(values[index], dtype=x.dtype).reshape(()) for index in chosen])

        return torch.func.vmap(of_sample)(x)

    try:
        return AngleFunction(angles, used, program.n_weights)
    except ConfigError as error:
        owners = [raw for raw in gates for _ in raw.angles]
        places = dict.fromkeys(owners[index].place for index in chosen)
        reason = "an angle is no polynomial, nor a function that torch can trace"
        troubles = [Trouble(place_of(place, tape.operations[place]), reason, NOT_POLYNOMIAL) for place in places]
        raise refuse(SOURCE, troubles) from error


def _prepared(program: QNodeProgram, tape: Any, n_features: int, batched: bool) -> tuple[Any, ...] | None:
    """The wires of an embedding of the features as amplitudes, which comes first; None where there is none."""
    if not tape.operations or tape.operations[0].name not in _AMPLITUDES:
        return None
    wires = tuple(tape.operations[0].wires)
    for point in points(n_features, program.n_weights, 6):
        op = program.numeric(*point, batched).operations[0]
        state = np.asarray(_plain(op.data[0])).reshape(-1)
        expected = np.zeros(2 ** len(wires))
        if n_features > len(expected) or len(state) != len(expected):
            return None
        expected[:n_features] = point.x
        if not np.allclose(state, expected / np.linalg.norm(expected), atol=1e-10):
            return None
    return wires
