"""``python -m website [FOLDER]``: builds the site, by default in build/site."""

import sys
from pathlib import Path

from website.build import build

OUT = Path("build") / "site"

if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    code = build(out)
    if not code:
        sys.stdout.write(f"The site is in {out}: open {out / 'index.html'}.\n")
    sys.exit(code)
