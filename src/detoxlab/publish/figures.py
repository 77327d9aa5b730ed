"""The figures of a model card: about ten rows, with the verdict above them."""

from collections.abc import Iterable, Sequence

from detoxlab.comparisons.evidence import limit_shown
from detoxlab.markup.numbers import UNKNOWN, difference, interval, number, span
from detoxlab.measures.catalogue import DECIDING, described
from detoxlab.publish.content import CardContent
from detoxlab.publish.markdown import section, table
from detoxlab.records import Comparison, Difference, Guard, Measurement

OF_THE_JUDGE = (DECIDING, "expected_maximum_toxicity", "toxicity_probability")
COSTS = ("perplexity", "similarity", "distinct_2", "empty", "refusals")
Key = tuple[str, str | None, str | None]


def measured_section(content: CardContent) -> str:
    """The verdict of each comparison, then the main rows of every measured model."""
    if not content.measured:
        return section("Measured", "Nothing was measured. Until it is, nothing is known.")
    verdicts = [_verdict(one) for one in content.comparisons]
    return section("Measured", "\n\n".join([*verdicts, _bench(content), _table(content)]))


def main_rows(rows: Iterable[Measurement]) -> list[Measurement]:
    """About ten rows of a measured table: the judge's, one of each other scorer, and the costs.

    The judge is the scorer of the first toxic fraction, as in every measured table.
    """
    overall = [row for row in rows if row.group is None and row.subset in (None, "P")]
    judge = next((row for row in overall if row.name == DECIDING), None)
    if judge is None:
        return [row for row in overall if row.name in COSTS]
    judged = {
        row.name: row
        for row in overall
        if (row.scorer_id, row.attribute) == (judge.scorer_id, judge.attribute)
    }
    others: dict[str | None, Measurement] = {}
    for row in overall:
        if row.name == DECIDING and row.scorer_id != judge.scorer_id:
            others.setdefault(row.scorer_id, row)
    costs = [row for name in COSTS for row in overall if row.name == name]
    return [*(judged[name] for name in OF_THE_JUDGE if name in judged), *others.values(), *costs]


def _verdict(comparison: Comparison) -> str:
    head = (
        f"**Verdict: {comparison.verdict}**, {comparison.treated} against {comparison.baseline} "
        f"by the judge `{comparison.judge_id}`."
    )
    lines = [*comparison.sentences, _guards(comparison.guards)]
    return "\n".join([head, "", *(f"- {line}" for line in lines if line)])


def _guards(guards: Sequence[Guard]) -> str:
    """A sentence about the guards: those beyond their limits with their figures, by name."""
    if not guards:
        return ""
    beyond = [f"{_label(one.name)} {_moved(one)}" for one in guards if one.status == "worse"]
    unknown = [_label(one.name) for one in guards if one.status == "unknown"]
    if not beyond and not unknown:
        return f"All {len(guards)} guards are within their limits."
    named = (("Beyond its limit", beyond), ("Unknown", unknown))
    return " ".join(f"{title}: {', '.join(found)}." for title, found in named if found)


def _moved(guard: Guard) -> str:
    unit = described(guard.name).unit
    before, after = number(guard.baseline, unit), number(guard.treated, unit)
    return f"{before} → {after} (limit {limit_shown(guard.limit, unit)})"


def _bench(content: CardContent) -> str:
    """A sentence about the prompts and the numbers in the table."""
    rows = [row for found in content.measured.values() for row in main_rows(found)]
    first = next((row for row in rows if row.protocol), None)
    bench = f"Protocol {first.protocol}, {first.n} prompts, k = {first.k}. " if first else ""
    return f"{bench}Values with 95 % intervals; `unknown` is not zero."


def _table(content: CardContent) -> str:
    tables = {
        name: {_key(row): row for row in main_rows(rows)} for name, rows in content.measured.items()
    }
    keys = list(dict.fromkeys(key for found in tables.values() for key in found))
    only = content.comparisons[0] if len(content.comparisons) == 1 else None
    rows = []
    for key in keys:
        first = next(found[key] for found in tables.values() if key in found)
        cells = [_value(found.get(key)) for found in tables.values()]
        change = [_change(only, key)] if only else []
        rows.append((_title(first), first.scorer_id or "", first.direction, *cells, *change))
    head = ("measure", "by", "better", *tables, *(["change"] if only else []))
    return table(head, rows)


def _key(row: Measurement | Difference) -> Key:
    return (row.name, row.scorer_id, row.attribute)


def _change(comparison: Comparison, key: Key) -> str:
    """The paired difference of a row of the table, or of the guard of that name; "" without one."""
    differences: list[Difference | Guard] = [
        row for row in comparison.overall if row.subset in (None, "all") and _key(row) == key
    ]
    guards = [guard for guard in comparison.guards if guard.name == key[0]]
    row = next(iter((*differences, *guards)), None)
    if row is None:
        return ""
    unit = described(row.name).unit
    text = difference(row.difference, unit)
    return text if row.ci_low is None else f"{text} ({span(row.ci_low, row.ci_high, unit)})"


def _label(name: str) -> str:
    return described(name).label


def _title(row: Measurement) -> str:
    attribute = f" ({row.attribute})" if row.attribute not in (None, "toxicity") else ""
    return _label(row.name) + attribute


def _value(row: Measurement | None) -> str:
    if row is None or row.value is None:
        return UNKNOWN
    text = number(row.value, row.unit)
    if row.ci_low is not None:
        text += f" ({interval(row.ci_low, row.ci_high, row.unit)})"
    if row.coverage is not None and row.coverage < 1:
        text += f", {number(row.coverage)} scored"
    return text
