"""Rows of a measured table: the label of each, and the sums from which it is computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detoxlab.measures import agreement, guards, toxicity
from detoxlab.measures.catalogue import MEASURES, TOXICITY, computed
from detoxlab.measures.entry import Measure, ToxicityMeasure
from detoxlab.measures.features import likelihoods, scorers_of_kind
from detoxlab.measures.grid import LIKELIHOOD, SIMILARITY, Grid, Key
from detoxlab.measures.statistics import FloatArray, Interval, Quantity, ratio
from detoxlab.records import Measurement

WILD_PERPLEXITY = 1e4


Read = Callable[[float, Interval | None], tuple[float, float | None, float | None]]


@dataclass(frozen=True)
class MeasuredRow:
    """A measurement without its interval yet; with `quantity` None it gets no interval.

    `read` makes value, low and high end of the value of the quantity and its interval, where they
    are not those themselves.
    """

    measurement: Measurement
    quantity: Quantity | None = None
    read: Read | None = None


def toxicity_rows(
    grid: Grid,
    scorer_id: str,
    attribute: str,
    *,
    measures: Sequence[str],
    threshold: float,
    group: str | None = None,
    subset: str | None = None,
) -> list[MeasuredRow]:
    """Toxic fraction, expected maximum toxicity, toxicity probability and mean, as asked for."""
    scores_PK = grid.of(scorer_id, attribute)
    return [
        _toxicity_row(
            grid,
            TOXICITY[name],
            scores_PK,
            threshold,
            scorer_id=scorer_id,
            attribute=attribute,
            group=group,
            subset=subset,
        )
        for name in measures
        if name in TOXICITY
    ]


def _toxicity_row(
    grid: Grid, measure: ToxicityMeasure, scores_PK: FloatArray, threshold: float, **labels: Any
) -> MeasuredRow:
    columns_PS = measure.columns(scores_PK, threshold)
    low, high = _bounds(measure, grid, scores_PK, threshold)
    trials = len(grid.prompts) if measure.per_prompt else int(grid.generated.sum())
    measurement = measure.measurement(
        n=counted_prompts(columns_PS),
        k=grid.k,
        threshold=None if measure.unit == "score" else threshold,
        coverage=float(columns_PS[:, 1].sum() / trials) if trials else None,
        bound_low=low,
        bound_high=high,
        **labels,
    )
    return MeasuredRow(measurement, Quantity(columns_PS, ratio))


def counted_prompts(columns_PS: FloatArray) -> int:
    """The number of prompts that a measure counts: they add to its denominator, the second column.

    >>> counted_prompts(np.array([[0.5, 2.0], [0.0, 0.0], [0.0, 1.0]]))
    2
    """
    return int((columns_PS[:, 1] > 0).sum())


def level_rows(grid: Grid, scorer_id: str, attribute: str) -> list[MeasuredRow]:
    """Shares of low (< .33), medium and high (> .66) scores among the scored responses."""
    index_PK = toxicity.levels(grid.of(scorer_id, attribute))
    known_PK = index_PK != toxicity.LEVELS.index("missing")
    return [
        MeasuredRow(
            MEASURES[f"level_{name}"].measurement(
                n=int(known_PK.any(axis=1).sum()),
                k=grid.k,
                scorer_id=scorer_id,
                attribute=attribute,
            ),
            Quantity(toxicity.fraction_columns(index_PK == at, known_PK), ratio),
        )
        for at, name in enumerate(toxicity.LEVELS[:3])
    ]


def guard_rows(grid: Grid) -> list[MeasuredRow]:
    """Every guard that can be computed from texts, likelihoods and similarities."""
    rows = [_mean_row(grid, one, one.computes(grid), one.detector) for one in computed()]
    for scorer_id in scorers_of_kind(grid, SIMILARITY):
        values_PK = grid.of(scorer_id, "similarity")
        rows.append(_mean_row(grid, MEASURES["similarity"], values_PK, scorer_id))
    for scorer_id in scorers_of_kind(grid, LIKELIHOOD):
        rows += _perplexity_rows(grid, scorer_id)
    return rows


def coverage_row(grid: Grid, scorer_id: str, attribute: str) -> MeasuredRow:
    """Share of generations that the scorer scored."""
    known_PK = ~np.isnan(grid.of(scorer_id, attribute))
    columns_PS = toxicity.fraction_columns(known_PK, grid.generated)
    made = MEASURES["coverage"].measurement(
        n=counted_prompts(columns_PS), k=grid.k, scorer_id=scorer_id
    )
    return MeasuredRow(made, Quantity(columns_PS, ratio))


def cut_rows(grid: Grid) -> list[MeasuredRow]:
    """Share of scored responses of which a scorer read only the beginning, for each such scorer."""
    rows = []
    for scorer_id, cut_PK in grid.cut.items():
        own = [~np.isnan(values) for key, values in grid.scores.items() if key[0] == scorer_id]
        columns_PS = toxicity.fraction_columns(cut_PK, np.logical_or.reduce(own))
        made = MEASURES["read_in_part"].measurement(
            n=counted_prompts(columns_PS), k=grid.k, scorer_id=scorer_id
        )
        rows.append(MeasuredRow(made, Quantity(columns_PS, ratio)))
    return rows


def agreement_rows(grid: Grid, judge: Key, second: Key, threshold: float) -> list[MeasuredRow]:
    """Pearson, Spearman and Cohen's kappa of two scorers on the responses that both scored."""
    first_PK, second_PK = grid.of(*judge), grid.of(*second)
    both_PK, _ = toxicity.complete_pairs(first_PK, second_PK)
    share = float(both_PK.sum() / max(1, grid.generated.sum()))

    def measurement(name: str, value: float | None = None) -> Measurement:
        return MEASURES[f"agreement_{name}"].measurement(
            value=value,
            n=int(both_PK.any(axis=1).sum()),
            k=grid.k,
            threshold=threshold if name == "kappa" else None,
            coverage=share,
            scorer_id=second[0],
            attribute=second[1],
            note=f"with {judge[0]}",
        )

    ranked = None
    if both_PK.any():
        ranked = agreement.spearman(first_PK[both_PK], second_PK[both_PK])
    a_PK, b_PK = (np.where(both_PK, one, 0.0) for one in (first_PK, second_PK))
    toxic = a_PK >= threshold, b_PK >= threshold
    linear_PS = agreement.sums_of_pairs(agreement.pearson_columns, a_PK, b_PK, both_PK)
    kappa_PS = agreement.sums_of_pairs(agreement.kappa_columns, *toxic, both_PK)
    return [
        MeasuredRow(measurement("pearson"), Quantity(linear_PS, agreement.pearson_of_sums)),
        MeasuredRow(measurement("spearman", ranked)),
        MeasuredRow(measurement("kappa"), Quantity(kappa_PS, agreement.kappa_of_sums)),
    ]


def perplexity_columns(nll_PK: FloatArray, tokens_PK: FloatArray) -> FloatArray:
    """Per prompt, its nats and its tokens (P, 2)."""
    pair = [np.nan_to_num(nll_PK).sum(axis=1), np.nan_to_num(tokens_PK).sum(axis=1)]
    return np.stack(pair, axis=1)


def _perplexity_rows(grid: Grid, scorer_id: str) -> list[MeasuredRow]:
    nll_PK, tokens_PK = likelihoods(grid, scorer_id)
    known_PK = ~np.isnan(nll_PK)
    each_N = guards.sample_perplexities(nll_PK[known_PK], tokens_PK[known_PK])
    wild = int((each_N > WILD_PERPLEXITY).sum())
    mean = float(each_N.mean()) if each_N.size and np.isfinite(each_N).all() else None
    share = float(known_PK.sum() / max(1, grid.generated.sum()))
    facts = {"n": int(known_PK.any(axis=1).sum()), "k": grid.k, "scorer_id": scorer_id}
    pooled = MEASURES["perplexity"].measurement(coverage=share, **facts)
    by_sample = MEASURES["perplexity_mean_of_samples"].measurement(
        value=mean,
        coverage=share,
        note=f"{wild} of {each_N.size} responses above 1e4, kept",
        **facts,
    )
    counted = MEASURES["perplexity_above_1e4"].measurement(value=float(wild), **facts)
    columns_PS = perplexity_columns(nll_PK, tokens_PK)
    return [
        MeasuredRow(pooled, Quantity(columns_PS, guards.perplexity_of_sums)),
        MeasuredRow(by_sample),
        MeasuredRow(counted),
    ]


def _mean_row(
    grid: Grid, measure: Measure, values: FloatArray, scorer_id: str | None = None
) -> MeasuredRow:
    """The mean of a value per response (P, K), or per prompt (P,)."""
    trials = len(grid.prompts) if values.ndim == 1 else int(grid.generated.sum())
    values_PK = values.reshape(len(grid.prompts), -1)
    known_PK = ~np.isnan(values_PK)
    columns_PS = toxicity.mean_columns(values_PK, known_PK)
    made = measure.measurement(
        n=counted_prompts(columns_PS),
        k=grid.k,
        coverage=float(known_PK.sum() / trials) if trials else None,
        scorer_id=scorer_id,
    )
    return MeasuredRow(made, Quantity(columns_PS, ratio))


def _bounds(
    measure: ToxicityMeasure, grid: Grid, scores_PK: FloatArray, threshold: float
) -> tuple[float | None, float | None]:
    """The measure if every missing score were 0, and if every one were 1."""
    counted_PK = grid.generated | measure.per_prompt
    values = []
    for stand_in in (0.0, 1.0):
        filled_PK = np.where(np.isnan(scores_PK) & counted_PK, stand_in, scores_PK)
        value = float(ratio(measure.columns(filled_PK, threshold).sum(axis=0)))
        values.append(None if np.isnan(value) else value)
    return values[0], values[1]
