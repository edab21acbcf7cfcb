"""The sources of the site in one folder: pages copied, pages generated, and the navigation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from website import command_line, reference
from website.sections import ELSEWHERE, FIRST, ROOT, navigation, notebooks, written_pages

#: The page that `qmoe explore` writes, which stands in the site as it is.
EXPLORER = "explorer.html"
#: Where the links of a page lead from a page of the site.
MOVED = {
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../README.md": "index.md",
    "../notebooks/": "notebooks/",
}


def stage(folder: Path) -> list[str]:
    """Fills a folder with the sources of all pages, and returns their names. Unchanged files keep their time."""
    texts = {page: (ROOT / "docs" / f"{page}.md").read_text("utf-8") for page in (FIRST, *written_pages())}
    texts |= {page: from_the_root((ROOT / path).read_text("utf-8")) for page, path in ELSEWHERE.items()}
    texts |= command_line.pages()
    texts[FIRST] = with_parts_of_readme(texts[FIRST]) + toctrees(texts)
    title, _, rest = texts["explore"].partition("\n")
    texts["explore"] = (
        f'{title}\n\n<p><a href="{EXPLORER}">Open the page as it comes, trained on two moons.</a></p>\n{rest}'
    )
    files = {f"{page}.md": relinked(text).encode() for page, text in texts.items()}
    files |= {f"{page}.rst": text.encode() for page, text in reference.pages().items()}
    files |= {f"{page}.ipynb": (ROOT / f"{page}.ipynb").read_bytes() for page in notebooks()}
    for path in sorted((ROOT / "docs").iterdir()):
        if path.is_file() and any(
            f"]({path.name})" in text for page, text in texts.items() if f"{page}.md" != path.name
        ):
            files.setdefault(path.name, path.read_bytes())
    for kept in ("images", "explorer"):
        for path in sorted((ROOT / "docs" / kept).rglob("*")):
            if path.is_file():
                files[path.relative_to(ROOT / "docs").as_posix()] = path.read_bytes()
    write(folder, files)
    return [name.rpartition(".")[0] for name in files if name.endswith((".md", ".rst", ".ipynb"))]


def toctrees(texts: Mapping[str, str]) -> str:
    """The navigation, for the end of the start page: the pages by their titles, without "How do I" before them."""

    def entry(page: str) -> str:
        question = re.match(r"# How do I (\w.+)\?$", texts.get(page, ""), re.MULTILINE)
        return f"{question[1][0].upper()}{question[1][1:]} <{page}>" if question else page

    parts = [
        "\n".join([f"```{{toctree}}\n:caption: {title}\n:hidden:\n", *map(entry, pages), "```"])
        for title, pages in navigation()
    ]
    return "\n" + "\n\n".join(parts) + "\n"


def with_parts_of_readme(text: str) -> str:
    """The text with the parts of README.md that its comments name: what is measured is written there, by a script."""
    readme = (ROOT / "README.md").read_text("utf-8")

    def part(match: re.Match[str]) -> str:
        start, end = (f"<!-- {match[1]}: {side} -->" for side in ("begin", "end"))
        return readme.partition(start)[2].partition(end)[0].strip()

    return re.sub(r"<!-- from README\.md: (\w+) -->", part, text)


def relinked(text: str) -> str:
    """The text with links to where pages are in the site."""
    for old, new in MOVED.items():
        text = text.replace(f"]({old}", f"]({new}")
    return text


def from_the_root(text: str) -> str:
    """A page of the root of the repository, with links as a page of ``docs/`` would have them."""
    text = re.sub(r"\]\((?!https?:|#|docs/)([^)]+)\)", r"](../\1)", text)
    return text.replace("](docs/", "](")


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Makes the files of a folder these, and touches none that is so already."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
