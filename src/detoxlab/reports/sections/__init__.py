"""The sections of a report, one list that every format renders.

To add a section, write a function that makes it from a study, and a line in `SECTIONS`.
"""

from collections.abc import Callable

from detoxlab.reports.explained.section import listening
from detoxlab.reports.parts import Section
from detoxlab.reports.sections.bench import all_variants
from detoxlab.reports.sections.by_group import by_group
from detoxlab.reports.sections.compared import guards, what_changed
from detoxlab.reports.sections.drawn import flows, scores, training
from detoxlab.reports.sections.examples import examples_shown
from detoxlab.reports.sections.judges import judges
from detoxlab.reports.sections.measured import groups, quality, toxicity
from detoxlab.reports.sections.provenance import provenance
from detoxlab.reports.sections.reproduce import reproduce
from detoxlab.reports.sections.strength import strength
from detoxlab.reports.sections.usefulness import usefulness
from detoxlab.reports.sections.win_rates import win_rates
from detoxlab.reports.study import Study
from detoxlab.reports.tradeoff.section import trade_off

SECTIONS: tuple[Callable[[Study], Section], ...] = (
    all_variants,
    trade_off,
    strength,
    what_changed,
    guards,
    usefulness,
    win_rates,
    toxicity,
    by_group,
    flows,
    scores,
    training,
    examples_shown,
    listening,
    groups,
    quality,
    judges,
    reproduce,
    provenance,
)


def sections(study: Study) -> list[Section]:
    """Every section in the order of the page, including empty ones."""
    return [make(study) for make in SECTIONS]
