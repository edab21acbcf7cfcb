"""Functions of the features, each by itself: products of sines and cosines, waves, quadratic forms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """What sines and cosines are of: a number times a feature, or times a product of features.

    Attributes:
        features: the features of the product, sorted.
        unit: the number.
    """

    features: tuple[int, ...]
    unit: float = 1.0


@dataclass(frozen=True, slots=True)
class ProductTerm:
    """A product of sines and cosines of single features, such as ``cos x0 sin 2x1``.

    Attributes:
        factors: ``(feature, frequency, "cos" or "sin")`` of each factor, in the order of the features. Where an angle of the
            circuit multiplies features, the first is a tuple of them.
    """

    factors: tuple[tuple[int | tuple[int, ...], float, str], ...]

    @property
    def name(self) -> str:
        """As in ``"cos x0 sin 2x1"``."""
        texts = []
        for feature, k, function in self.factors:
            named = "*".join(f"x{f}" for f in ((feature,) if isinstance(feature, int) else feature))
            texts.append(f"{function} {'' if k == 1 else format(k, 'g')}{named}")
        return " ".join(texts)

    @property
    def parity(self) -> str:
        """What becomes of it when all features change sign."""
        return "odd" if sum(function == "sin" for _, _, function in self.factors) % 2 else "even"

    def frequency(self, n_features: int) -> tuple[float, ...]:
        """The frequency of each feature, 0 where it does not occur."""
        found: dict[int | tuple[int, ...], float] = {feature: k for feature, k, _ in self.factors}
        return tuple(found.get(feature, 0) for feature in range(n_features))


@dataclass(frozen=True, slots=True)
class WaveTerm:
    """The cosine or sine of a whole combination of features, such as ``cos(x0 - 2x1)``: what random Fourier features are.

    Attributes:
        wave: ``(F,)`` the factor of each feature.
        function: ``"cos"`` or ``"sin"``.
    """

    wave: tuple[float, ...]
    function: str

    @property
    def name(self) -> str:
        """As in ``"cos(x0 - 2x1)"``."""
        parts = [(k, f"{'' if abs(k) == 1 else f'{abs(k):g}'}x{f}") for f, k in enumerate(self.wave) if k]
        text = " ".join(f"{'-' if k < 0 else '+'} {part}" for k, part in parts)
        return f"{self.function}({text.removeprefix('+ ').replace('- ', '-', 1) if text.startswith('-') else text[2:]})"

    @property
    def parity(self) -> str:
        """What becomes of it when all features change sign."""
        return "odd" if self.function == "sin" else "even"

    def frequency(self, n_features: int) -> tuple[float, ...]:
        """The magnitude of each feature's factor."""
        del n_features
        return tuple(abs(k) for k in self.wave)


@dataclass(frozen=True, slots=True)
class QuadraticTerm:
    """A quadratic form of the normalised features, ``y = x / |x|``, such as ``2 y0 y1``.

    Attributes:
        entries: ``(i, j, c)`` with ``i <= j`` for each summand ``c y_i y_j``.
        word: the Pauli word whose expectation in the encoded state it is; empty for a single product.
    """

    entries: tuple[tuple[int, int, float], ...]
    word: str = ""

    @property
    def name(self) -> str:
        """As in ``"2 y0 y1"``, or ``"<X0 Z1>"`` for a Pauli word."""
        if self.word:
            return f"<{self.word}>"
        parts = [f"{'' if c == 1 else f'{c:g} '}" + (f"y{i}^2" if i == j else f"y{i} y{j}") for i, j, c in self.entries]
        return " + ".join(parts)

    @property
    def parity(self) -> str:
        """What becomes of it when all features change sign."""
        return "even"


Term = ProductTerm | WaveTerm | QuadraticTerm
