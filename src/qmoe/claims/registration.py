"""Claims and studies frozen to a hash, before anything is run from the seed that the hash gives.

The root seed of a registered study comes from the hash of what is asked, so neither the question nor the seed can be chosen
in view of results: another question has another hash, and with it other data and other first weights.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qmoe.claims.spec import Claim
from qmoe.errors import ConfigError
from qmoe.safe_files import read_text_file, write_whole
from qmoe.studies.specs.study import Study
from qmoe.studies.store import StudyResults


@dataclass(frozen=True)
class Registration:
    """What was frozen, and when.

    Attributes:
        digest: SHA-256 of claims and studies, 64 hexadecimal digits.
        date: when, ISO 8601 in UTC.
        claims: each claim as plain data, by its id.
        studies: each study as plain data without its root seed, by its name.
        version: version of qmoe that froze it.
    """

    digest: str
    date: str
    claims: Mapping[str, Any]
    studies: Mapping[str, Any]
    version: str

    @property
    def root_seed(self) -> int:
        """The root seed of the registered studies."""
        return root_seed(self.digest)

    def write(self, path: str | Path) -> None:
        """Writes it as JSON, with sorted keys."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(vars(self), indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Registration:
        """Reads it from JSON.

        Raises:
            ConfigError: when there is no such file, it is no registration, or its content is not what its hash says.
        """
        try:
            found = cls(**json.loads(read_text_file(Path(path))))
            digest = _digest(found.claims, found.studies)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"{path} cannot be read as a registration: {error}; make one with `qmoe register`."
            ) from None
        if digest != found.digest:
            raise ConfigError(
                f"{path} says that its hash is {found.digest[:16]}..., but its content has {digest[:16]}...: it was changed "
                "after it was made. Take the original."
            )
        return found


@dataclass(frozen=True)
class Departure:
    """One thing that is not as it was registered.

    Attributes:
        kind: ``"claim"`` or ``"study"``.
        name: id of the claim, or name of the study.
        what: ``"missing"`` now, ``"added"`` since, ``"changed"``, or run from another ``"seed"``.
        places: for what has changed, the keys that differ, such as ``"tests.0.margin"``.
    """

    kind: Literal["claim", "study"]
    name: str
    what: Literal["missing", "added", "changed", "seed"]
    places: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The departure in one sentence."""
        told = {
            "missing": "was registered and is missing",
            "added": "was not registered",
            "changed": f"has changed in {', '.join(self.places)}",
            "seed": "has another root seed than the registered one",
        }
        return f"The {self.kind} {self.name} {told[self.what]}."


def digest(claims: Iterable[Claim], studies: Iterable[Study]) -> str:
    """SHA-256 of claims and studies, whatever their order; root seeds and places of files have no part in it."""
    return _digest(_plain_claims(claims), _plain_studies(studies))


def root_seed(digest: str) -> int:
    """The root seed that a hash gives: its first 8 hexadecimal digits as an integer.

    Example:
        >>> from qmoe.claims import root_seed
        >>> root_seed("0" * 64) == root_seed("0" * 64)
        True
    """
    return int(digest[:8], 16)


def register(claims: Sequence[Claim], studies: Sequence[Study], version: str, date: str | None = None) -> Registration:
    """Freezes claims and studies.

    Args:
        claims: the claims.
        studies: the studies that they are to be judged on.
        version: version of qmoe.
        date: ISO 8601 in UTC; now by default.

    Raises:
        ConfigError: for two claims of one id, two studies of one name, or nothing at all.

    Example:
        >>> from qmoe.claims import register, shipped_claims, verify
        >>> from qmoe.studies import load_preset
        >>> study = load_preset("phase2-heldout")
        >>> registration = register(shipped_claims()[:1], [study], "1.0", date="2026-01-01")
        >>> [found] = verify(registration, shipped_claims()[:1], [study])
        >>> found.what  # it has another seed
        'seed'
    """
    if not claims or not studies:
        raise ConfigError(f"There are {len(claims)} claims and {len(studies)} studies; register at least one of each.")
    for kind, names in (("claims", [c.id for c in claims]), ("studies", [s.name for s in studies])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"Two {kind} are called {twice[0]}; give each a name of its own.")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Registration(digest(claims, studies), date or now, _plain_claims(claims), _plain_studies(studies), version)


def seeded(study: Study, registration: Registration) -> Study:
    """The study with the registered root seed."""
    return study.model_copy(update={"seeds": study.seeds.model_copy(update={"root": registration.root_seed})})


def verify(registration: Registration, claims: Iterable[Claim], studies: Sequence[Study]) -> list[Departure]:
    """What is not as it was registered; nothing where all is."""
    found: list[Departure] = []
    kinds: tuple[tuple[Literal["claim", "study"], Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("claim", registration.claims, _plain_claims(claims)),
        ("study", registration.studies, _plain_studies(studies)),
    )
    for kind, then, now in kinds:
        found += [Departure(kind, name, "missing") for name in then if name not in now]
        found += [Departure(kind, name, "added") for name in now if name not in then]
        for name in then:
            if name in now and (places := tuple(_differing(then[name], now[name]))):
                found.append(Departure(kind, name, "changed", places))
    wrong = [s.name for s in studies if s.name in registration.studies and s.seeds.root != registration.root_seed]
    return found + [Departure("study", name, "seed") for name in wrong]


def older_runs(date: str, results: Iterable[StudyResults]) -> int:
    """How many finished runs of some studies are older than a registration.

    Args:
        date: of the registration, ISO 8601.
        results: the registered studies with their runs.
    """
    registered = datetime.datetime.fromisoformat(date)
    ended = (e.finished_at for each in results for e in each.columns.executions if e is not None)
    return sum(bool(at) and datetime.datetime.fromisoformat(at) < registered for at in ended)


def _plain_claims(claims: Iterable[Claim]) -> dict[str, Any]:
    return {claim.id: json.loads(claim.canonical) for claim in claims}


def _plain_studies(studies: Iterable[Study]) -> dict[str, Any]:
    """Without root seeds, which come from the hash, and the places of files, whose content is named."""
    found = {}
    for study in studies:
        plain = json.loads(study.canonical)
        plain["data"] = json.loads(study.data.identity)
        plain.pop("keep", None)  # no part of the question
        plain["seeds"] = {name: value for name, value in plain.get("seeds", {}).items() if name != "root"}
        found[study.name] = plain
    return found


def _digest(claims: Mapping[str, Any], studies: Mapping[str, Any]) -> str:
    text = json.dumps({"claims": claims, "studies": studies}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _differing(then: Any, now: Any, place: str = "") -> list[str]:
    """Keys at which two pieces of plain data differ."""
    if isinstance(then, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*then, *now])
        return [at for k in keys for at in _differing(then.get(k), now.get(k), f"{place}.{k}" if place else k)]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [at for i, (a, b) in enumerate(zip(then, now, strict=True)) for at in _differing(a, b, f"{place}.{i}")]
    return [] if then == now else [place or "all"]
