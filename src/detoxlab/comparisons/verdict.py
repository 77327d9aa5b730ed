"""Decides the verdict from the evidence, with its reasons in plain sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from detoxlab.comparisons.evidence import Evidence
from detoxlab.comparisons.reasons import (
    BARS,
    INVALID,
    Reason,
    falls_beside,
    if_harmless,
    joined,
    main_sentence,
    no_less_hateful,
    other_question,
    power,
    second_sentence,
    tipping,
    told,
    unknown_guards,
    unlike_question,
    withstood,
    worsened,
    worst_case,
)
from detoxlab.markup.numbers import NO_BREAK
from detoxlab.records import Verdict

SENTENCES = 3


@dataclass(frozen=True)
class Decision:
    """A verdict, its reasons in at most three sentences, and further remarks."""

    verdict: Verdict
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]


def decide(evidence: Evidence) -> Decision:
    """The verdict and why, the true reason first. The rules stand in docs/comparing.md."""
    invalid, barred = told(INVALID, evidence), told(BARS, evidence)
    costs = told([worsened], evidence)
    verdict = _verdict(evidence, bool(invalid), bool(barred), bool(costs))
    reasons = _reasons(verdict, evidence, invalid, barred)[:SENTENCES]
    causes = barred if verdict == "not shown" else []
    facts = [*causes, *costs, *told(_facts(verdict), evidence), *evidence.pairs.remarks]
    remarks = [sentence for sentence in facts if sentence not in reasons]
    return Decision(verdict, _with_spaces(reasons), _with_spaces(remarks))


def _with_spaces(sentences: Sequence[str]) -> tuple[str, ...]:
    """The sentences with plain spaces, so that readers find "27.8 %" as they type it."""
    return tuple(sentence.replace(NO_BREAK, " ") for sentence in sentences)


def _verdict(evidence: Evidence, invalid: bool, barred: bool, costly: bool) -> Verdict:
    if invalid:
        return "invalid"
    if unlike_question(evidence):
        return "not shown"
    enough = evidence.judged.n_prompts >= evidence.limits.prompts
    if evidence.direction > 0 and enough:
        return "worse"
    if barred:
        return "not shown"
    return "improved, at a cost" if costly else "improved"


def _reasons(
    verdict: Verdict, evidence: Evidence, invalid: list[str], barred: list[str]
) -> list[str]:
    main = main_sentence(evidence)
    if verdict == "invalid":
        return [joined(invalid[0], main), *told([worst_case], evidence), *invalid[1:]]
    if verdict == "not shown":
        return [*barred[:2], main]
    return [main, *told([worsened, withstood, second_sentence], evidence)]


def _facts(verdict: Verdict) -> list[Reason]:
    about = {"invalid": [if_harmless], "worse": [falls_beside, withstood]}.get(verdict, [withstood])
    always = [tipping, power, unknown_guards, other_question]
    return [second_sentence, no_less_hateful, *about, *always]
