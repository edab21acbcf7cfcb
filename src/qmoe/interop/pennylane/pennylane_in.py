"""Circuits from PennyLane's QNodes."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Born, Circuit, Gate, Operation, Prepare, Probs, Readout
from qmoe.errors import ConfigError, UnsupportedError, check_sizes
from qmoe.interop.imported import Imported
from qmoe.interop.optional import NOT_POLYNOMIAL, Trouble, refuse
from qmoe.interop.pennylane.pennylane_program import Program, as_program
from qmoe.interop.pennylane.probing import DEGREE, Point, at, points, polynomials
from qmoe.interop.pennylane.symbols import DependsOnValuesError, NotPolynomialError, angle_of

Init = Callable[[Tensor], Tensor] | Mapping[str, Any] | None

_SOURCE = "The QNode"
_AMPLITUDES = ("AmplitudeEmbedding", "StatePrep")


def from_pennylane(
    qnode: Any, weight_shapes: Mapping[str, Any], init_method: Init = None, *, in_features: int | None = None
) -> Imported:
    """The circuit of a PennyLane QNode, with the arguments of ``qml.qnn.TorchLayer``.

    The QNode is run with symbols for inputs and weights, its operations are brought to qmoe's gates by PennyLane's own
    decompositions, and the result is compared with runs on numbers. Where its code computes with torch, angles are found by
    automatic differentiation instead. Wires, whatever their labels, are numbered in the order of the device, without those
    that nothing acts on; in the order of the program where the device has none.

    Args:
        qnode: its argument ``inputs`` takes the features, as ``(F,)`` or ``(B, F)``; all others are weights. It returns
            expectation values or probabilities, or a list of these.
        weight_shapes: the shape of each other argument.
        init_method: first values of the weights, as for TorchLayer: a function of `torch.nn.init`, or a function or tensor
            for each name. None leaves them to the layer.
        in_features: the number of features F; by default the number of wires, or the first other that the QNode takes.

    Raises:
        ConfigError: for what is no QNode, or arguments that do not fit.
        UnsupportedError: for what a circuit cannot hold, with the place of all of it: measurements inside, channels,
            operations without a decomposition, gates that depend on values, angles that are no polynomials of degree 3.
    """
    program = as_program(qnode, weight_shapes)
    if in_features is not None:
        check_sizes(in_features=in_features)
    traced = _trace(program, in_features)
    parameters = tuple(program.shapes.items())
    circuit = _circuit(program, traced, in_features)
    return Imported(circuit, parameters, _initial(parameters, init_method))


class _Traced(NamedTuple):
    """The tape, and its operations; wires have the labels of PennyLane."""

    tape: Any
    gates: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]]
    prepared: tuple[Any, ...] | None
    n_features: int


def _trace(program: Program, in_features: int | None) -> _Traced:
    errors: dict[bool, list[Exception]] = {False: [], True: []}
    refused: UnsupportedError | None = None
    for numeric in (False, True):
        for batched in (False, True):
            for n_features in [in_features] if in_features is not None else _sizes(program):
                attempt = _numeric if numeric else _symbolic
                try:
                    return attempt(program, n_features, batched)
                except UnsupportedError:
                    raise
                except _TryNumbersError as error:
                    refused = refused or error.refusal
                    errors[numeric].append(error)
                except Exception as error:  # the user's code may raise anything
                    _refuse_values(error, program)
                    errors[numeric].append(error)
    if refused is not None:
        raise refused
    first = errors[True][0]
    asked = "" if in_features is not None else "; in_features says how many inputs it takes, if it is that"
    raise UnsupportedError(
        f"{_SOURCE} {_name(program)} cannot be run with tensors for its arguments: {type(first).__name__}: "
        f"{first}{asked}."
    ) from first


class _TryNumbersError(Exception):
    """Symbols do not pass a decomposition; numbers may."""

    def __init__(self, refusal: UnsupportedError | None) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def _sizes(program: Program) -> Iterator[int]:
    """Numbers of features to try: as many as wires, multiples of it, amplitudes, and smaller ones."""
    wires = program.device_wires()
    n = len(wires) if wires is not None else 1
    listed = [n, *(n * k for k in range(2, 9))]
    listed += [2**n] if n <= 12 else []
    listed += [16 * n, 64 * n, *range(n - 1, 0, -1)]
    listed += range(n, 33) if wires is None else []
    return iter(dict.fromkeys(listed))


def _name(program: Program) -> str:
    return str(getattr(program.qnode.func, "__name__", program.qnode.func))


def _refuse_values(error: Exception, program: Program) -> None:
    """Refuses a program that itself asks for values; PennyLane's own code may do so, and numbers will do there."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DependsOnValuesError | NotPolynomialError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != inspect.getsourcefile(DependsOnValuesError)
    ]
    own = program.qnode.func.__code__.co_filename if hasattr(program.qnode.func, "__code__") else ""
    if not frames or frames[-1].filename != own:
        return
    line = frames[-1].lineno
    if isinstance(cause, NotPolynomialError):
        trouble = Trouble(f"line {line} of {own}", f"it {cause}, which is no polynomial", NOT_POLYNOMIAL)
    else:
        reason = f"it {cause} (if, comparisons, float, abs), and a circuit is the same for all values"
        trouble = Trouble(f"line {line} of {own}", reason, "Write out each case as a circuit.")
    raise refuse(_SOURCE, [trouble]) from error


def _symbolic(program: Program, n_features: int, batched: bool) -> _Traced:
    from qmoe.interop.pennylane.pennylane_gates import expand

    tape = program.symbolic(n_features, batched)
    expanded = expand(tape.operations)
    readout, unreadable = _readout(program, tape)
    if expanded.impossible or unreadable:
        raise refuse(_SOURCE, [*expanded.impossible, *unreadable])
    if expanded.failed:
        raise _TryNumbersError(refuse(_SOURCE, expanded.failed))
    try:
        gates = [(raw.name, raw.wires, tuple(map(angle_of, raw.angles))) for raw in expanded.gates]
    except NotPolynomialError as error:
        raise _TryNumbersError(None) from error
    for point in points(n_features, program.n_weights, 8):
        truth = program.numeric(point.x, point.w, batched)
        _compare(tape, truth, point)
        _check_readout(readout, program, truth)
    return _Traced(tape, gates, None, n_features)


def _compare(tape: Any, truth: Any, point: Point) -> None:
    """Refuses a tape of symbols that is another one than that of numbers."""
    same = len(tape.operations) == len(truth.operations)
    for number, (op, true) in enumerate(zip(tape.operations, truth.operations, strict=False)):
        same = same and op.name == true.name and op.wires == true.wires and len(op.data) == len(true.data)
        for value, number_value in zip(op.data, true.data, strict=False):
            mine = np.array([at(angle_of(v), point) for v in np.asarray(value, dtype=object).reshape(-1)])
            theirs = np.asarray(_plain(number_value), dtype=complex).reshape(-1)
            same = same and mine.shape == theirs.shape and bool(np.allclose(mine, theirs, atol=1e-9))
        if not same:
            raise refuse(_SOURCE, [_differs(number, op)])
    if not same:
        raise refuse(
            _SOURCE, [Trouble("the end", "the number of operations depends on the values of inputs or weights")]
        )


def _readout(program: Program, tape: Any) -> tuple[Readout, list[Trouble]]:
    """What a tape measures, wires numbered in the order of the device or of the tape."""
    from qmoe.interop.pennylane.pennylane_readouts import as_readout_of

    labels = program.device_wires() or list(tape.wires)
    return as_readout_of(tape.measurements, {label: number for number, label in enumerate(labels)})


def _check_readout(readout: Readout, program: Program, tape: Any) -> None:
    if _readout(program, tape)[0] != readout:
        reason = "what is measured depends on the values of inputs or weights"
        raise refuse(_SOURCE, [Trouble("the end", reason, "Multiply the outputs after the layer.")])


def _differs(number: int, op: Any) -> Trouble:
    from qmoe.interop.pennylane.pennylane_gates import place_of

    return Trouble(place_of(number, op), "what it is depends on the values of inputs or weights")


def _plain(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _numeric(program: Program, n_features: int, batched: bool) -> _Traced:
    from qmoe.interop.pennylane.pennylane_gates import expand, place_of

    first = points(n_features, program.n_weights, 1)[0]
    tape = program.numeric(*first, batched)
    prepared = _prepared(program, tape, n_features, batched)
    full = 2 ** len(prepared) if prepared is not None else n_features
    if full > n_features and full <= 2**12:
        # Padded amplitudes: the QNode takes fewer features as well, and what it takes at most is what it is for.
        try:
            return _numeric(program, full, batched)
        except Exception:  # it takes fewer alone
            full = n_features
    skipped = 0 if prepared is None else 1
    expected = expand(tape.operations[skipped:], skipped)
    readout, unreadable = _readout(program, tape)
    if expected.impossible or expected.failed or unreadable:
        raise refuse(_SOURCE, [*expected.impossible, *expected.failed, *unreadable])
    shapes = [(raw.name, raw.wires, len(raw.angles)) for raw in expected.gates]

    def angles_at(point: Point) -> list[Any]:
        there = program.numeric(*point, batched)
        found = expand(there.operations[skipped:], skipped).gates
        for number, raw in enumerate(found):
            if number >= len(shapes) or (raw.name, raw.wires, len(raw.angles)) != shapes[number]:
                raise refuse(_SOURCE, [_differs(raw.place, there.operations[raw.place])])
        if len(found) != len(shapes):
            raise refuse(_SOURCE, [_differs(found[-1].place if found else 0, there.operations[-1])])
        _check_readout(readout, program, there)
        return [value for raw in found for value in raw.angles]

    angles, _ = polynomials(angles_at, n_features, program.n_weights)
    left = iter(angles)
    gates, troubles = [], {}
    for raw in expected.gates:
        taken = tuple(next(left) for _ in raw.angles)
        if None in taken:
            troubles[raw.place] = Trouble(
                place_of(raw.place, tape.operations[raw.place]),
                f"an angle of {raw.name} is no polynomial of degree {DEGREE} or less in inputs and weights",
                NOT_POLYNOMIAL,
            )
        gates.append((raw.name, raw.wires, taken))
    if troubles:
        raise refuse(_SOURCE, list(troubles.values()))
    return _Traced(tape, gates, prepared, n_features)


def _prepared(program: Program, tape: Any, n_features: int, batched: bool) -> tuple[Any, ...] | None:
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


def _circuit(program: Program, traced: _Traced, in_features: int | None) -> Circuit:
    from qmoe.interop.pennylane.pennylane_readouts import as_readout_of, measures_all

    tape = traced.tape
    used = {label for _, wires, _ in traced.gates for label in wires}
    used |= {label for measurement in tape.measurements for label in measurement.wires}
    used |= set(traced.prepared or ())
    order = program.device_wires() or list(tape.wires)
    if not any(map(measures_all, tape.measurements)):
        order = [label for label in order if label in used] or order[:1]
    natural = {label: number for number, label in enumerate(order)}
    if traced.prepared is not None:
        # Amplitudes are padded at their end: wires beside those of the embedding are more significant, and stay 0.
        order = [*(label for label in order if label not in traced.prepared), *traced.prepared]
    numbers = {label: number for number, label in enumerate(order)}
    readout, _ = as_readout_of(tape.measurements, numbers)
    if numbers != natural and isinstance(readout, Born):
        readout = Probs(tuple(numbers[label] for label in natural))
    operations: list[Operation] = [] if traced.prepared is None else [Prepare(len(order))]
    operations += [Gate(name, tuple(numbers[label] for label in wires), angles) for name, wires, angles in traced.gates]
    if in_features is None and traced.prepared is None:
        in_features = max((i for op in operations if isinstance(op, Gate) for i in op.feature_indices), default=0) + 1
    return Circuit.from_operations(
        operations,
        n_qubits=max(len(order), 1),
        readout=readout,
        in_features=in_features if in_features is not None else traced.n_features,
        weight_shape=(program.n_weights,),
    )


def _initial(parameters: Sequence[tuple[str, tuple[int, ...]]], init_method: Init) -> dict[str, Tensor] | None:
    if init_method is None:
        return None
    found: dict[str, Tensor] = {}
    for name, shape in parameters:
        if isinstance(init_method, Mapping) and name not in init_method:
            raise ConfigError(f"init_method lacks the argument {name!r} of the QNode.")
        given = init_method[name] if isinstance(init_method, Mapping) else init_method
        if isinstance(given, Tensor):
            if tuple(given.shape) != shape:
                raise ConfigError(f"init_method[{name!r}] has the shape {tuple(given.shape)}, expected {shape}.")
            found[name] = given.detach().clone()
        elif callable(given):
            # Like TorchLayer: a function of torch.nn.init gets a single number as one of shape (1,).
            found[name] = given(torch.empty(shape or (1,))).detach().reshape(shape)
        else:
            raise ConfigError(
                f"init_method for {name!r} is {given!r}, expected a function of torch.nn.init or a tensor."
            )
    return found
