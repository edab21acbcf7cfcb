"""The sizes that are timed, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Depolarizing probability of every noisy size, and probability of relaxation of every damped one.
NOISE = 0.05


class SizeError(ValueError):
    """A size that cannot be read; the message says what one looks like."""


@dataclass(frozen=True, order=True)
class Size:
    """One problem size.

    Args:
        n_qubits: Q.
        n_layers: L.
        n_batch: B, samples of each model.
        n_models: M, models trained side by side.
        noisy: depolarizing noise on every qubit after the encoding and again after the layers.
        damped: instead, amplitude damping after each gate on its qubits.

    Raises:
        SizeError: for a number below 1, or both kinds of noise.
    """

    n_qubits: int
    n_layers: int
    n_batch: int
    n_models: int = 1
    noisy: bool = False
    damped: bool = False

    def __post_init__(self) -> None:
        if min(self.n_qubits, self.n_layers, self.n_batch, self.n_models) < 1:
            raise SizeError(f"The size {self} has a number below 1.")
        if self.noisy and self.damped:
            raise SizeError(f"The size {self} is noisy and damped; take one of them.")

    def __str__(self) -> str:
        numbers = f"{self.n_qubits},{self.n_layers},{self.n_batch},{self.n_models}"
        return f"{numbers}{',noisy' * self.noisy}{',damped' * self.damped}"

    @property
    def is_mixed(self) -> bool:
        """Whether its states are density matrices."""
        return self.noisy or self.damped

    @property
    def dim(self) -> int:
        """Dimension ``D = 2**Q`` of the state space."""
        return 2**self.n_qubits

    @property
    def n_samples(self) -> int:
        """``M * B``: how often the circuit is run in one step."""
        return self.n_models * self.n_batch

    @property
    def state_bytes(self) -> int:
        """Bytes of one state vector of every sample, in complex64."""
        return self.n_samples * self.dim * 8


def parse_size(text: str) -> Size:
    """Reads ``Q,L,B,M``, ``Q,L,B,M,noisy`` or ``Q,L,B,M,damped``, as `Size` writes itself.

    Raises:
        SizeError: for anything else.
    """
    parts = [part.strip() for part in text.split(",")]
    noise = parts[-1] if parts[-1] in ("noisy", "damped") else None
    numbers = parts[:-1] if noise else parts
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
        raise SizeError(f"{text!r} is no size: expected Q,L,B,M, Q,L,B,M,noisy or Q,L,B,M,damped, such as 2,3,32,1.")
    n_qubits, n_layers, n_batch, n_models = map(int, numbers)
    return Size(n_qubits, n_layers, n_batch, n_models, noise == "noisy", noise == "damped")


def parse_sizes(texts: Iterable[str]) -> list[Size]:
    """Reads sizes that are separated by blanks or semicolons, each once.

    Raises:
        SizeError: for a size that cannot be read.
    """
    words = [word for text in texts for word in text.replace(";", " ").split()]
    return list(dict.fromkeys(parse_size(word) for word in words))


#: What a full run times.
SIZES = (
    Size(2, 3, 1),
    Size(4, 3, 1),
    Size(2, 3, 32),
    Size(2, 3, 32, 30),
    Size(2, 3, 1000),
    Size(4, 3, 32),
    Size(4, 3, 1000),
    Size(8, 3, 256),
    Size(8, 8, 4096),
    Size(12, 3, 64),
    Size(16, 3, 16),
    Size(20, 2, 1),
    Size(2, 3, 32, noisy=True),
    Size(2, 3, 32, 30, noisy=True),
    Size(4, 3, 32, noisy=True),
)

#: What ``--quick`` times.
QUICK_SIZES = (Size(2, 3, 32), Size(2, 3, 32, 30), Size(4, 3, 32), Size(2, 3, 32, noisy=True))

#: What is drawn: the cost of a step against one number, the others held fixed.
SWEEPS: dict[str, tuple[Size, ...]] = {
    "qubits": tuple(Size(q, 3, 32) for q in (2, 3, 4, 6, 8, 10, 12)),
    "batch": tuple(Size(4, 3, b) for b in (1, 8, 64, 512, 4096)),
    "models": tuple(Size(2, 3, 32, m) for m in (1, 3, 10, 30, 100)),
}

#: What is timed on a GPU.
GPU_SIZES = (
    Size(2, 3, 32),
    Size(4, 3, 1000),
    Size(8, 3, 256),
    Size(12, 3, 256),
    Size(16, 3, 64),
    Size(20, 3, 4),
    Size(10, 3, 4096),
    Size(2, 3, 32, 1000),
)

#: Where the peak memory of one step is measured.
MEMORY_SIZES = (Size(16, 3, 16), Size(20, 2, 1))

#: Where the arithmetic rate is put beside the machine's own.
RATE_SIZE = Size(8, 3, 256)
