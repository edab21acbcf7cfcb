"""The site builds without a warning; its links lead somewhere, and every page and public name is in it."""

import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from fontTools.ttLib import TTFont
from sphinx.util.inventory import InventoryFile
from typer.main import get_command
from website.command_line import commands
from website.command_line import page as page_of_commands
from website.names import GROUPS, public_names
from website.sections import FIRST, GENERATED, ROOT, SECTIONS, navigation, notebooks, written_pages
from website.staging import stage

from qmoe.cli.app import app


class Page(HTMLParser):
    """The anchors and links of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        self.links += [found["href"]] if tag == "a" and "href" in found else []
        self.sources += [found[name] for name in ("src", "href") if tag != "a" and name in found]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    out = tmp_path_factory.mktemp("website") / "site"
    command = [sys.executable, "-m", "website", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """All its pages, read."""
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def broken(pages: dict[Path, Page]) -> list[str]:
    """The links that lead to no file or to no anchor of it."""
    found = []
    for path, page in pages.items():
        for link in {*page.links, *page.sources}:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto", "data"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {""}
            if not target.is_file() or (parts.fragment and target in pages and unquote(parts.fragment) not in anchors):
                found.append(f"{path.name}: {link}")
    return found


def test_every_link_leads_to_a_page_and_its_place(pages: dict[Path, Page]) -> None:
    assert sum(len(page.links) for page in pages.values()) > 5000
    assert broken(pages) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html"></a><a href="#no"></a><a href="#yes" id="yes"></a>')
    assert sorted(broken({tmp_path / "a.html": Page(tmp_path / "a.html")})) == ["a.html: #no", "a.html: b.html"]


def test_papers_that_pages_cite_are_in_the_bibliography_under_their_own_address() -> None:
    pages = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
    links = [link for text in pages.values() for link in re.findall(r"\[([^]]*)\]\((https?://[^)]+)\)", text)]
    assert [link for link in links if link[1].startswith("http:")] == []
    papers = {link[1]: link[0] for link in links if "arxiv.org" in link[1]}
    assert {address for address in papers if not re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{5}", address)} == set()
    named = {re.sub(r"arXiv[: ]", "https://arxiv.org/abs/", " ".join(words.split())) for words in papers.values()}
    assert named == papers.keys()
    assert {address for address in papers if address not in pages["bibliography.md"]} == set()


def test_the_site_needs_no_network(pages: dict[Path, Page]) -> None:
    remote = {source for page in pages.values() for source in page.sources if urlsplit(source).netloc}
    assert remote == set()


def test_every_public_name_has_its_place_in_the_reference(site: Path, pages: dict[Path, Page]) -> None:
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    objects = {
        key: item for kind, items in inventory.data.items() if kind.startswith("py:") for key, item in items.items()
    }
    for name in public_names():
        for exported in (name.name, *name.aliases):
            path, _, anchor = objects[exported].uri.partition("#")
            assert path == f"reference/{name.page}.html"
            assert anchor.replace("$", exported) in pages[site / path].anchors


def test_the_reference_has_every_package_that_users_import_from() -> None:
    rooms = (ROOT / "src" / "qmoe").glob("*/__init__.py")
    exporting = {f"qmoe.{path.parent.name}" for path in rooms if "__all__" in path.read_text("utf-8")}
    assert exporting - {package for _, packages in GROUPS.values() for package in packages} == {"qmoe.cli"}


def test_the_list_for_programs_has_every_page(site: Path) -> None:
    text = (site / "llms.txt").read_text("utf-8")
    entries = dict(re.findall(r"^- \[.+\]\((\S+)\): (.+)$", text, re.MULTILINE))
    assert set(entries) == {f"{page}.html" for page in all_pages(site)} - {f"{FIRST}.html"}
    assert min(map(len, entries.values())) > 10
    assert len(set(entries.values())) == len(entries)
    assert text.startswith("# qmoe\n\n> A quantum circuit")


def all_pages(site: Path) -> list[str]:
    """The pages of the site that somebody or something wrote, from their sources."""
    sources = site / "_sources"
    return [
        re.sub(r"\.(md|rst|ipynb)(\.txt)?$", "", path.relative_to(sources).as_posix()) for path in sources.rglob("*.*")
    ]


def test_every_page_stands_in_the_navigation_once() -> None:
    placed = [page for _, pages in navigation() for page in pages]
    assert len(placed) == len(set(placed))
    assert {*written_pages(), *notebooks(), *GENERATED, "contributing", "changelog"} == set(placed)


def test_sections_name_pages_that_are_there() -> None:
    named = {page for section in SECTIONS for page in section.pages}
    assert named - {page for _, pages in navigation() for page in pages} == set()


def test_every_guide_is_listed_under_the_heading_of_its_section_by_its_title() -> None:
    parts = dict(
        re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", (ROOT / "docs" / "how-to.md").read_text("utf-8"), re.MULTILINE)
    )
    guides = {
        section.title: pages for section, (_, pages) in zip(SECTIONS, navigation(), strict=True) if section.guides
    }
    for title, pages in guides.items():
        listed = re.findall(r"^\| \[(.+?)\]\((\S+)\.md\)", parts[title], re.MULTILINE)
        titles = {page: (ROOT / "docs" / f"{page}.md").read_text("utf-8").partition("\n")[0] for page in pages}
        assert {page: f"# {words}" for words, page in listed} == titles
    assert list(parts) == list(guides)


def test_formulas_are_drawn_by_the_browser_itself(site: Path) -> None:
    text = (site / "derivations.html").read_text("utf-8")
    assert text.count("<math") > 50
    assert "mathjax.js" not in text.lower()
    assert "\\rangle" not in text


def test_the_letters_of_all_formulas_are_in_the_font_that_the_site_brings(site: Path) -> None:
    texts = (path.read_text("utf-8") for path in site.glob("*.html"))
    formulas = "".join(formula for text in texts for formula in re.findall(r"<math.*?</math>", text, re.DOTALL))
    letters = set(unescape(re.sub(r"<[^>]+>|\s", "", formulas)))
    font = TTFont(site / "_static" / "math.woff")
    assert len(letters) > 50
    assert letters - {chr(code) for code in font.getBestCmap()} == set()
    assert "MATH" in font  # without this table, sums are as small as letters


def test_every_command_is_described_with_its_options_and_its_example() -> None:
    text = page_of_commands()
    for name, command in commands(get_command(app)):
        part = re.split(r"^## ", text.partition(f"## `{name}`\n")[2], flags=re.MULTILINE)[0]
        assert hasattr(command, "commands") or f"```sh\n{name}" in part, name
        for parameter in command.params:
            if not getattr(parameter, "hidden", False) and parameter.param_type_name == "option":
                assert parameter.opts[0] in part


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    stage(tmp_path)
    (tmp_path / "old.md").write_text("gone")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.name != "old.md"}
    stage(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == times
