"""``python -m calibration [--write | --page] [--quick]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from calibration.pools import Size
from calibration.record import answers_of, load_record, table, try_judge

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


def main(arguments: list[str] | None = None) -> int:
    """Tries the judge, prints the table, and returns 1 if a limit is not kept."""
    parser = argparse.ArgumentParser(prog="python -m calibration", description="Tries the judge.")
    parser.add_argument(
        "--write", action="store_true", help="replace the committed record, and its table in docs/claims.md"
    )
    parser.add_argument("--page", action="store_true", help="only put the committed record into docs/claims.md")
    parser.add_argument("--quick", action="store_true", help="50 studies from little training, for a look")
    options = parser.parse_args(arguments)
    if options.write and options.quick:
        parser.error("--write wants the whole trial; drop --quick")
    if options.page:
        write_page()
        return 0
    torch.set_num_threads(1)
    size, studies = (Size(40, 12, 200, 10), 50) if options.quick else (Size(), 1000)
    record = try_judge(size, studies, _tell)
    if options.write:
        path = Path(__file__).with_name("record.json")
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        write_page()
    return 0 if all(answer.holds for answer in answers_of(record)) else 1


if __name__ == "__main__":
    sys.exit(main())
