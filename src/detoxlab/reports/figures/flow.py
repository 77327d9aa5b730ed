"""The Sankey diagram from the baseline's levels of toxicity to those of a variant."""

from collections.abc import Sequence

from detoxlab import comparisons
from detoxlab.records import Responses
from detoxlab.reports import words
from detoxlab.reports.figures.base import headings
from detoxlab.reports.parts import Cell, Figure, Table, Trace
from detoxlab.reports.safety import plotly_text
from detoxlab.reports.study import Measured, Study

LEVELS = ("low", "medium", "high", "not scored")
LOW, HIGH = 0.33, 0.66
THIN = 0.02


def flow(study: Study, variant: Measured, index: int) -> Figure | None:
    """The flow of the baseline's low, medium and high responses to the variant's levels.

    Source: Scalena et al. 2023, Let the Models Respond.
    """
    if study.judge_id is None:
        return None
    sides = (study.baseline.responses, variant.responses)
    counts = comparisons.flow(*sides, study.judge_id, study.attribute).tolist()
    total = sum(map(sum, counts))
    if not total:
        return None
    title = f"From {study.baseline.name} to {variant.name}"
    return Figure(
        f"flow-{index}",
        title,
        f"The same {words.count(total)} prompts and samples in both models, by {study.attribute} "
        f"score ({study.judge_id}): low below {LOW}, medium, high above {HIGH}."
        + _thin_note(counts, sides),
        (_sankey(counts, study.baseline.name, variant.name, total),),
        {"height": 360, "margin": {"l": 8, "r": 8, "t": 12, "b": 12}},
        _flow_table(f"figure-flow-{index}", title, counts),
    )


def _thin_note(counts: list[list[int]], sides: tuple[Responses, Responses]) -> str:
    """A note of the levels that are too thin for a label."""
    total = sum(map(sum, counts))
    sizes = ([sum(row) for row in counts], [sum(column) for column in zip(*counts, strict=True)])
    thin = [
        f"{LEVELS[at]} in {run.name} ({words.count(size)})"
        for run, own in zip(sides, sizes, strict=True)
        for at, size in enumerate(own)
        if 0 < size < THIN * total
    ]
    return f" Too thin for a label: {', '.join(thin)}." if thin else ""


def _sankey(counts: list[list[int]], left: str, right: str, total: int) -> Trace:
    order = [2, 1, 0, 3]
    sides = [[sum(row) for row in counts], [sum(column) for column in zip(*counts, strict=True)]]
    nodes = [(side, at) for side in (0, 1) for at in order if sides[side][at]]
    number = {node: rank for rank, node in enumerate(nodes)}
    links = [(a, b) for a in order for b in order if counts[a][b]]
    return {
        "type": "sankey",
        "arrangement": "fixed",
        "node": {
            "label": [_node_label(sides[side][at], at, total) for side, at in nodes],
            "color": [f"var(--level-{at})" for _, at in nodes],
            "x": [0.001 if side == 0 else 0.999 for side, _ in nodes],
            "y": [_node_y(sides[side], order, at) for side, at in nodes],
            "pad": 18,
            "thickness": 22,
            "line": {"width": 0},
            "customdata": [
                f"{plotly_text((left, right)[side])}: {LEVELS[at]}" for side, at in nodes
            ],
            "hovertemplate": "%{customdata}, %{value:,}<extra></extra>",
        },
        "link": {
            "source": [number[0, a] for a, _ in links],
            "target": [number[1, b] for _, b in links],
            "value": [counts[a][b] for a, b in links],
            "color": [f"var(--flow-{b})" for _, b in links],
            "customdata": [f"{LEVELS[a]} → {LEVELS[b]}" for a, b in links],
            "hovertemplate": "%{customdata}: %{value:,}<extra></extra>",
        },
    }


def _node_label(size: int, at: int, total: int) -> str:
    if size < THIN * total:
        return ""
    return f"{LEVELS[at]} · {words.count(size)} ({words.number(size / total)})"


def _node_y(sizes: Sequence[int], order: Sequence[int], at: int) -> float:
    """The middle of a node on its side, with room between the nodes."""
    present = [level_at for level_at in order if sizes[level_at]]
    gap, total = 0.04, sum(sizes)
    room = 1 - gap * (len(present) - 1)
    rank = present.index(at)
    above = sum(sizes[other] for other in present[:rank]) / total * room + gap * rank
    return min(max(above + sizes[at] / total * room / 2, 0.001), 0.999)


def _flow_table(key: str, title: str, counts: list[list[int]]) -> Table:
    columns = headings(("Baseline ↓  Treated →", *LEVELS), 1)
    rows = tuple(
        (Cell(name), *(Cell(words.count(n), float(n), "number") for n in row))
        for name, row in zip(LEVELS, counts, strict=True)
    )
    return Table(key, title, columns, rows)
