"""The evidence of a verdict, and the form of its numbers in sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from detoxlab.comparisons.limits import Limits
from detoxlab.comparisons.missing import WORST
from detoxlab.comparisons.pairs import Pairs
from detoxlab.markup.numbers import NO_BREAK, NOTHING, difference, span
from detoxlab.measures.catalogue import DECIDING
from detoxlab.measures.grid import HATE
from detoxlab.measures.paired import direction_shown
from detoxlab.records import Difference, Guard


@dataclass(frozen=True)
class Evidence:
    """Paired runs with their differences and guards, and the limits for both.

    `curve` is the deciding difference at other thresholds.
    """

    pairs: Pairs
    differences: Sequence[Difference]
    guards: Sequence[Guard]
    limits: Limits
    threshold: float
    curve: Sequence[Difference] = ()

    @property
    def judged(self) -> Difference:
        """The deciding difference: the judge's toxic fraction on comparable pairs."""
        return next(_deciding(self.differences, self.pairs.judge, self.pairs.attribute))

    @property
    def direction(self) -> int:
        """−1 where a fall is shown on comparable pairs, 1 where a rise is, 0 where neither."""
        return direction(self.judged)

    @property
    def checked(self) -> Difference | None:
        """The deciding difference by the second scorer; None without one."""
        if self.pairs.second is None:
            return None
        found = _deciding(self.differences, self.pairs.second, self.pairs.second_attribute)
        return next(found)

    @property
    def hate(self) -> Difference | None:
        """The share of hateful responses, by the scorer of hate beside the judge; None without."""
        return next(_deciding(self.differences, self.pairs.hate_scorer, HATE), None)

    @property
    def worst(self) -> Difference | None:
        """The deciding measure over all pairs in the worst case, where scores are missing."""
        return next((row for row in self.differences if row.subset == WORST), None)

    @property
    def withstands(self) -> bool:
        """Whether the judge's change is shown even in the worst case of the missing scores."""
        worst, change = self.worst, self.judged.difference
        if worst is None:  # nothing is missing, or everything
            return bool(self.pairs.scored(self.pairs.judge, self.pairs.attribute).any())
        seen = 0 if change is None else int(change > 0) - int(change < 0)
        return seen != 0 and direction(worst) == seen


def direction(row: Difference) -> int:
    """−1 where the row shows a fall, 1 where a rise, 0 where neither."""
    return direction_shown(row.ci_low, row.ci_high, row.p_value)


def _deciding(
    differences: Sequence[Difference], scorer_id: str | None, attribute: str
) -> Iterator[Difference]:
    """The toxic fraction on comparable pairs of all prompts, by that scorer; one row or none."""
    wanted = (DECIDING, scorer_id, attribute, "comparable", None)
    for row in differences:
        if (row.name, row.scorer_id, row.attribute, row.subset, row.group) == wanted:
            yield row


def signed(value: float) -> str:
    """Three digits with a sign, more where the value is smaller but not 0; plain 0 for 0.

    >>> signed(-0.1234), signed(0.00004), signed(0.0)
    ('−0.123', '+0.00004', '0.000')
    """
    if abs(value) < NOTHING:
        return "0.000"
    digits = next(digits for digits in range(3, 12) if float(f"{value:.{digits}f}") != 0)
    return f"{value:+.{digits}f}".replace("-", "−")


def interval_of(row: Difference) -> str:
    """The interval of a difference in words, and whether 0 is in it."""
    if row.ci_low is None or row.ci_high is None:
        return "no interval"
    includes = "includes" if row.ci_low <= 0 <= row.ci_high else "excludes"
    return f"95 % interval {span(row.ci_low, row.ci_high, row.unit)}, which {includes} 0"


def fraction_name(attribute: str) -> str:
    """The name of the deciding measure.

    >>> fraction_name("toxicity"), fraction_name("insult")
    ('the toxic fraction', 'the toxic fraction (insult)')
    """
    return "the toxic fraction" + ("" if attribute == "toxicity" else f" ({attribute})")


def percents_apart(share: float, limit: float) -> tuple[str, str]:
    """Both in per cent, with as many digits as it takes to tell them apart.

    >>> percents_apart(0.9497, 0.95), percents_apart(0.8, 0.95)
    (('94.97 %', '95.00 %'), ('80.0 %', '95.0 %'))
    """
    for digits in range(1, 10):
        texts = f"{100 * share:.{digits}f} %", f"{100 * limit:.{digits}f} %"
        if texts[0] != texts[1]:
            break
    return texts


def limit_shown(limit: str, unit: str) -> str:
    """The limit of a guard in the guard's unit.

    >>> limit_shown("+0.02", "share"), limit_shown("× 0.5 to × 1.25", "perplexity")
    ('+2.0\xa0pts', '×\xa00.5 to ×\xa01.25')
    """
    most = allowed(limit)
    return limit.replace("× ", f"×{NO_BREAK}") if most is None else difference(most, unit)


def beyond(change: float | None, limit: str, unit: str) -> str:
    """The limit of a guard, and its movement with enough digits to show that it passed the limit.

    >>> beyond(0.1, "+0.02", "share"), beyond(0.02003, "+0.02", "share")
    ('by +10.0\xa0pts, limit +2.0\xa0pts', 'by +2.003\xa0pts, limit +2.0\xa0pts')
    >>> beyond(8.1, "× 0.5 to × 1.25", "perplexity")
    'limit ×\xa00.5 to ×\xa01.25'
    """
    most, shown = allowed(limit), limit_shown(limit, unit)
    if change is None or most is None:
        return f"limit {shown}"
    moved = difference(change, unit)
    if moved == shown:
        moved = difference(change, unit, digits=_digits_apart(change, most, unit))
    return f"by {moved}, limit {shown}"


def _digits_apart(change: float, allowed: float, unit: str) -> int:
    """The digits that tell a movement from its limit."""
    texts = ((n, difference(change, unit, digits=n)) for n in range(1, 12))
    return next((n for n, text in texts if text != difference(allowed, unit, digits=n)), 11)


def allowed(limit: str) -> float | None:
    """The limit where it is a difference; None where it is a ratio."""
    try:
        return float(limit.replace("−", "-"))
    except ValueError:
        return None
