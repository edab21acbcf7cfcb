"""Study files, claims files and tables that nobody would write, read by qmoe: each gives a result or a `QMoEError`."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import random
import re
import resource
import signal
import socket
import string
import tempfile
import time
import tomllib
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import Any

from endurance.asks import asks
from qmoe.claims import load_claims
from qmoe.data import make_dataset
from qmoe.errors import QMoEError
from qmoe.studies import load_study, plan_stacks, preset_names, preset_text
from qmoe.studies.admission.plan import admit, predict
from qmoe.studies.run.runner import check_models

#: Seconds of computing that one file may take, and how many times as long it may wait where other programs compute.
PATIENCE, WAITING = 20, 20
#: Bytes that reading a file may ask for beyond what the process has already.
MEMORY = 4 << 30
#: Trials up to which a study that is admitted is planned in full; more take minutes, which is no fault.
MOST_TRIALS = 5_000

_DOCS = Path(__file__).parents[1] / "docs"
_WORDS = (
    "", " ", "name", "self", "cls", "kind", "quantum", "linear", "mlp", "twin", "moons", "table", "mnist", "path", "digest",
    "true", "nan", "é\u0301", "\u202e", "a" * 300, "\x1b[31m", "../../etc/passwd", "/dev/zero", "[bold]", "=1+1",
    "\U0001f9ea", "__class__",
    "model_config", "options", "a.b", "%s", "{0}", "{x}",
)  # fmt: skip
_NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 3, 7, 24, 25, 64, 1000, 10**6, 10**9, 2**31, 2**32, 2**63 - 1, 2**63, 10**12, 10**19, 10**400, -(10**30),
    0.0, -0.0, 0.5, 1.0, 1e-300, 5e-324, 1e30, 1e308, math.inf, -math.inf, math.nan, True, False,
)  # fmt: skip


class HangError(BaseException):
    """A file took longer than `PATIENCE`; no `Exception`, so that nothing takes it for an error of its own."""


def fuzz(n_files: int = 10_000, n_tables: int = 1_000, seed: int = 0) -> dict[str, Any]:
    """Reads mutated study files, claims files and tables, and asks for what no machine has.

    Args:
        n_files: study and claims files, three studies to a claims file.
        n_tables: CSV files.
        seed: decides all of them.

    Returns:
        For each kind the number of ``"results"`` and of ``"errors"`` that qmoe explains, and under ``"faults"`` whatever
        else came up, with the file that it came of; also ``"seconds"``, those of the slowest file and ``"peak_bytes"``.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, _limits(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begin = time.perf_counter()
        found = {
            "files": _tally(_files(rng, n_files, Path(folder))),
            "tables": _tally(_tables(rng, n_tables, Path(folder))),
            "asks": _tally(_asks(Path(folder))),
        }
        seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seed": seed, **found, "seconds": round(seconds, 1), "peak_bytes": peak}


def _tally(cases: Iterator[tuple[Callable[[], None], str]]) -> dict[str, Any]:
    """Runs cases: what each is, and a text that shows it."""
    counts: Counter[str] = Counter()
    faults: list[dict[str, str]] = []
    slowest = 0.0
    for case, shown in cases:
        begin = time.perf_counter()
        fault = _outcome(case)
        slowest = max(slowest, time.perf_counter() - begin)
        counts[fault if fault in ("results", "errors") else "faults"] += 1
        if fault not in ("results", "errors"):
            faults.append({"fault": fault, "case": shown[:20_000]})
    return {
        "results": counts["results"], "errors": counts["errors"], "faults": faults, "slowest_seconds": round(slowest, 2)
    }  # fmt: skip


def _outcome(case: Callable[[], None]) -> str:
    """``"results"``, ``"errors"``, or the traceback of what should not have come up."""
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * WAITING)
    try:
        case()
    except QMoEError as error:
        str(error).encode()  # a message that cannot be printed is a fault
        return "errors"
    except HangError:
        return f"took longer than {PATIENCE} s: " + traceback.format_exc(limit=-6)
    except Exception:
        return traceback.format_exc(limit=-6)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "results"


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Bounds time and memory of each case, and refuses the network."""

    def ring(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise HangError

    def refuse(*_: Any) -> None:
        raise AssertionError("a file made qmoe use the network")

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if os.path.exists("/proc/self/statm") else 0
    before = resource.getrlimit(resource.RLIMIT_AS)
    handlers = {number: signal.signal(number, ring) for number in (signal.SIGALRM, signal.SIGPROF)}
    connect = socket.socket.connect
    socket.socket.connect = refuse  # type: ignore[method-assign]
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        socket.socket.connect = connect  # type: ignore[method-assign]
        for number, handler in handlers.items():
            signal.signal(number, handler)


# --- files ---------------------------------------------------------------------------------------------------------------


def _files(rng: random.Random, n: int, folder: Path) -> Iterator[tuple[Callable[[], None], str]]:
    studies, claims = [preset_text(name) for name in preset_names()], _claims()
    for example in _examples():
        (claims if "statement" in example else studies).append(example)
    for index in range(n):
        is_claim = index % 4 == 3
        data = _mutated(rng, rng.choice(claims if is_claim else studies))
        path = folder / ("claims.toml" if is_claim else "study.toml")
        path.write_bytes(data)
        yield functools.partial(_read_claims if is_claim else read_and_plan, path), data.decode("utf-8", "replace")


def _claims() -> list[str]:
    files = resources.files("qmoe.claims").joinpath("shipped").iterdir()
    return [f.read_text("utf-8") for f in files if f.name.endswith(".toml") and f.name != "registered.toml"]


def _examples() -> list[str]:
    """The examples in the docs that are TOML by themselves."""
    found = []
    for page in sorted(_DOCS.glob("*.md")):
        for block in re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            with contextlib.suppress(tomllib.TOMLDecodeError):
                tomllib.loads(block)
                found.append(block)
    return found


def _read_claims(path: Path) -> None:
    load_claims(path)


def read_and_plan(path: Path) -> None:
    """Reads a study and, where it is one, plans its quick variant as `qmoe run` does."""
    study = load_study(path)
    admit(predict([study]), n_workers=2)
    small = study.resized(1, quick=True)
    check_models(small)
    plan_stacks([small], set())


def _mutated(rng: random.Random, text: str) -> bytes:
    """A file with one to three faults in its values, or in its bytes."""
    if rng.random() < 0.7:
        values = tomllib.loads(text)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            _change(rng, values)
        text = as_toml(values)
        if rng.random() < 0.9:
            return text.encode("utf-8", "surrogatepass")
    return _damaged(rng, text)


def _change(rng: random.Random, values: dict[str, Any]) -> None:
    """Changes something somewhere in the tables."""
    places = list(_places(values))
    if not places:  # the last table was taken away before
        return
    holder, key = rng.choice(places)
    action = rng.randrange(6)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, dict):
        holder[rng.choice(_WORDS) or _word(rng)] = holder[key]
    elif action == 2 and isinstance(holder, dict):
        holder[_misspelt(rng, str(key))] = holder.pop(key)
    elif action == 3:
        holder[key] = _near(rng, holder[key])
    else:
        holder[key] = _value(rng)


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Each holder and key in nested tables and lists."""
    for key, value in list(values.items() if isinstance(values, dict) else enumerate(values)):
        yield values, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _near(rng: random.Random, value: Any) -> Any:
    """A value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        numbers = [n for n in _NUMBERS if type(n) is type(value)]
        return rng.choice([*numbers, value * 10, value - 1])
    if isinstance(value, str):
        return rng.choice(_WORDS) if rng.random() < 0.5 else _misspelt(rng, value)
    if isinstance(value, list) and value:
        return rng.choice([value * 2, value[:1] * 1000, [value], value[::-1], []])
    return value


def _value(rng: random.Random) -> Any:
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(_NUMBERS)
    if kind < 5:
        return rng.choice(_WORDS)
    if kind == 5:
        return [rng.choice(_NUMBERS + _WORDS) for _ in range(rng.choice((0, 1, 3, 50)))]
    if kind == 6:
        return {rng.choice(_WORDS): rng.choice(_NUMBERS + _WORDS) for _ in range(rng.choice((0, 1, 3)))}
    nested: Any = rng.choice(_NUMBERS)
    for _ in range(rng.choice((5, 60, 200))):
        nested = [nested] if rng.random() < 0.5 else {"a": nested}
    return nested


def _word(rng: random.Random) -> str:
    return "".join(rng.choices(string.printable + "äß\u0000\u2028", k=rng.randrange(1, 12)))


def _misspelt(rng: random.Random, word: str) -> str:
    place = rng.randrange(len(word) + 1)
    return word[:place] + rng.choice("aZ0 _-.é\n") + word[place + rng.randrange(2) :]


def _damaged(rng: random.Random, text: str) -> bytes:
    """The bytes of a text, cut, flipped, put together anew, or in another encoding."""
    lines = text.splitlines()
    place = rng.randrange(len(lines) or 1)
    line = lines[place] if lines else ""
    encoded = text.encode("utf-8", "surrogatepass")
    action = rng.randrange(10)
    if action == 0:
        return encoded[: rng.randrange(len(encoded) + 1)]
    if action == 1:
        spoilt = bytearray(encoded)
        for _ in range(rng.choice((1, 4, 30))):
            if spoilt:
                spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        return bytes(spoilt)
    if action == 2:
        return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig")), "replace")
    if action == 3:
        return text.encode(rng.choice(("latin-1", "cp1252", "utf-7", "cp037")), "replace")
    if action == 4:
        depth = rng.choice((50, 400, 3_000, 100_000))
        return f"{text}\ndeep = {'[' * depth}{']' * depth}\n".encode()
    if action == 5:
        digits = rng.choice(
            ("9" * 5_000, "0x" + "f" * 6_000, "1e" + "9" * 5_000, "0." + "1" * 5_000, "0b" + "1" * 20_000)
        )
        key = line.split("=")[0].strip() or "x"
        return "\n".join([*lines[:place], f"{key} = {digits}", *lines[place + 1 :]]).encode()
    if action == 6:
        return "\n".join([*lines[: place + 1], line, *lines[place + 1 :]]).encode("utf-8", "surrogatepass")
    if action == 7:
        path = ".".join(["a"] * rng.choice((10, 500, 5_000)))
        return f"{path} = 1\n{text}".encode("utf-8", "surrogatepass")
    if action == 8:
        rng.shuffle(lines)
        return "\n".join(lines).encode("utf-8", "surrogatepass")
    return bytes(rng.randrange(256) for _ in range(rng.choice((0, 1, 3, 500))))


def as_toml(values: dict[str, Any]) -> str:
    """Tables as TOML, each value on its line."""
    return "".join(f"{_text(key)} = {_inline(value)}\n" for key, value in values.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)} = {_inline(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _text(word: Any) -> str:
    """A TOML string in double quotes."""
    plain = str(word).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in plain) + '"'


# --- tables --------------------------------------------------------------------------------------------------------------


def _tables(rng: random.Random, n: int, folder: Path) -> Iterator[tuple[Callable[[], None], str]]:
    for _ in range(n):
        data = _table(rng)
        path = folder / "table.csv"
        path.write_bytes(data)
        yield functools.partial(_read_table, path), data.decode("utf-8", "replace")


def _read_table(path: Path) -> None:
    table = make_dataset("table", path=str(path), target="class")
    table.split(0)


def _table(rng: random.Random) -> bytes:
    """A CSV file with a fault or two, or none."""
    n_columns, n_rows = rng.choice((1, 2, 3, 8, 300)), rng.choice((0, 5, 40, 40, 300, 300))
    names = [f"x{i}" for i in range(n_columns)]
    if rng.random() < 0.3:
        names[rng.randrange(n_columns)] = rng.choice(("x0", "", "class", _word(rng), rng.choice(_WORDS)))
    names.insert(rng.randrange(n_columns + 1), rng.choice(("class",) * 9 + ("Class",)))
    rows = [[f"{rng.gauss(0, 1):.3f}" for _ in names] for _ in range(n_rows)]
    for row in rows:
        if "class" in names:
            row[names.index("class")] = rng.choice(("a", "b", "c"))
    cells: Sequence[Any] = (
        *_NUMBERS,
        *_WORDS,
        "1,5",
        "1e999",
        "9" * 5_000,
        "NaN",
        "None",
        "#N/A",
        "1_000",
        "0x10",
        '"',
        "'",
        "\r",
    )
    for _ in range(rng.choice((0, 0, 1, 3, 20)) if rows else 0):
        row = rng.choice(rows)
        row[rng.randrange(len(row))] = _as_cell(rng.choice(cells))
    if rows and rng.random() < 0.2:
        row = rng.choice(rows)
        del row[rng.randrange(len(row)) :]
    comma = rng.choice((",",) * 8 + (";", "\t", "|", " ", ":"))
    text = rng.choice(("\n", "\n", "\r\n", "\r")).join(comma.join(row) for row in [names, *rows])
    if rng.random() < 0.8:
        return text.encode("utf-8", "surrogatepass")
    return _damaged(rng, text)


def _as_cell(value: Any) -> str:
    return "9" * 400 if isinstance(value, int) and value > 10**100 else str(value)


# --- what no machine has -------------------------------------------------------------------------------------------------


def _asks(folder: Path) -> Iterator[tuple[Callable[[], None], str]]:
    path = folder / "ask.toml"
    for words, values in asks():
        path.write_text(as_toml(values), "utf-8")
        yield functools.partial(read_and_plan_all, path), words


def read_and_plan_all(path: Path) -> None:
    """Reads a study and, unless it is refused or has very many trials, plans all of it."""
    study = load_study(path)
    prediction = predict([study])
    admit(prediction, n_workers=2)
    if prediction.n_trials <= MOST_TRIALS:
        check_models(study)
        plan_stacks([study], set())
