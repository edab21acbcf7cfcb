"""Options that commands of several modules have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output instead of tables.")]
Claims = Annotated[
    Path | None,
    typer.Option("--claims", help="Your own claims to judge: a TOML file, or a folder of them.", show_default=False),
]
