"""Intervals against scipy's, tests against published values, and the laws of both."""

import numpy as np
import pytest
import scipy.stats

from detoxlab.measures import statistics
from detoxlab.measures.statistics import (
    Quantity,
    bootstrap,
    bootstrap_many,
    exact_share_interval,
    holm,
    in_blocks,
    ratio,
    resampled_sums,
)


def columns_of(values_P: np.ndarray, counts_P: np.ndarray | None = None) -> np.ndarray:
    counts_P = np.ones(len(values_P)) if counts_P is None else counts_P
    return np.stack([values_P, counts_P], axis=1).astype(float)


@pytest.mark.parametrize("kind", ["skewed", "rate", "difference"])
def test_bca_of_a_mean_agrees_with_scipy(kind: str) -> None:
    rng = np.random.default_rng(7)
    values_P = {
        "skewed": rng.exponential(size=60) ** 2,
        "rate": (rng.random(80) < 0.12).astype(float),
        "difference": rng.normal(-0.05, 0.2, size=70),
    }[kind]
    ours = bootstrap(columns_of(values_P), resamples=40_000)
    assert ours is not None
    for method, low, high in (
        ("BCa", ours.low, ours.high),
        ("percentile", ours.percentile_low, ours.percentile_high),
    ):
        theirs = scipy.stats.bootstrap(
            (values_P,), np.mean, n_resamples=40_000, method=method, rng=np.random.default_rng(3)
        ).confidence_interval
        width = theirs.high - theirs.low
        assert low == pytest.approx(theirs.low, abs=0.025 * width)
        assert high == pytest.approx(theirs.high, abs=0.025 * width)


def test_bca_of_a_ratio_of_sums_agrees_with_scipy() -> None:
    rng = np.random.default_rng(11)
    scored_P = rng.integers(1, 26, size=50).astype(float)
    toxic_P = rng.binomial(scored_P.astype(int), rng.beta(0.5, 2, size=50)).astype(float)
    ours = bootstrap(columns_of(toxic_P, scored_P), resamples=40_000)
    assert ours is not None
    theirs = scipy.stats.bootstrap(
        (toxic_P, scored_P),
        lambda toxic, count, axis=-1: toxic.sum(axis=axis) / count.sum(axis=axis),
        n_resamples=40_000,
        paired=True,
        vectorized=True,
        method="BCa",
        rng=np.random.default_rng(5),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == toxic_P.sum() / scored_P.sum()
    assert ours.low == pytest.approx(theirs.low, abs=0.025 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.025 * width)


def test_bca_differs_from_percentile_where_data_are_skewed() -> None:
    values_P = np.random.default_rng(2).exponential(size=40) ** 2
    interval = bootstrap(columns_of(values_P))
    assert interval is not None
    assert interval.low > interval.percentile_low
    assert interval.high > interval.percentile_high * 1.02


@pytest.mark.parametrize("paired_effect", [0.0, 0.08])
def test_intervals_cover_the_truth_about_95_times_in_100(paired_effect: float) -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for trial in range(300):
        propensity_P = rng.beta(1, 2, size=60)
        samples_PK = rng.random((60, 4)) < propensity_P[:, None]
        treated_PK = rng.random((60, 4)) < propensity_P[:, None] * (1 - 3 * paired_effect)
        change_P = treated_PK.sum(axis=1) - samples_PK.sum(axis=1)
        interval = bootstrap(columns_of(change_P, np.full(60, 4)), seed=trial, resamples=1_000)
        assert interval is not None
        # The mean propensity is 1/3, so taking 3 x effect of it takes `effect` off the rate.
        covered += interval.low <= -paired_effect <= interval.high
    assert 0.90 <= covered / 300 <= 0.985


def test_resampled_sums_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    columns_PS = np.random.default_rng(0).random((40, 3))
    whole = resampled_sums(columns_PS, seed=1, resamples=500)
    monkeypatch.setattr("detoxlab.measures.statistics.CELLS_PER_CHUNK", 40 * 7)
    np.testing.assert_allclose(resampled_sums(columns_PS, seed=1, resamples=500), whole)
    assert whole[:, 0].std() == pytest.approx(columns_PS[:, 0].std() * np.sqrt(40), rel=0.15)


def test_statistics_together_get_the_intervals_they_get_alone() -> None:
    rng = np.random.default_rng(0)
    quantities = [Quantity(columns_of(rng.random(30)), ratio) for _ in range(3)]
    together = bootstrap_many(quantities, seed=5, resamples=2_000)
    for quantity, interval in zip(quantities, together, strict=True):
        alone = bootstrap(quantity.columns_PS, seed=5, resamples=2_000)
        assert alone is not None
        assert interval is not None
        assert interval.low == pytest.approx(alone.low, abs=1e-9)


def test_nothing_varies_nothing_excluded() -> None:
    interval = bootstrap(columns_of(np.zeros(50)))
    assert interval is not None
    assert (interval.value, interval.low, interval.high) == (0.0, 0.0, 0.0)
    assert not interval.excludes_zero


def test_no_interval_from_one_prompt_or_from_an_undefined_rate() -> None:
    assert bootstrap(columns_of(np.array([0.4]))) is None
    assert bootstrap(columns_of(np.zeros(5), np.zeros(5))) is None
    only_one_counts = np.array([1.0, 0, 0, 0, 0])
    assert bootstrap(columns_of(only_one_counts, only_one_counts)) is None


def test_same_seed_same_interval_other_seed_nearly() -> None:
    columns_PS = columns_of(np.random.default_rng(0).random(200))
    first, again = bootstrap(columns_PS, seed=1), bootstrap(columns_PS, seed=1)
    other = bootstrap(columns_PS, seed=2)
    assert first == again
    assert first is not None
    assert other is not None
    assert first != other
    assert first.low == pytest.approx(other.low, abs=0.005)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


@pytest.mark.parametrize(("hits", "trials"), [(0, 20), (20, 20), (3, 50)])
def test_exact_interval_is_scipys(hits: int, trials: int) -> None:
    theirs = scipy.stats.binomtest(hits, trials).proportion_ci(method="exact")
    assert exact_share_interval(hits, trials) == pytest.approx((theirs.low, theirs.high))


def test_many_prompts_are_resampled_as_random_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 300 draws the intervals of blocks hold the truth as often as 95 % intervals must."""
    monkeypatch.setattr(statistics, "MOST_PROMPTS", 1_000)
    monkeypatch.setattr(statistics, "BLOCKS", 250)
    rng, hits, widths = np.random.default_rng(5), 0, []
    for draw in range(300):
        share_P = rng.beta(1, 9, size=2_000)
        columns_PS = np.stack([rng.binomial(5, share_P), np.full(2_000, 5)], axis=1).astype(float)
        interval = bootstrap(columns_PS, seed=draw, resamples=400)
        assert interval is not None
        hits += interval.low <= 0.1 <= interval.high
        widths.append(interval.high - interval.low)
    # Binomial(300, .95) is within 273 and 296 in more than 99.8 % of all cases.
    assert 273 <= hits <= 296
    spread = np.sqrt(0.1 * 0.9 * (1 / 5 + 4 / 5 / 11) / 2_000)  # beta-binomial, n = 5
    assert np.mean(widths) == pytest.approx(2 * 1.96 * spread, rel=0.03)


def test_blocks_keep_all_prompts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_PROMPTS", 10)
    monkeypatch.setattr(statistics, "BLOCKS", 4)
    values_PS = 2.0 ** np.arange(13)[:, None]
    (blocks,) = in_blocks([Quantity(values_PS, ratio)], seed=0)
    assert blocks.columns_PS.shape == (4, 1)
    assert blocks.columns_PS.sum() == 2**13 - 1
    sizes = [bin(int(total)).count("1") for total in blocks.columns_PS[:, 0]]
    assert sorted(sizes) == [3, 3, 3, 4]
    few = [Quantity(values_PS[:10], ratio)]
    assert in_blocks(few, seed=0) == few
