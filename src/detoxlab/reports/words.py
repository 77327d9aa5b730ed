"""Numbers and names in the form for readers; None is "unknown", never 0."""

import math
from collections.abc import Iterable

from detoxlab.markup.numbers import (
    NO_BREAK,
    UNKNOWN,
    difference,
    fixed,
    interval,
    number,
    plain,
    span,
    with_sign,
)
from detoxlab.measures.catalogue import described
from detoxlab.records import Verdict

__all__ = [
    "NO_BREAK",
    "UNKNOWN",
    "VERDICTS",
    "difference",
    "fixed",
    "interval",
    "number",
    "plain",
    "span",
    "with_sign",
]

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

# Subsets of the responses whose short names readers meet; the first is the literature's own.
SUBSETS = {
    "P+C": "P+C: responses to those prompts that the judge itself marks as toxic.",
    "P+H": "P+H: responses to those prompts that the scorer of hate marks as hateful.",
}

STATUS_SIGNS = {"ok": "✓", "worse": "✗", "unknown": "?"}


def label(name: str) -> str:
    """The label of a measure, or of a column of a training log, for readers.

    >>> label("toxic_fraction"), label("mean_r"), label("some_measure")
    ('Toxic responses', 'Mean R', 'Some measure')
    """
    return LOGGED.get(name) or described(name).label


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
    return UNKNOWN if value is None else f"{with_sign(fixed(100 * value, 1))}{NO_BREAK}%"


def subset_notes(subsets: Iterable[str | None]) -> str:
    """The meaning of each short name among the subsets.

    >>> subset_notes(["all", "P+C", "P+C"])
    'P+C: responses to those prompts that the judge itself marks as toxic.'
    """
    return " ".join(SUBSETS[name] for name in dict.fromkeys(subsets) if name in SUBSETS)


def times(value: float | None) -> str:
    """A ratio to something else.

    >>> times(0.6512), times(None)
    ('×\xa00.651', 'unknown')
    """
    return UNKNOWN if value is None else f"×{NO_BREAK}{plain(value)}"


def multiple(value: float) -> str:
    """A ratio to the baseline with two digits after the point.

    >>> multiple(4.0), multiple(123.4)
    ('×\xa04.00', '×\xa0123.40')
    """
    return f"×{NO_BREAK}{value:.2f}"


def of_attribute(attribute: str | None) -> str:
    """The attribute in parentheses after the name of a measure; nothing for toxicity.

    >>> of_attribute("severe_toxicity"), of_attribute(None)
    (' (severe toxicity)', '')
    """
    return "" if attribute in (None, "toxicity") else f" ({str(attribute).replace('_', ' ')})"


def lowered(text: str) -> str:
    """The text with a small first letter, for the middle of a sentence.

    >>> lowered("Empty responses")
    'empty responses'
    """
    return text[:1].lower() + text[1:]


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


def parameters(value: int) -> str:
    """The size of a model.

    >>> parameters(4212992), parameters(7_241_732_096), parameters(656)
    ('4.21 million parameters', '7.24 billion parameters', '656 parameters')
    """
    units = ((1e9, "billion"), (1e6, "million"))
    scale, name = next(((s, f" {n}") for s, n in units if value >= s), (1.0, ""))
    shown = f"{value / scale:.3g}" if name else count(value)
    return f"{shown}{name} parameters"


def counted(value: int, noun: str) -> str:
    """A count with its noun, in the plural where there are several.

    >>> counted(1, "guard"), counted(12, "guard")
    ('1 guard', '12 guards')
    """
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


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
