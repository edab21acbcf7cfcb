"""Writes the committed record of the judge's trial into docs/claims.md: ``python scripts/calibration_table.py``."""

from pathlib import Path

from qmoe.studies.calibration import load_record, table

PAGE = Path(__file__).parents[1] / "docs" / "claims.md"
OPEN, CLOSE = "<!-- calibration -->", "<!-- /calibration -->"


def main() -> None:
    """Replaces what stands between the marks."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(OPEN)
    after = rest.split(CLOSE)[1]
    PAGE.write_text(f"{before}{OPEN}\n{table(load_record())}\n{CLOSE}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
