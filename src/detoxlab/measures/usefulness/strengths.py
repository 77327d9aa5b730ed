"""A ranking of models from wins and ties between every two of them.

Arrays are P prompts × N models × N models: `wins_PNN[p, i, j]` counts the pairs of responses to
prompt p in which model i won against j, a tie half on either side. The diagonal is 0.
"""

from collections.abc import Sequence

import numpy as np

from detoxlab.measures.catalogue import MEASURES
from detoxlab.measures.statistics import FloatArray, divide, interval_from, resampled_sums
from detoxlab.records import RESAMPLES, Measurement

MOST_STEPS = 2_000
SETTLED = 1e-7  # of a log-strength per step


def log_strengths(wins: FloatArray) -> FloatArray:
    """Bradley–Terry log-strengths (…, N) from counts of wins (…, N, N); higher is better.

    Model i wins against j with probability 1 / (1 + exp(s_j − s_i)), the strengths s in nats,
    with mean 0. One tie is added to each two models, so that a model which always wins keeps a
    finite strength.

    Source: Bradley and Terry 1952; the iteration is eq. 3 of Hunter 2004, MM algorithms for
    generalized Bradley–Terry models. Departure: a tie counts as half a win of either side.

    >>> wins = np.array([[0.0, 29.5], [9.5, 0.0]])
    >>> (log_strengths(wins) * 2 / np.log(3)).round(3).tolist()
    [1.0, -1.0]
    """
    models = wins.shape[-1]
    counted = wins + 0.5 * (1 - np.eye(models))
    won, met = counted.sum(axis=-1), counted + np.swapaxes(counted, -1, -2)
    log = np.zeros(won.shape)
    for _ in range(MOST_STEPS):
        strength = np.exp(log)
        shares = met / (strength[..., :, None] + strength[..., None, :])
        after = np.log(won) - np.log(shares.sum(axis=-1))
        after -= after.mean(axis=-1, keepdims=True)
        moved = float(np.abs(after - log).max(initial=0.0))
        log = after
        if moved < SETTLED:
            break
    return log


def mean_win_rates(wins: FloatArray) -> FloatArray:
    """Each model's win rate (…, N), meaned over the other models; NaN where two never met.

    >>> mean_win_rates(np.array([[0.0, 3.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])).tolist()
    [0.625, 0.375, 0.5]
    """
    models = wins.shape[-1]
    met = wins + np.swapaxes(wins, -1, -2)
    rates = np.where(np.eye(models, dtype=bool), 0.0, divide(wins, met))
    return np.asarray(rates.sum(axis=-1) / (models - 1), dtype=np.float64)


def ranking_measurements(
    names: Sequence[str],
    wins_PNN: FloatArray,
    *,
    protocol: str,
    scorer_id: str,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Measurement]:
    """Strength and mean win rate of each model, the strongest first; `group` is the model's name.

    Intervals are bootstrapped over prompts, which all pairs of models share. They are unknown with
    one prompt, and where all pairs are ties. `n` counts the prompts with a vote about the model.
    """
    prompts, models = wins_PNN.shape[:2]
    columns_PS = wins_PNN.reshape(prompts, -1)
    total_NN = wins_PNN.sum(axis=0)
    met_N = (wins_PNN.sum(axis=2) + wins_PNN.sum(axis=1) > 0).sum(axis=0)
    resampled_RS = resampled_sums(columns_PS, seed=seed, resamples=resamples)
    resampled_RNN = resampled_RS.reshape(-1, models, models)
    found = []
    for name, statistic in (("strength", log_strengths), ("mean_win_rate", mean_win_rates)):
        value_N, resampled_RN = statistic(total_NN), statistic(resampled_RNN)
        without_PN = statistic(total_NN - wins_PNN)
        for at, model in enumerate(names):
            value = float(value_N[at])
            interval = interval_from(value, resampled_RN[:, at], without_PN[:, at])
            is_known = interval is not None and interval.low < interval.high
            found.append(
                MEASURES[name].measurement(
                    value=value if np.isfinite(value) else None,
                    ci_low=interval.low if interval and is_known else None,
                    ci_high=interval.high if interval and is_known else None,
                    n=int(met_N[at]),
                    group=model,
                    scorer_id=scorer_id,
                    protocol=protocol,
                )
            )
    order = np.argsort(-log_strengths(total_NN), kind="stable")
    return [found[step + at] for at in order for step in (0, models)]
