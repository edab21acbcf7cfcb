"""``python -m website [FOLDER]``: builds the site, by default in build/site."""

import argparse
import sys
from pathlib import Path

from website.build import build

OUT = Path("build") / "site"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m website", description="Builds the site of the documentation.")
    parser.add_argument("folder", nargs="?", type=Path, default=OUT, help=f"where to; {OUT} by default")
    out = parser.parse_args().folder
    code = build(out)
    if not code:
        sys.stdout.write(f"The site is in {out}: open {out / 'index.html'}.\n")
    sys.exit(code)
