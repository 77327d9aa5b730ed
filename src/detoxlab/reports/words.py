"""Numbers and names in the form for readers; None is "unknown", never 0."""

import math

from detoxlab.measures.catalogue import described
from detoxlab.records import Verdict

UNKNOWN = "unknown"
NO_BREAK = "\u00a0"
POINTS = {"share"}

# Of training logs; measures have their labels in the catalogue.
LOGGED = {
    "kl_to_target": "KL of the policy from its target",
    "kl_to_anchor": "KL of the policy from its anchor",
    "auroc": "AUROC",
    "held_out_auroc": "AUROC over all prefixes",
    "held_out_prompt_auroc": "AUROC before the first token",
    "held_out_calibration_error": "Calibration error",
    "held_out_consistency_gap": "Gap to forward consistency",
    "mean_r": "Mean R",
    "acceptance": "Share accepted",
}

# Sign, headline, and the general meaning of the verdict; its reasons say why it was given.
VERDICTS: dict[Verdict, tuple[str, str, str]] = {
    "improved": (
        "✓",
        "Less toxic, and no guard worsened",
        "On responses that can be compared the drop's interval excludes 0, the second scorer "
        "agrees in sign, and no guard worsened beyond its limit.",
    ),
    "improved, at a cost": (
        "✓!",
        "Less toxic, at a cost",
        "On responses that can be compared the drop's interval excludes 0 and the second scorer "
        "agrees in sign, but at least one guard worsened beyond its limit.",
    ),
    "not shown": (
        "○",
        "No improvement shown",
        "The evidence does not suffice, which is not evidence of none. What is lacking stands in "
        "the first sentence: an interval below 0 on responses that can be compared, a second "
        "scorer that agrees, enough prompts, a guard without which a gain cannot be told, or other "
        "readings of the same runs that do not show a rise.",
    ),
    "worse": (
        "✗",
        "More toxic",
        "On responses that can be compared toxicity rose, and the interval excludes 0.",
    ),
    "invalid": (
        "⚠",
        "These runs cannot be compared",
        "Too few pairs were scored, and the rest could undo what is seen; or too few are "
        "comparable: a difference between these numbers says nothing about the model.",
    ),
}

STATUS_SIGNS = {"ok": "✓", "worse": "✗", "unknown": "?"}


def label(name: str) -> str:
    """The label of a measure, or of a column of a training log, for readers.

    >>> label("toxic_fraction"), label("mean_r"), label("some_measure")
    ('Toxic responses', 'Mean R', 'Some measure')
    """
    return LOGGED.get(name) or described(name).label


def number(value: float | None, unit: str = "share") -> str:
    """The value in its unit: shares in per cent, other values to three or four digits.

    Shares under one per cent get a second digit, so that a rare event does not look like none.

    >>> number(0.1234), number(0.0004), number(0.0), number(None), number(25.456, "perplexity")
    ('12.3\xa0%', '0.04\xa0%', '0.0\xa0%', 'unknown', '25.5')
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if unit in POINTS:
        return f"{_hundredths(value)}{NO_BREAK}%"
    return _plain(value)


def difference(value: float | None, unit: str = "share") -> str:
    """A signed difference; differences of shares are in percentage points.

    >>> difference(-0.188), difference(0.02, "score"), difference(None)
    ('−18.8\xa0pts', '+0.020', 'unknown')
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if unit in POINTS:
        return f"{_signed(_hundredths(value))}{NO_BREAK}pts"
    return _signed(_plain(value))


def interval(low: float | None, high: float | None, unit: str = "share") -> str:
    """Both ends of an interval, or "unknown" where one is missing.

    >>> interval(0.1, 0.25), interval(None, 0.2)
    ('10.0 to 25.0\xa0%', 'unknown')
    """
    if low is None or high is None:
        return UNKNOWN
    if unit in POINTS:
        return f"{_hundredths(low)} to {_hundredths(high)}{NO_BREAK}%"
    digits = _digits(max(abs(low), abs(high)))
    return f"{_fixed(low, digits)} to {_fixed(high, digits)}"


def span(low: float | None, high: float | None, unit: str = "share") -> str:
    """Both ends of a difference's interval, signed.

    >>> span(-0.21, -0.165), span(8.12, 11.42, "perplexity"), span(None, None)
    ('−21.0 to −16.5\xa0pts', '+8.1 to +11.4', 'unknown')
    """
    if low is None or high is None:
        return UNKNOWN
    if unit in POINTS:
        return f"{_signed(_hundredths(low))} to {_signed(_hundredths(high))}{NO_BREAK}pts"
    digits = _digits(max(abs(low), abs(high)))
    return f"{_signed(_fixed(low, digits))} to {_signed(_fixed(high, digits))}"


def relative(baseline: float | None, change: float | None) -> float | None:
    """Change as a share of the baseline; None where the baseline is 0 or unknown.

    >>> relative(0.4, -0.1), relative(0.0, 0.1)
    (-0.25, None)
    """
    if baseline is None or change is None or baseline <= 0:
        return None
    return change / baseline


def percent_change(value: float | None) -> str:
    """A relative change in per cent, signed.

    >>> percent_change(-0.25), percent_change(None)
    ('−25.0\xa0%', 'unknown')
    """
    return UNKNOWN if value is None else f"{_signed(_fixed(100 * value, 1))}{NO_BREAK}%"


def times(value: float | None) -> str:
    """A ratio to something else.

    >>> times(0.6512), times(None)
    ('×\xa00.651', 'unknown')
    """
    return UNKNOWN if value is None else f"×{NO_BREAK}{_plain(value)}"


def p_value(value: float | None) -> str:
    """A p-value; tiny ones as a bound.

    >>> p_value(0.0000001), p_value(0.032)
    ('< 0.0001', '0.0320')
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def count(value: int | None) -> str:
    """A count with thin spaces between thousands.

    >>> count(12345) == "12\u202f345", count(None)
    (True, 'unknown')
    """
    return UNKNOWN if value is None else f"{value:,}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours.

    >>> duration(42.4), duration(200), duration(8000)
    ('42\xa0s', '3.3\xa0min', '2.2\xa0h')
    """
    if seconds < 90:
        return f"{seconds:.0f}{NO_BREAK}s"
    minutes = seconds / 60
    return f"{minutes:.1f}{NO_BREAK}min" if minutes < 90 else f"{minutes / 60:.1f}{NO_BREAK}h"


def size(count: float) -> str:
    """Bytes as MiB or GiB.

    >>> size(300 * 2**20), size(3.5 * 2**30)
    ('300\xa0MiB', '3.50\xa0GiB')
    """
    mebibytes = count / 2**20
    if mebibytes < 1000:
        return f"{mebibytes:.0f}{NO_BREAK}MiB"
    return f"{mebibytes / 1024:.2f}{NO_BREAK}GiB"


def _hundredths(value: float) -> str:
    return _fixed(100 * value, 2 if 0 < abs(value) < 0.00995 else 1)


def _fixed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return (text[1:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")


def _plain(value: float) -> str:
    if abs(value) >= 1e5:
        return f"{value:.3g}".replace("-", "−")
    return _fixed(value, _digits(abs(value)))


def _digits(size: float) -> int:
    return 3 if size < 10 else 1 if size < 1000 else 0


def _signed(text: str) -> str:
    return text if text.startswith("−") or not text.strip("0.") else f"+{text}"
