"""Registers the claims and studies that ship: ``python scripts/register.py``.

Writes the hash with the date into the package, and the root seed that the hash gives into every preset. Done once, before
the studies are run; a change to a claim or a study is another question with another hash: it needs this again, and all runs
anew.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import qmoe
from qmoe.claims import shipped_claims
from qmoe.claims.registration import digest, root_seed
from qmoe.studies import load_preset, preset_names

PACKAGE = Path(qmoe.__file__).parent


def main() -> None:
    """Registers what ships, unless that is what is registered."""
    found = digest(shipped_claims(), [load_preset(name) for name in preset_names()])
    path = PACKAGE / "claims" / "shipped" / "registered.toml"
    if path.exists() and found in path.read_text(encoding="utf-8"):
        print(f"Registered already: {found}")
        return
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    about = "# SHA-256 of the claims and studies that ship, and when they were frozen: scripts/register.py.\n"
    path.write_text(f'{about}digest = "{found}"\ndate = "{date}"\nversion = "{qmoe.__version__}"\n', encoding="utf-8")
    for name in preset_names():
        preset = PACKAGE / "studies" / "presets" / f"{name}.toml"
        text = re.sub(r"^root = \d+\n", "", preset.read_text(encoding="utf-8"), flags=re.MULTILINE)
        text = text.replace("[seeds]\n", f"[seeds]\nroot = {root_seed(found)}\n")
        preset.write_text(text, encoding="utf-8")
    print(f"Registered: {found}")


if __name__ == "__main__":
    main()
