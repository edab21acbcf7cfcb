"""``python -m endurance CAMPAIGN... [--folder DIR] [--quick] [--write | --page]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import qmoe
from endurance.record import CAMPAIGNS, PATH, faults, load_record, table

PAGE = Path(__file__).parents[1] / "docs" / "clusters.md"
OPEN, CLOSE = "<!-- endurance -->", "<!-- /endurance -->"


def write_page() -> None:
    """Puts the committed record into docs/clusters.md, between the marks."""
    before, rest = PAGE.read_text(encoding="utf-8").split(OPEN)
    after = rest.split(CLOSE)[1]
    PAGE.write_text(f"{before}{OPEN}\n{table(load_record())}\n{CLOSE}{after}", encoding="utf-8")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Runs campaigns, prints what came of them, and returns 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m endurance", description="Tries what studies survive.")
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=f"what to try: {', '.join(CAMPAIGNS)} or all")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("endurance-work"),
        help="where it works, and goes on (endurance-work)",
    )
    parser.add_argument("--quick", action="store_true", help="a few of each, for a quick check")
    parser.add_argument("--write", action="store_true", help="put the results into the committed record and its page")
    parser.add_argument("--page", action="store_true", help="only put the committed record into docs/clusters.md")
    options = parser.parse_args(arguments)
    if options.write and options.quick:
        parser.error("--write wants whole campaigns; drop --quick")
    for name in options.campaigns:
        if name not in (*CAMPAIGNS, "all"):
            parser.error(f"there is no campaign {name!r}; there are {', '.join(CAMPAIGNS)} and all")
    if options.page:
        write_page()
        return 0
    names = list(CAMPAIGNS) if "all" in options.campaigns else options.campaigns
    found = {}
    for name in names:
        folder = options.folder.resolve() / (f"{name}-quick" if options.quick else name)
        folder.mkdir(parents=True, exist_ok=True)
        found[name] = {"version": qmoe.__version__, **CAMPAIGNS[name](folder, options.quick, _tell)}
        if options.write:  # each at once: others take long
            record = load_record() if PATH.exists() else {}
            PATH.write_text(json.dumps(record | {name: found[name]}, indent=1) + "\n", encoding="utf-8")
            write_page()
    wrong = faults(found)
    _tell("\n".join([table(found), *wrong]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
