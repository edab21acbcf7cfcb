"""The circuit: a frozen description that engines execute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from qmoe.circuits.angles.traced import AngleFunction
from qmoe.circuits.ansatze import Ansatz, StronglyEntangling, as_ansatz
from qmoe.circuits.checks import (
    check_ansatz,
    check_body,
    check_computed,
    check_encoding,
    check_noise,
    check_operations,
    check_readout,
)
from qmoe.circuits.circuit_dicts import circuit_from_dict, circuit_to_dict
from qmoe.circuits.drawing import draw_operations
from qmoe.circuits.encodings import AngleEncoding, Encoding, as_encoding
from qmoe.circuits.gates import NOISE, Gate, Operation, Prepare
from qmoe.circuits.noise import NoiseModel, OverRotation, as_noise
from qmoe.circuits.placing import template_operations, wires_of, with_noise_between
from qmoe.circuits.readouts import Expval, Readout, Readouts, as_readout
from qmoe.errors import ConfigError, UnsupportedError, not_plain

if TYPE_CHECKING:
    from torch import Tensor


#: Wires, features and layers at most: the dimension of a state is a number of as many bits as there are wires.
MAX_SIZE = 10_000_000


@dataclass(frozen=True, slots=True)
class Body:
    """The operations of a circuit that no template makes.

    Attributes:
        operations: in order, before any noise is put between them.
        weight_shape: shape of the weights, over which they number them.
        is_noisy: whether the noise of the circuit stands in the operations already.
        function: what gives the angles that are `Computed`; None where none is.

    Example:
        >>> from qmoe.circuits import Circuit, Feature, Gate, Weight
        >>> gates = [Gate("RX", (0,), (Feature(0),)), Gate("RY", (0,), (Weight(0),))]
        >>> Circuit.from_operations(gates).body.weight_shape
        (1,)
    """

    operations: tuple[Operation, ...]
    weight_shape: tuple[int, ...]
    is_noisy: bool = False
    function: AngleFunction | None = None


class Template(NamedTuple):
    """What the operations of most circuits are made of."""

    n_layers: int
    encoding: Encoding
    ansatz: Ansatz


@dataclass(frozen=True, repr=False)
class Circuit:
    """What a circuit is: operations in order, a read-out and noise. It executes nothing.

    This constructor makes the operations from a template: an encoding and trainable layers. `from_operations` takes any.
    Equal circuits are equal and hash alike, so plans can be cached by circuit.

    Args:
        n_qubits: number of wires Q, at least 1.
        n_layers: number of trainable layers L, at least 0. Uploads are spread over the layers, each before a block of
            them, so the number of weights does not depend on the number of uploads.
        encoding: an `Encoding`, or its name ``"angle"`` or ``"amplitude"``.
        ansatz: an `Ansatz`, its name, or a list of gates that makes up one layer.
        readout: a `Readout`, a list of them, or a name: ``"expval"`` (which Z of every wire in order is) or ``"born"``.
        noise: a `NoiseModel`, a depolarizing probability, or None.
        in_features: number of features; by default as many as the encoding takes.
        body: operations in place of a template, which `from_operations` puts here.

    Attributes:
        encoding, ansatz, n_layers: of the template; None for a circuit made of operations.

    Raises:
        ConfigError: for unknown names, impossible sizes, or parts that do not fit together.
    """

    n_qubits: int
    n_layers: int | None = 1
    encoding: Encoding | None = field(default_factory=AngleEncoding)
    ansatz: Ansatz | None = field(default_factory=StronglyEntangling)
    readout: Readout = field(default_factory=Expval)
    noise: NoiseModel | None = None
    in_features: int = -1
    body: Body | None = None

    def __init__(
        self,
        n_qubits: int,
        n_layers: int | None = 1,
        encoding: str | Encoding | None = "angle",
        ansatz: str | Ansatz | Iterable[Gate] | None = "strongly_entangling",
        readout: str | Readout | Iterable[Readout] = "expval",
        noise: float | NoiseModel | None = None,
        in_features: int | None = None,
        body: Body | None = None,
    ) -> None:
        check_size("n_qubits", n_qubits, 1)
        noise = as_noise(noise)
        check_noise(noise, n_qubits)
        if body is None:
            check_size("n_layers", n_layers, 0)
            assert n_layers is not None
            if encoding is None or ansatz is None:
                raise ConfigError("encoding or ansatz is None; Circuit.from_operations makes a circuit without them.")
            encoding, ansatz = as_encoding(encoding), as_ansatz(ansatz)
            in_features = _checked_template(n_qubits, n_layers, encoding, ansatz, noise, in_features)
        elif (n_layers, encoding, ansatz) != (None, None, None):
            raise ConfigError(
                "body stands in place of n_layers, encoding and ansatz; Circuit.from_operations makes both fit."
            )
        else:
            check_size("in_features", in_features, 1)
        readout = as_readout(readout)
        check_readout(readout, n_qubits)
        if isinstance(readout, Readouts) and readout.words(n_qubits) == Expval().words(n_qubits):
            readout = Expval()  # Z of every wire in order, which has a way of its own through the engines
        values = (n_qubits, n_layers, encoding, ansatz, readout, noise, in_features, body)
        for part, content in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, part, content)
        if noise is not None and noise.device is not None and (body is None or not body.is_noisy):
            noise.device.check(self.operations)

    @classmethod
    def from_operations(
        cls,
        operations: Iterable[Operation],
        *,
        n_qubits: int | None = None,
        readout: str | Readout | Iterable[Readout] = "expval",
        noise: float | NoiseModel | None = None,
        in_features: int | None = None,
        weight_shape: int | tuple[int, ...] | None = None,
        angles: Callable[[Tensor, Tensor], Tensor] | AngleFunction | None = None,
    ) -> Circuit:
        """Makes a circuit of any operations.

        Depolarizing noise stands after every gate, or (placement ``"block"``) once at the end. Dephasing takes a run of
        gates with features, and one without, for an encoding and for layers. Channels may also stand in the list.

        Args:
            operations: gates, whose angles may hold features and weights, in order; a `Prepare` may come first.
            n_qubits: number of wires; by default as many as the operations and the read-out name.
            readout: a `Readout`, a list of them, or a name.
            noise: a `NoiseModel`, a depolarizing probability, or None.
            in_features: number of features F; by default as many as the angles name, at least 1.
            weight_shape: shape of the weights, which angles number as if it were flat; by default ``(P,)`` with as many as
                they name.
            angles: where sums and products are not enough, a function of features ``(B, F)`` and weights ``(P,)`` to
                ``(B, A)`` angles, which gates take as `Computed`; ``in_features`` and ``weight_shape`` are then given.

        Raises:
            ConfigError: for what is no operation, a feature, weight or wire that is not there, a state preparation that is
                not first or stands beside features in gates, channels in a circuit without noise, or a function that cannot
                be traced.

        Example:
            >>> from qmoe.circuits import Feature, Gate, Pauli, Weight
            >>> gates = [Gate("RX", (0,), (2 * Weight(0) + Feature(0),)), Gate("CNOT", (0, 1))]
            >>> Circuit.from_operations(gates, readout=[Pauli("Z0 Z1"), Pauli("X1")]).n_outputs
            2
        """
        listed = check_operations(operations)
        if angles is not None and (in_features is None or weight_shape is None):
            raise ConfigError("angles takes all features and weights, so say how many: in_features= and weight_shape=.")
        readout, noise = as_readout(readout), as_noise(noise)
        if n_qubits is None:
            wires = [wire for op in listed for wire in wires_of(op)]
            n_qubits = max([*wires, *readout.named_wires()], default=0) + 1
        check_size("n_qubits", n_qubits, 1)
        in_features, weight_shape = check_body(listed, n_qubits, in_features, weight_shape, noise is not None)
        is_new = angles is not None and not isinstance(angles, AngleFunction)
        function: Any = AngleFunction(angles, in_features, math.prod(weight_shape)) if is_new else angles  # type: ignore[arg-type]
        check_computed(listed, function, in_features, math.prod(weight_shape))
        return cls(n_qubits, None, None, None, readout, noise, in_features, Body(listed, weight_shape, False, function))

    def __repr__(self) -> str:
        if self.body is None:
            parts = {part: getattr(self, part) for part in self.__dataclass_fields__ if part != "body"}
            return f"Circuit({', '.join(f'{part}={value!r}' for part, value in parts.items())})"
        sizes = f"n_qubits={self.n_qubits}, in_features={self.in_features}, weight_shape={self.weight_shape}"
        function = "" if self.body.function is None else f", angles={self.body.function!r}"
        gates = f"{len(self.body.operations)} operations"
        return f"<Circuit of {gates}, {sizes}, readout={self.readout!r}, noise={self.noise!r}{function}>"

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Engines look plans up by circuit at every call.
        return hash(tuple(getattr(self, part) for part in self.__dataclass_fields__))

    def __getstate__(self) -> dict[str, Any]:
        # A hash of strings is another number in another process.
        return {part: getattr(self, part) for part in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"body": None, **state})  # pickles of the first version hold no body

    @property
    def template(self) -> Template:
        """The encoding and the layers that it was made of.

        Raises:
            UnsupportedError: for a circuit made of operations.
        """
        if self.encoding is None or self.ansatz is None or self.n_layers is None:
            raise UnsupportedError(
                "This asks for a circuit made of an encoding and layers, and got one made of operations; build it as "
                "Circuit(n_qubits, n_layers, encoding, ansatz)."
            )
        return Template(self.n_layers, self.encoding, self.ansatz)

    @property
    def is_template(self) -> bool:
        """Whether it is made of an encoding and layers, not of operations."""
        return self.body is None

    @property
    def dim(self) -> int:
        """Dimension ``D = 2**Q`` of the state space."""
        return int(2**self.n_qubits)

    @property
    def n_outputs(self) -> int:
        """How many numbers the read-out returns."""
        return self.readout.n_outputs(self.n_qubits)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights: ``(L, Q, 3)`` for the strongly entangling ansatz."""
        if self.body is not None:
            return self.body.weight_shape
        n_layers, _, ansatz = self.template
        return (n_layers, *ansatz.layer_shape(self.n_qubits))

    @property
    def n_weights(self) -> int:
        """Number of trainable weights."""
        return math.prod(self.weight_shape)

    @property
    def max_frequency(self) -> int | None:
        """Largest frequency of a feature in any expectation value; None where no template says one.

        Gates that turn too far by a share of their angle turn by other frequencies than the encoding's.
        """
        return None if self.encoding is None or self._turns_too_far else self.encoding.max_frequency

    @property
    def period(self) -> float | None:
        """Period of the state in each feature, in radians; None where no template says one."""
        return None if self.encoding is None or self._turns_too_far else self.encoding.period

    @property
    def _turns_too_far(self) -> bool:
        channels = () if self.noise is None else self.noise.channels
        return any(isinstance(one.channel, OverRotation) and one.channel.relative for one in channels)

    @property
    def prepares(self) -> bool:
        """Whether features are amplitudes of a state that is prepared first."""
        if isinstance(self.encoding, AngleEncoding):
            return False
        # Not by `operations`, behind whose lock torch.compile does not look.
        ops = self.template.encoding.operations(self.n_qubits) if self.body is None else self.body.operations
        return any(isinstance(op, Prepare) for op in ops[:1])

    @property
    def frequencies(self) -> tuple[int, ...] | None:
        """Frequencies of one feature in any expectation value, ``-R .. R``; None as for `max_frequency`."""
        top = self.max_frequency
        return None if top is None else tuple(range(-top, top + 1))

    @property
    def n_frequencies(self) -> int | None:
        """Size of the spectrum over all features, ``(2R + 1)**F``; None as for `max_frequency`."""
        return None if self.frequencies is None else len(self.frequencies) ** self.in_features

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Everything an engine does before it measures, in order; weights are numbered over the flattened weights."""
        if self.body is not None:
            ops = self.body.operations
            return (
                ops if self.noise is None or self.body.is_noisy else with_noise_between(ops, self.noise, self.n_qubits)
            )
        return template_operations(self.n_qubits, *self.template, self.noise)

    @property
    def n_two_qubit_gates(self) -> int:
        """How many of its gates act on two qubits; on a device these make most of the noise."""
        return sum(isinstance(op, Gate) and len(op.wires) == 2 for op in self.operations)

    @property
    def depth(self) -> int:
        """How many gates follow one another at most, on any path from the first to the last."""
        ends = [0] * self.n_qubits
        for op in self.operations:
            if isinstance(op, Gate):
                end = 1 + max(ends[wire] for wire in op.wires)
                for wire in op.wires:
                    ends[wire] = end
        return max(ends)

    def with_noise(self, noise: float | NoiseModel | None) -> Circuit:
        """The same circuit with other noise, in place of all that it has, dephasing included.

        Channels that stand in a list of operations go with the noise, and stay where there is another.
        """
        body = self.body
        if noise is None and body is not None:
            pure = tuple(op for op in body.operations if not isinstance(op, NOISE))
            body = replace(body, operations=pure, is_noisy=False)
        return replace(self, noise=noise, body=body)  # type: ignore[arg-type]  # __init__ takes a plain probability too

    def with_readout(self, readout: str | Readout | Iterable[Readout]) -> Circuit:
        """The same circuit, measured in another way."""
        return replace(self, readout=readout)  # type: ignore[arg-type]  # __init__ takes names and lists as well

    def options(self) -> dict[str, Any]:
        """The arguments that make `qmoe.QuantumRouter` or `qmoe.QuantumExperts` with this circuit.

        Raises:
            UnsupportedError: for a circuit made of operations.
        """
        self.template  # noqa: B018  # refuses others
        return {part: getattr(self, part) for part in self.__dataclass_fields__ if part not in ("in_features", "body")}

    def to_dict(self) -> dict[str, Any]:
        """The circuit as plain dictionaries, lists, texts and numbers, which JSON can hold; `from_dict` reads it.

        Raises:
            UnsupportedError: for an encoding, ansatz or read-out of a class of your own, or angles by one.
        """
        return circuit_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Circuit:
        """The circuit that `to_dict` wrote: equal to the one before.

        Raises:
            ConfigError: for another format or version, unknown or missing keys, or values that make no circuit.
        """
        return circuit_from_dict(cls, data)

    def draw(self) -> str:
        """A text picture: a line per wire, time from left to right."""
        return draw_operations(self.operations, self.n_qubits, self.readout)


def check_size(name: str, value: Any, least: int) -> None:
    """Raises `ConfigError` unless a size is an integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} is {value!r}{not_plain(value)}, expected an integer of at least {least}.")
    if value > MAX_SIZE:
        raise ConfigError(
            f"{name} is {value}, expected at most {MAX_SIZE}; what is numbered is numbered from 0 without gaps."
        )


def _checked_template(
    n_qubits: int, n_layers: int, encoding: Encoding, ansatz: Ansatz, noise: NoiseModel | None, in_features: int | None
) -> int:
    """The number of features of a template whose parts fit together; raises `ConfigError` where they do not."""
    if in_features is None or in_features == -1:
        in_features = encoding.n_features(n_qubits)
    if not isinstance(in_features, int) or isinstance(in_features, bool):
        raise ConfigError(f"in_features is {in_features!r}, expected an integer of at least 1.")
    encoding.check_features(in_features, n_qubits)
    check_size("in_features", in_features, 1)
    ansatz.check_wires(n_qubits)
    check_encoding(encoding, n_qubits, in_features, noise is not None)
    check_ansatz(ansatz, n_qubits, n_layers)
    if encoding.uploads > max(n_layers, 1):
        raise ConfigError(
            f"{encoding.uploads} uploads need at least as many layers, got n_layers={n_layers}; "
            "raise n_layers or lower uploads."
        )
    return in_features
