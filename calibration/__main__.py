"""``python -m calibration [--write | --page] [--quick] [--jobs N] [--studies N] [--pools FILE] [--audits N]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

from calibration.audits import AUDITS, audit_answers, try_audits, write_audits
from calibration.pools import Size
from calibration.record import answers_of, line, load_record, table, train_pools, try_judge
from calibration.trying import STUDIES

PAGE = Path(__file__).parents[1] / "docs" / "claims.md"
OPEN, CLOSE = "<!-- calibration -->", "<!-- /calibration -->"


def write_page() -> None:
    """Puts the committed record into docs/claims.md, between the marks."""
    before, rest = PAGE.read_text(encoding="utf-8").split(OPEN)
    after = rest.split(CLOSE)[1]
    PAGE.write_text(f"{before}{OPEN}\n{table(load_record())}\n{CLOSE}{after}", encoding="utf-8")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _pools(path: Path | None, size: Size) -> dict[str, np.ndarray]:
    if path is not None and path.exists():
        with np.load(path) as kept:
            return dict(kept)
    pools = train_pools(size, _tell)
    if path is not None:
        np.savez(path, **pools)  # type: ignore[arg-type]
    return pools


def main(arguments: list[str] | None = None) -> int:
    """Tries the judge, prints the table, and returns 1 if a limit is not kept."""
    parser = argparse.ArgumentParser(prog="python -m calibration", description="Tries the judge.")
    parser.add_argument(
        "--write", action="store_true", help="replace the committed record, and its table in docs/claims.md"
    )
    parser.add_argument("--page", action="store_true", help="only put the committed record into docs/claims.md")
    parser.add_argument("--quick", action="store_true", help="10 studies from little training, for a quick check")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--studies", type=int, default=STUDIES, help=f"simulated studies for each question ({STUDIES})")
    parser.add_argument(
        "--pools", type=Path, help="a file that keeps the trained pools: read if it is there, else written"
    )
    parser.add_argument(
        "--audits", type=int, nargs="?", const=AUDITS, help=f"try `qmoe.audit` alone, so often on each model ({AUDITS})"
    )
    options = parser.parse_args(arguments)
    if options.write and options.quick:
        parser.error("--write wants the whole trial; drop --quick")
    if options.page:
        write_page()
        return 0
    torch.set_num_threads(1)
    if options.audits is not None:
        found = try_audits(options.audits, _tell, options.jobs)
        answers = audit_answers(found)
        for answer in answers:
            _tell(line(answer))
        if options.write:
            write_audits(found)
        return 0 if all(answer.holds for answer in answers) else 1
    size, studies = (Size(40, 12, 200, 10), 10) if options.quick else (Size(), options.studies)
    record = try_judge(_pools(options.pools, size), size, studies, _tell, options.jobs)
    if options.write:
        path = Path(__file__).with_name("record.json")
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        write_page()
    return 0 if all(answer.holds for answer in answers_of(record)) else 1


if __name__ == "__main__":
    sys.exit(main())
