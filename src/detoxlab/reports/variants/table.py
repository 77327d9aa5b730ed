"""The one table of all variants: what each gained on every bench, and what it cost."""

from detoxlab.reports.parts import Table, without_empty_columns
from detoxlab.reports.published import Published
from detoxlab.reports.study import Study
from detoxlab.reports.variants.beside import rows_to_publish, with_rows_beside
from detoxlab.reports.variants.cells import with_void_note
from detoxlab.reports.variants.columns import parts_of

NOTE = (
    "Toxic shares are on comparable responses; the baseline's own is of all of its responses. "
    "Perplexity is that of the responses under the untouched base model."
)
BENCHES_NOTE = " The same models on further benches: {}; each has a report of its own."
USEFUL_NOTE = " Usefulness: treated minus baseline, or a multiple of it, with its 95 % interval."
COST_NOTE = (
    " Time is that of the clock; training includes drawing and scoring the model's own responses. "
    "Memory is the peak while it trained, of the GPU or else of the whole process, libraries "
    "included. Seconds per 1,000 tokens are those of drawing the measured responses: of the "
    "processor, or of the clock on a GPU. ≥ says that a part of the run was killed and its time is "
    "unknown."
)


def variants_table(study: Study) -> Table | None:
    """One row for each run, the baseline first; None where there are no two variants.

    Columns that are empty for all runs are left out.
    """
    if len(study.gains) < (1 if study.beside else 2):
        return None
    whole = _own_table(study)
    shown = with_rows_beside(study, whole) if study.beside else whole
    return without_empty_columns(shown)


def published_of(study: Study) -> Published | None:
    """The rows of the table for other experiments on this bench; None where there is no variant.

    Rows of other experiments are not among them.
    """
    return rows_to_publish(study, _own_table(study)) if study.gains else None


# --- inside ---


def _own_table(study: Study) -> Table:
    parts = list(parts_of(study))
    gains = {one.treated: one for one in study.gains}
    rows = tuple(
        tuple(cell for part in parts for cell in part.cells(run, gains.get(run.name)))
        for run in study.measured
        if run.name in gains or run is study.baseline
    )
    benches = ", ".join(study.also)
    note = (
        NOTE
        + (BENCHES_NOTE.format(benches) if benches else "")
        + (USEFUL_NOTE if study.usefulness else "")
        + COST_NOTE
    )
    columns = tuple(column for part in parts for column in part.columns)
    return Table(
        "variants",
        "All variants on one bench",
        columns,
        rows,
        with_void_note(note, study.gains),
        first=len(rows),
        sortable=True,
    )
