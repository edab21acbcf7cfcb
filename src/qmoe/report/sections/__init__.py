"""The sections of the page, a file each, and their order."""

from __future__ import annotations

from collections.abc import Callable

from qmoe.report.published.published_section import published_section
from qmoe.report.sections.all_ladders import ladder_sections
from qmoe.report.sections.blocks import Context, Section
from qmoe.report.sections.learning_rates import learning_rates_section
from qmoe.report.sections.methods import cost_section, methods_section
from qmoe.report.sections.own_study import own_study_sections
from qmoe.report.sections.page_caveats import caveats_section
from qmoe.report.sections.phase1 import phase1_section
from qmoe.report.sections.phase2 import phase2_section
from qmoe.report.sections.phase3 import phase3a_section, phase3b_section

#: The sections after the summary, in the order of the page. Each makes what it has to show of the results, or nothing.
SECTIONS: tuple[Callable[[Context], list[Section]], ...] = (
    phase1_section,
    phase2_section,
    phase3a_section,
    phase3b_section,
    ladder_sections,
    published_section,
    own_study_sections,
    learning_rates_section,
    caveats_section,
    cost_section,
    methods_section,
)
