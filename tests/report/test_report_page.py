import csv
import re
import sqlite3
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from PIL import Image

from qmoe.errors import QMoEError, StoreError
from qmoe.report import build_report
from qmoe.studies import Store
from qmoe.studies.run.stack_run import failed


class Page(HTMLParser):
    """Collects what a page loads, its ids, and whether its elements are closed in order."""

    VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.ids, self.refs, self.stack, self.tags = [], [], [], [], [], []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in ("src", "srcset", "data", "action", "poster") or (key == "href" and tag != "a"):
                self.loads.append((tag, value))
            elif key == "href":
                self.links.append(value)
            self.refs += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


@pytest.fixture(scope="module")
def text(built):
    return (built / "report.html").read_text(encoding="utf-8")


def test_the_page_loads_nothing(text):
    page = Page(text)
    assert all(value.startswith(("#", "data:")) for _, value in page.loads)
    assert all(value.startswith("#") for value in page.refs)
    assert "@import" not in text
    assert "@font-face" not in text
    without_links = re.sub(r'<a href="[^"]*"', "", text)
    assert "http://" not in without_links
    assert "https://" not in without_links
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert len(text) < 4e6


def test_ids_are_unique_and_every_reference_has_its_target(text):
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    targets = {f"#{name}" for name in page.ids}
    inner = [v for tag, v in page.loads if v.startswith("#") and tag != "link"] + page.refs
    assert {v for v in (*inner, *page.links) if v.startswith("#")} <= targets


def test_every_drawing_is_described_and_follows_the_theme(text):
    svgs = re.findall(r"<svg .*?</svg>", text, flags=re.DOTALL)
    assert len(svgs) > 20
    for svg in svgs:
        head = svg[: svg.index(">")]
        if 'aria-hidden="true"' in head:  # the mark of a badge, whose word stands beside it
            assert "currentColor" not in svg
            continue
        assert 'role="img"' in head
        assert re.search(r'aria-label="[^"]{5,}"', head)
        assert "#1b1b1b" not in svg
    assert "var(--quantum)" in text
    assert "--quantum:" in text


def test_every_figure_is_there_as_vector_and_as_image(built):
    svgs = sorted((built / "figures").glob("*.svg"))
    assert len(svgs) >= 20
    assert [p.stem for p in svgs] == sorted(p.stem for p in (built / "figures").glob("*.png"))
    for path in svgs:
        ElementTree.parse(path)
        with Image.open(path.with_suffix(".png")) as image:
            pixels = np.asarray(image.convert("L"))
            assert image.info["dpi"][0] >= 149
        assert pixels.std() > 5
        assert pixels[0, 0] == 255


def test_tables_hold_the_means_of_the_store(built, tiny_store):
    with Store(tiny_store, create=False) as store:
        results = {name: store.load(name) for name in store.study_names()}
    for name in ("phase2-heldout", "my-own-study"):
        with (built / "tables" / f"{name}-arms.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        study = results[name.replace("my-own", "my.own")]
        assert len(rows) == sum(len(arm.noise or (0,)) for arm in study.study.arms)
        for row in rows:
            records = study.of(row["arm"], float(row["strength"]) if row["strength"] else None)
            scores = [r.metrics["test_accuracy"] for r in records]
            assert float(row["mean"]) == pytest.approx(np.mean(scores), abs=1e-15)
            assert int(row["n"]) == len(scores)
            assert float(row["low"]) <= float(row["mean"]) <= float(row["high"])


def test_tables_are_balanced_latex(built):
    paths = sorted((built / "tables").glob("*.tex"))
    assert {p.stem for p in paths} == {p.stem for p in (built / "tables").glob("*.csv")}
    for path in paths:
        body = path.read_text(encoding="utf-8").split("\n", 1)[1]
        assert body.count(r"\begin{tabular}") == body.count(r"\end{tabular}") == 1
        columns = len(re.search(r"\\begin\{tabular\}\{([lr]+)\}", body).group(1))
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert lines
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {columns}
        depth = 0
        for brace in re.findall(r"(?<!\\)[{}]", body):
            depth += 1 if brace == "{" else -1
            assert depth >= 0
        assert depth == 0
        assert not re.search(r"(?<!\\)[%#_]", body)


def test_what_a_user_wrote_is_escaped(text):
    assert "A study of &lt;a user&gt; &amp; friends." in text
    assert "<a user>" not in text
    assert "mine &amp; 100%" in text


def test_a_changed_protocol_is_said_and_not_ranked(text, built):
    assert "is not what its preset asks" in text
    assert "training.epochs is 3, not 50" in text
    with (built / "tables" / "headline.csv").open(newline="") as file:
        assert {row["percentile"] for row in csv.DictReader(file)} == {""}


def test_few_seeds_are_said(text):
    assert "Too few runs for each arm" in text


def test_the_first_seed_is_shown_and_said_to_be(text):
    assert "It is the first seed of the study" in text
    assert text.count('type="radio"') == text.count('class="panels choice"') == 2


def test_the_same_store_gives_the_same_files(one_study, tmp_path):
    store = one_study("phase3b-published")
    before = dict(matplotlib.rcParams)
    first, second = (build_report(store, tmp_path / name).parent for name in "ab")
    assert dict(matplotlib.rcParams) == before, "settings of matplotlib were changed"
    paths = [p for p in first.rglob("*") if p.is_file()]
    assert len(paths) > 5
    for path in paths:
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_missing_and_failed_trials_are_named_at_the_top(one_study, tmp_path):
    path = one_study("phase2-published")
    with Store(path) as store:
        trials = [member.trial for member in store.load("phase2-published").members]
        hashes = [trial.hash for trial in trials]
        store.save([failed(trials[-1], "diverged", "the loss was <nan>")])
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM trials WHERE hash = ?", hashes[:1])
    database.close()
    text = build_report(path, tmp_path / "out").read_text(encoding="utf-8")
    total = len(hashes)
    assert f"1 of {total} trials missing: run the same command again." in text
    assert f"1 of {total} trials failed" in text
    assert "the loss was &lt;nan&gt;" in text
    assert text.index("trials missing") < text.index('<section id="summary">')


@pytest.mark.parametrize("keep", ["phase2-heldout", "phase3b-published", "my.own-study", None])
@pytest.mark.usefixtures("undrawn")
def test_any_part_of_the_studies_makes_a_page(one_study, tmp_path, keep):
    steps = []
    page = build_report(one_study(keep), tmp_path / "out", lambda words, share: steps.append((words, share)))
    text = page.read_text(encoding="utf-8")
    Page(text)
    assert steps[0] == ("reading the store", 0.0)
    assert steps[-1] == ("writing report.html", 1.0)
    assert [share for _, share in steps] == sorted(share for _, share in steps)
    assert ('<section id="phase2"' in text) == (keep == "phase2-heldout")
    assert ('<section id="my-own-study"' in text) == (keep == "my.own-study")
    assert ("No trial is finished yet" in text) == (keep is None)
    assert ("arXiv 2512.22296" in text) == (keep in ("phase2-heldout", "phase3b-published"))


def test_errors_name_the_remedy(tmp_path, tiny_store):
    with pytest.raises(StoreError, match="There is no store"):
        build_report(tmp_path / "none.sqlite", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(QMoEError, match="choose another"):
        build_report(tiny_store, tmp_path / "file")


@pytest.mark.usefixtures("undrawn")
def test_a_page_that_cannot_be_written_is_said_in_a_line(one_study, tmp_path):
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    with pytest.raises(QMoEError, match=r"cannot be written.*safe in the store"):
        build_report(one_study("phase3b-published"), tmp_path / "out")


def test_a_figure_is_a_picture_and_values_are_numbers(text):
    words = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    assert "The paper's numbers compared with ours" in words
    assert re.findall(r"(?:published|paper's|all|these) figures?\b", words) == []


@pytest.mark.usefixtures("undrawn")
def test_links_in_a_folder_from_a_stranger_lead_nowhere(one_study, tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("precious")
    out = tmp_path / "theirs"
    (out / "tables").mkdir(parents=True)
    links = [out / "report.html", out / "tables" / "headline.csv", out / "tables" / "of-an-older-report.csv"]
    for link in [*links, out / "report.html.new"]:
        link.symlink_to(mine)
    page = build_report(one_study("phase2-published"), out)
    assert mine.read_text() == "precious"
    assert "Quantum routers" in page.read_text(encoding="utf-8")
    assert not any(link.is_symlink() for link in links)
    assert (out / "tables" / "headline.csv").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "figures").symlink_to(tmp_path)
    with pytest.raises(QMoEError, match="is a link to"):
        build_report(one_study("phase2-published"), tmp_path / "other")
