"""The figures of an audit: their units, the better direction, and labels for people."""

from detoxlab.measures.entry import Measure
from detoxlab.records import Direction


def _area(name: str, label: str, description: str) -> Measure:
    return Measure(name, label, description, "area", "higher", "agreement")


def _marked(name: str, label: str, description: str, direction: Direction = "lower") -> Measure:
    return Measure(name, label, description, "share", direction, "agreement")


_FIGURES = (
    _area("roc_auc", "ROC-AUC", "chance that a positive text scores above a negative one"),
    _marked("accuracy", "Accuracy", "texts on the right side of the threshold", "higher"),
    _marked("marked", "Marked", "texts at or above the threshold", "neither"),
    _marked(
        "denouncements_marked",
        "Denouncements marked",
        "denouncements that quote or mention hate, at or above the threshold",
    ),
    _marked(
        "neutral_marked",
        "Neutral statements marked",
        "neutral statements about a group, at or above the threshold",
    ),
    _marked(
        "positive_marked",
        "Positive statements marked",
        "positive statements about a group, at or above the threshold",
    ),
    Measure("mean_score", "Mean score", "mean of the scores", "score", "neither", "agreement"),
    _area("subgroup_auc", "Subgroup AUC", "toxic above harmless texts that mention the group"),
    _area("bpsn_auc", "BPSN AUC", "toxic texts without above harmless texts with the group"),
    _area("bnsp_auc", "BNSP AUC", "toxic texts with above harmless texts without the group"),
    Measure("pearson", "Pearson r", "linear correlation", "correlation", "higher", "agreement"),
    Measure("spearman", "Spearman ρ", "rank correlation", "correlation", "higher", "agreement"),
    Measure(
        "length_correlation",
        "Error against length",
        "rank correlation of the number of words with score minus reference",
        "correlation",
        "neither",
        "agreement",
    ),
    Measure(
        "calibration_error",
        "Calibration error",
        "mean over 15 equal-count bins of |mean score − mean reference|",
        "score",
        "lower",
        "agreement",
    ),
    Measure(
        "calibration_worst",
        "Worst bin",
        "the largest |mean score − mean reference| of the 15 bins",
        "score",
        "lower",
        "agreement",
    ),
    Measure(
        "batch_difference",
        "Largest difference by batch",
        "largest difference of a score between two batches with the same text",
        "score",
        "lower",
        "agreement",
    ),
    Measure(
        "texts_per_second", "Texts per second", "on one thread", "per second", "higher", "agreement"
    ),
    Measure(
        "tokens_per_second",
        "Tokens per second",
        "words and signs, on one thread",
        "per second",
        "higher",
        "agreement",
    ),
    Measure(
        "time_ratio",
        "Time against rtp-linear",
        "seconds for the same texts ÷ those of rtp-linear in the same run",
        "ratio",
        "lower",
        "agreement",
    ),
)

FIGURES: dict[str, Measure] = {one.name: one for one in _FIGURES}
