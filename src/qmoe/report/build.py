"""From a store to a folder with the page, its figures and its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import qmoe
from qmoe.claims import CLAIMS, Claim
from qmoe.data.sources import only_from
from qmoe.errors import QMoEError, visible
from qmoe.report.file_names import Names
from qmoe.report.findings.contents import Contents, provenance, read_store, study_titles
from qmoe.report.findings.judged import Judged
from qmoe.report.findings.paper import paper
from qmoe.report.findings.rung_results import routing_sentences
from qmoe.report.findings.survival import survival
from qmoe.report.pictures.all_pictures import Picture, draw_all
from qmoe.report.pictures.style import style
from qmoe.report.sections import SECTIONS
from qmoe.report.sections.blocks import Context, FigureBlock, Picker, Section
from qmoe.report.sections.claim_cards import Card, cards_of
from qmoe.report.sections.summary import (
    gaps,
    headline_table,
    leads,
    opening_sentence,
    page_title,
    provenance_items,
    quick_check,
    summary,
    unexamined_sentence,
    verdict_table,
)
from qmoe.report.single_thread import one_thread
from qmoe.report.tables import Table, outcome_words
from qmoe.safe_files import own_folder, write_whole
from qmoe.studies import InProcess

#: Called with a few words and the share of the work that is done, 0 to 1.
OnStep = Callable[[str, float], None]
#: Pixels of the page that an inch of a specification curve takes.
_PIXELS = 92


def build_report(
    store: str | Path | Contents,
    out_dir: str | Path,
    on_step: OnStep | None = None,
    claims: Sequence[Claim] | None = None,
    executor: Executor | None = None,
) -> Path:
    """Writes ``report.html`` with ``figures/`` and ``tables/`` from the results in a store.

    The page needs no network and works for any studies, finished or not. It opens with a verdict on each claim that the
    studies speak of.

    Args:
        store: the SQLite file that studies ran into, or what `read_store` read from it.
        out_dir: folder to write to; made where it is missing.
        on_step: called before each piece of work with a few words and the share that is done, 0 to 1.
        claims: claims of your own, judged with those that ship with qmoe; leave them out for `Contents`, which has them.
        executor: what draws the figures, if it is processes of this machine that have started; by default this process.

    Returns:
        Path of the page.

    Raises:
        StoreError: when there is no store, or it is damaged.
        QMoEError: when the folder cannot be written.
        ConfigError: for two claims of one id.
    """
    step = on_step or (lambda _words, _share: None)
    step("reading the store", 0.0)
    contents = store if isinstance(store, Contents) else read_store(store, claims)
    out = Path(out_dir)
    try:
        for folder in (out / "figures", out / "tables"):
            own_folder(folder)
            for link in filter(Path.is_symlink, folder.iterdir()):
                link.unlink()  # of an older report, or a stranger's: what it leads to is no part of this one
    except OSError as error:
        raise QMoEError(f"The folder {out} cannot be made: {error.strerror}; choose another.") from None
    path = out / "report.html"
    try:
        alone = nullcontext() if contents.path is None else only_from(contents.path)
        with style(), one_thread(), alone:
            page = _page(contents, out, step, executor or InProcess())
        step("writing report.html", 1.0)
        write_whole(path, page)  # last: what it shows is there
    except OSError as error:
        if error.filename is not None and out not in Path(error.filename).parents:
            raise  # not the report's: a file of the package, say
        raise QMoEError(
            f"The report cannot be written to {out}: {error.strerror}; the results are safe in the store: make room, or "
            "write the report elsewhere."
        ) from None
    return path


def _page(contents: Contents, out: Path, step: OnStep, executor: Executor) -> str:
    results, rows = list(contents.results), tuple(contents.rows)
    step("judging the claims", 0.1)
    judged = contents.judged
    titles = study_titles(results)
    choices = survival(judged, titles)
    names = Names()
    cards = [names.of_card(card) for card in cards_of(judged, results, contents.measurements)]
    sections = [names.of_section(section) for section in _sections(contents, step)]
    table, verdicts = headline_table(rows), verdict_table(judged)
    for one in (table, verdicts, None if choices is None else choices.table()):
        if one is not None:
            _write(one, out)
    figures = list(_pictures(cards, sections, out / "figures"))
    shares = (0.6 + 0.4 * done / len(figures) for done in range(1, len(figures) + 1))
    drawn = draw_all(figures, executor, lambda: step("drawing", next(shares)))
    rendered = [_rendered(section, judged, drawn, out) for section in sections]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=page_title(results),
            style=Markup(_asset("palette.css") + _asset("style.css")),
            script=Markup(_asset("page.js")),
            paper=paper(),
            has_paper=table is not None or any(card.verdict.claim.id in CLAIMS for card in cards),
            gaps=[*quick_check(results), *gaps(results, contents.unreadable)],
            opening=opening_sentence(judged),
            routing=routing_sentences(results, titles),
            leads=leads(judged, titles),
            choices=choices,
            outcome_words=outcome_words,
            cards=[_card(card, drawn) for card in cards if card.verdict.claim.headline],
            further=[_card(card, drawn) for card in cards if not card.verdict.claim.headline],
            unexamined=unexamined_sentence(judged),
            summary=summary(results, rows),
            headline=_table(table) if table is not None else None,
            provenance=provenance_items(provenance(results), contents.digest),
            sections=rendered,
            version=qmoe.__version__,
        )
    )


def _sections(contents: Contents, step: OnStep) -> list[Section]:
    sections: list[Section] = []
    done = 0.0
    # Reading and judging takes about a fifth of the time, the sections as long as their pictures.
    context = Context(contents, lambda words: step(words, 0.2 + 0.4 * done))
    for number, build in enumerate(SECTIONS):
        done = number / len(SECTIONS)
        sections += build(context)
    return sections


def _pictures(cards: Sequence[Card], sections: Sequence[Section], folder: Path) -> Iterator[Picture]:
    """Every panel of the page, in its order."""
    for card in cards:
        for panel in (*([] if card.panel is None else [card.panel]), *card.curves):
            yield Picture(panel, folder)
    for section in sections:
        for block in section.blocks:
            if isinstance(block, FigureBlock):
                yield from (Picture(panel, folder) for panel in block.panels)
            elif isinstance(block, Picker):
                yield from (Picture(panel, None) for _, panels in block.choices for panel in panels)


def _card(card: Card, drawn: Mapping[str, str]) -> dict[str, Any]:
    # As wide as it was drawn, so that letters are of one size on the page.
    curves = [(Markup(drawn[panel.name]), round(_PIXELS * panel.figure.get_figwidth())) for panel in card.curves]
    return {"card": card, "drawing": None if card.panel is None else Markup(drawn[card.panel.name]), "curves": curves}


def _rendered(section: Section, judged: Judged, drawn: Mapping[str, str], out: Path) -> dict[str, Any]:
    return {
        "id": section.id,
        "title": section.title,
        "short": section.short_title,
        "boxed": section.boxed,
        "verdicts": judged.about(section.studies),
        "blocks": [_block(block, drawn, out) for block in section.blocks],
    }


def _block(block: object, drawn: Mapping[str, str], out: Path) -> dict[str, Any]:
    if isinstance(block, Table):
        _write(block, out)
        return _table(block)
    if isinstance(block, FigureBlock):
        panels = [Markup(drawn[panel.name]) for panel in block.panels]
        return {"kind": "figure", "panels": panels, "caption": block.caption, "wide": block.wide}
    if isinstance(block, Picker):
        choices = [(label, [Markup(drawn[panel.name]) for panel in panels]) for label, panels in block.choices]
        return {"kind": "picker", "picker": block, "choices": choices}
    return {"kind": "text", "text": block}


def _write(table: Table, out: Path) -> None:
    table.write_csv(out / "tables")
    table.write_tex(out / "tables")


def _table(table: Table) -> dict[str, Any]:
    rows = [
        [
            (column, column.cell(row), column.stars(row), best)
            for column, best in zip(table.columns, table.best(row), strict=True)
        ]
        for row in table.rows
    ]
    return {"kind": "table", "table": table, "rows": rows}


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=_shown,
    )  # fmt: skip


def _shown(value: object) -> object:
    """What the page shows of a value; what is markup already was made here."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
