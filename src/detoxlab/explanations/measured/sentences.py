"""The results of an explained run in plain sentences: few, short, with their intervals.

A change of the model is told where its interval excludes 0 on the same text. Where it does so on
each model's own text alone, the sentence says that the text changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from detoxlab.comparisons.evidence import direction, signed
from detoxlab.comparisons.limits import Limits
from detoxlab.explanations.measured.catalogue import EXPLAIN_MEASURES, SIMILARITY
from detoxlab.explanations.measured.explained import Explained
from detoxlab.explanations.measured.table import OWN
from detoxlab.records import Difference, Measurement
from detoxlab.runs import Run

NEAR_0 = 0.1
"""A model is no longer moved where its interval lies below this share of the baseline's value."""
CHECK = "deletion_gain_20"
LOG_PROB = "token_log_prob"
RELIANCE = "context_reliance"


@dataclass(frozen=True)
class Wording:
    """How a fall and a rise of a measure are told, of treated model `t` and baseline `b`."""

    fell: str
    rose: str


WORDINGS = {
    RELIANCE: Wording(
        "{t} is moved less by its prompt than {b}", "{t} is moved more by its prompt than {b}"
    ),
    "prompt_dependence": Wording(
        "{t} owes less to the prompt, and more to its own words, than {b}",
        "{t} owes more to the prompt, and less to its own words, than {b}",
    ),
    "attribution_entropy": Wording(
        "{t} rests on fewer words of the prompt than {b}",
        "{t} spreads its attribution more evenly over the prompt than {b}",
    ),
    "predictive_entropy": Wording(
        "{t} is surer of its next token than {b}", "{t} is less sure of its next token than {b}"
    ),
}


def sentences(run: Run | Path | str) -> list[str]:
    """The sentences about the explained run in a folder, without a word of any response.

    Raises `MissingFileError` where there is no such run.
    """
    return told(Explained.of(run))


def told(explained: Explained) -> list[str]:
    """The sentences about all models: the baseline alone, or each other model against it."""
    return list(_told(explained))


# --- inside ---


def _told(explained: Explained) -> Iterator[str]:
    baseline, *others = explained.runs
    if not others:
        yield from _levels(explained, baseline)
    yield from _few_prompts(explained)
    yield from _checked(explained)
    for treated in others:
        pair = _Pair(explained, baseline, treated)
        for name in WORDINGS:
            yield from _changed(pair, name)
        yield from _disagreeing(pair)
        yield from _not_shown(pair)
        yield from _shifted(pair)
        yield from _resembling(pair)
        yield from _text_alone(pair)


@dataclass(frozen=True)
class _Pair:
    explained: Explained
    baseline: str
    treated: str

    def on(self, name: str, view: str) -> Difference | None:
        return self.explained.difference(name, self.treated, view)

    def same_text(self, name: str) -> dict[str, Difference]:
        """The difference on the text of each run; the texts where it is shown come first."""
        rows = {text: self.on(name, f"text of {text}") for text in (self.baseline, self.treated)}
        known = {text: row for text, row in rows.items() if row is not None}
        return dict(sorted(known.items(), key=lambda one: direction(one[1]) == 0))

    def is_shown(self, name: str) -> bool:
        """Whether the models differ on the same text."""
        return any(direction(row) for row in self.same_text(name).values())


def _levels(explained: Explained, run: str) -> Iterator[str]:
    names = (RELIANCE, "prompt_dependence", SIMILARITY.name)
    rows = [explained.measured(name, run, run) for name in names]
    told = [
        f"{_noun(row.name)} is {_number(row.value)}{_unit(row)} ({_range(row)})"
        for row in rows
        if row is not None and row.value is not None
    ]
    if told:
        yield f"{run} on its own text: {_listed(told)}."


def _few_prompts(explained: Explained) -> Iterator[str]:
    baseline = explained.runs[0]
    row, limit = explained.measured(RELIANCE, baseline, baseline), Limits().prompts
    if row is not None and row.n < limit:
        yield f"Only {row.n} prompts were explained: too few for an interval to be trusted."


def _checked(explained: Explained) -> Iterator[str]:
    """The models on which the method beats random choices of tokens, and the others."""
    found = {run: explained.measured(CHECK, run, run) for run in explained.runs}
    rows = {run: row for run, row in found.items() if row is not None}
    if not rows:
        yield f"{explained.method} was not checked against random choices of tokens."
    beaten = [run for run, row in rows.items() if (row.ci_low or 0.0) > 0]
    if beaten:
        yield f"{explained.method} beats random choices of tokens on {_listed(beaten)}."
    for run, row in rows.items():
        if run not in beaten:
            yield (
                f"{explained.method} is not shown to beat random choices of tokens on {run} (gain "
                f"{_change(row.value, row)}, {row.n} responses): do not rely on its attributions "
                "there, nor on prompt dependence and attribution entropy, unless a check of more "
                "responses shows it."
            )


def _changed(pair: _Pair, name: str) -> Iterator[str]:
    """A change on the same text: on both texts, or on one of them alone."""
    rows = pair.same_text(name)
    if not pair.is_shown(name):
        return
    (text, row), *others = rows.items()
    sign = direction(row)
    wording = WORDINGS[name].fell if sign < 0 else WORDINGS[name].rose
    if name == RELIANCE and sign < 0 and _is_near_0(pair, text, row):
        wording = "{t} is no longer moved by its prompt"
    claim = wording.format(t=pair.treated, b=pair.baseline)
    moved = f"{_noun(name)} {_moved(row)}"
    told = [_also(sign, other, found) for other, found in others]
    if told and direction(others[0][1]) != sign:
        yield f"On the text of {text} alone, {claim}: {moved}; {told[0]}."
    else:
        yield "; ".join([f"{claim}: on the text of {text} {moved}", *told]) + "."


def _is_near_0(pair: _Pair, text: str, row: Difference) -> bool:
    now = pair.explained.measured(row.name, pair.treated, text)
    if now is None or now.ci_high is None or row.baseline is None:
        return False
    return now.ci_high < NEAR_0 * row.baseline


def _also(sign: int, text: str, row: Difference) -> str:
    how = {sign: "likewise", -sign: "the reverse", 0: "not shown"}[direction(row)]
    return f"on that of {text} {how} ({_change(row.difference, row)})"


def _disagreeing(pair: _Pair) -> Iterator[str]:
    """Context reliance and prompt dependence that move in opposite directions on a text."""
    signs = [
        {text: direction(row) for text, row in pair.same_text(name).items()}
        for name in (RELIANCE, "prompt_dependence")
    ]
    if any(sign * signs[1].get(text, 0) < 0 for text, sign in signs[0].items()):
        yield (
            "Context reliance and prompt dependence disagree: believe context reliance, which "
            "compares predictions of the model itself."
        )


def _not_shown(pair: _Pair) -> Iterator[str]:
    """The measures that changed on neither text."""
    names = [name for name in WORDINGS if not pair.is_shown(name)]
    told = [_named_change(row) for name in names for row in list(pair.same_text(name).values())[:1]]
    if told:
        yield (
            f"No change from {pair.baseline} to {pair.treated} is shown on the same text in "
            f"{_listed(told)}."
        )


def _shifted(pair: _Pair) -> Iterator[str]:
    """The shift of log-probability of the responses of each under the other model."""
    t, b = pair.treated, pair.baseline
    before, after = (pair.on(LOG_PROB, f"text of {text}") for text in (b, t))
    if before is not None:
        yield _likelier(b, t, before)
    if after is not None:
        yield _likelier(t, b, _reversed(after))


def _likelier(text: str, other: str, row: Difference) -> str:
    how = {
        -1: f"are less likely under {other} than under {text} itself",
        0: f"are not shown to be less likely or likelier under {other} than under {text} itself",
        1: f"are likelier under {other} than under {text} itself",
    }
    change = _change(row.difference, row, " nats per token")
    return f"The responses of {text} {how[direction(row)]} ({change})."


def _reversed(row: Difference) -> Difference:
    """Baseline minus treated."""
    low, high = row.ci_low, row.ci_high
    return replace(
        row,
        difference=None if row.difference is None else -row.difference,
        ci_low=None if high is None else -high,
        ci_high=None if low is None else -low,
    )


def _resembling(pair: _Pair) -> Iterator[str]:
    row = pair.on(SIMILARITY.name, OWN)
    if row is None:
        return
    t, b = pair.treated, pair.baseline
    if sign := direction(row):
        how = "less" if sign < 0 else "more"
        yield (
            f"The responses of {t} resemble their prompts {how} than those of {b}: similarity "
            f"{_moved(row)}."
        )
    else:
        yield (
            f"No change from {b} to {t} is shown in how much responses resemble their prompts "
            f"(similarity {_change(row.difference, row)})."
        )


def _text_alone(pair: _Pair) -> Iterator[str]:
    """The measures that differ on each model's own text, and on no text that both read."""
    rows = [pair.on(name, OWN) for name in WORDINGS if not pair.is_shown(name)]
    told = [
        f"{_noun(row.name)} ({_change(row.difference, row)})"
        for row in rows
        if row and direction(row)
    ]
    if told:
        yield (
            f"On their own texts alone {pair.baseline} and {pair.treated} differ in "
            f"{_listed(told)}: the text changed; that the model did is not shown."
        )


def _moved(row: Difference) -> str:
    """From which value to which, with the difference."""
    verb = "fell" if (row.difference or 0.0) < 0 else "rose"
    return (
        f"{verb} from {_number(row.baseline)} to {_number(row.treated)}{_unit(row)} "
        f"(difference {_change(row.difference, row)})"
    )


def _change(value: float | None, row: Difference | Measurement, unit: str = "") -> str:
    """A signed value with its interval."""
    shown = "unknown" if value is None else f"{signed(value)}{unit}"
    if row.ci_low is None or row.ci_high is None:
        return f"{shown}, no interval"
    return f"{shown}, 95 % interval {signed(row.ci_low)} to {signed(row.ci_high)}"


def _named_change(row: Difference) -> str:
    return f"{_noun(row.name)} ({_change(row.difference, row)})"


def _range(row: Measurement) -> str:
    if row.ci_low is None or row.ci_high is None:
        return "no interval"
    return f"95 % interval {_number(row.ci_low)} to {_number(row.ci_high)}"


def _noun(name: str) -> str:
    """The measure's label within a sentence."""
    label = EXPLAIN_MEASURES[name].label
    return label[0].lower() + label[1:]


def _unit(row: Difference | Measurement) -> str:
    return f" {row.unit}" if row.unit in ("bits", "nats") else ""


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}".replace("-", "−")


def _listed(parts: Sequence[str]) -> str:
    """
    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
