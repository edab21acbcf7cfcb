"""From the pages to the site."""

from __future__ import annotations

from pathlib import Path

from sphinx.cmd.build import build_main

from qmoe.explorer import build_explorer
from website.staging import EXPLORER, stage


def build(out: Path, *options: str) -> int:
    """Builds the site in a folder, with warnings as errors; its sources are beside it, in ``FOLDER-source``.

    Args:
        out: where to.
        options: more of ``sphinx-build``.

    Returns:
        0, or the exit code of Sphinx.
    """
    source = out.with_name(f"{out.name}-source")
    stage(source / "pages")
    settings = [
        "-c",
        str(Path(__file__).parent),
        "-d",
        str(source / "doctrees"),
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
    ]
    failed = build_main([*settings, *options, str(source / "pages"), str(out)])
    if not failed:
        build_explorer(out / EXPLORER)
    return failed
