"""The claims that ship with qmoe."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

from qmoe.claims.registration import root_seed
from qmoe.claims.spec import Claim, parse_claims
from qmoe.errors import unknown

#: Those of the paper, then our own.
CLAIMS: tuple[str, ...] = (
    "C1", "C2", "C3", "C4a", "C4b", "C5", "C6a", "C6b", "C7",
    "T1", "T2", "T3", "T4",
)  # fmt: skip
#: On studies that are not registered: the groups of `qmoe.studies.presets.GROUPS`.
FURTHER_CLAIMS: tuple[str, ...] = ("Q1",)


@dataclass(frozen=True)
class Registered:
    """When the claims and studies that ship were frozen, and to which hash.

    Attributes:
        digest: SHA-256 of all of them, 64 hexadecimal digits, as `qmoe.claims.registration.digest` finds it.
        date: when, ISO 8601 in UTC.
        version: version of qmoe.
    """

    digest: str
    date: str
    version: str

    @property
    def root_seed(self) -> int:
        """The root seed of every preset."""
        return root_seed(self.digest)


def registered() -> Registered:
    """The registration of what ships.

    Example:
        >>> from qmoe.claims import registered
        >>> len(registered().digest)
        64
    """
    text = resources.files(__package__).joinpath("registered.toml").read_text(encoding="utf-8")
    return Registered(**tomllib.loads(text))


def shipped_claims(headline: bool | None = None) -> list[Claim]:
    """The claims that ship with qmoe.

    Args:
        headline: True for those of the paper alone (C1 to C7), False for the others, None for all.
    """
    claims = [claim for name in CLAIMS for claim in parse_claims(tomllib.loads(claim_text(name)), f"{name}.toml")]
    return [claim for claim in claims if headline is None or claim.headline == headline]


def further_claims() -> list[Claim]:
    """The claims that ship and are not registered, on published benchmarks.

    Example:
        >>> from qmoe.claims import FURTHER_CLAIMS, further_claims
        >>> [claim.id for claim in further_claims()] == list(FURTHER_CLAIMS)
        True
    """
    return [claim for name in FURTHER_CLAIMS for claim in parse_claims(tomllib.loads(claim_text(name)), f"{name}.toml")]


def claim_text(name: str) -> str:
    """The TOML text of a claim that ships with qmoe.

    Raises:
        ConfigError: for an unknown name.

    Example:
        >>> from qmoe.claims import claim_text
        >>> "statement" in claim_text("C6a")
        True
    """
    if name not in (*CLAIMS, *FURTHER_CLAIMS):
        raise unknown("claim", name, (*CLAIMS, *FURTHER_CLAIMS))
    return resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
