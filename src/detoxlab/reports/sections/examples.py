"""Examples for the report, chosen by a stated rule and never by hand."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from detoxlab.comparisons.excerpts import EXCERPT_NOTE
from detoxlab.records import Generation
from detoxlab.reports import words
from detoxlab.reports.parts import Example, Facets, Section, Side
from detoxlab.reports.safety import clipped
from detoxlab.reports.sections.further import (
    FURTHER_NOTE,
    LEAST,
    MOST,
    choose_further,
    groups_of,
    guard_marks,
)
from detoxlab.reports.study import Measured, Pair, Study, Trained

PER_RULE = 4
CHARACTERS = 600
FURTHER = "Further pair"

RULES = {
    "drop": "Largest drop",
    "rise": "Largest rise",
    "highest": "Highest score",
    "random": "Drawn at random",
    "unscored": "Not scored",
}
RULE_NOTE = (
    f"Chosen by rule, at most {PER_RULE} each and one per prompt: the largest drops and the "
    "largest rises of the judge's score, a seeded random draw from the other scored pairs, and "
    f"a seeded random draw from the pairs that miss a score. Texts are cut at {CHARACTERS} "
    f"characters. {FURTHER_NOTE}"
)
ALONE_NOTE = (
    f"Chosen by rule, at most {PER_RULE} each and one per prompt: the highest of the judge's "
    "scores, a seeded random draw from the other scored responses, and a seeded random draw from "
    f"those without a score. Texts are cut at {CHARACTERS} characters. {FURTHER_NOTE}"
)


def examples_shown(study: Study) -> Section:
    """Examples of each variant, or of one model alone, and of each training that kept samples."""
    shown = study.variants or study.measured
    most = max(LEAST, MOST // len(shown))
    found = [
        (run.name, examples(study, run, index, most=most, seed=study.seed))
        for index, run in enumerate(shown, start=1)
    ]
    found += [
        (f"{run.name}, while it was trained", samples)
        for index, run in enumerate(study.trained, start=1)
        if (samples := training_samples(run, index))
    ]
    note = RULE_NOTE if study.variants else ALONE_NOTE
    if any(run.excerpt for run in study.measured):
        note = f"{note} {EXCERPT_NOTE}"
    return Section("examples", "Examples", note=note, examples=tuple(found))


def choose(
    baseline: Mapping[Pair, float], treated: Mapping[Pair, float], *, seed: int
) -> dict[str, list[Pair]]:
    """Pairs by rule, at most `PER_RULE` each; no prompt occurs twice.

    Prompt id and sample decide ties, so the choice depends on the scores and the seed alone.

    >>> base = {("a", 0): .9, ("b", 0): .1, ("c", 0): .5}
    >>> choose(base, {("a", 0): .1, ("b", 0): .8, ("c", 0): .5}, seed=0)
    {'drop': [('a', 0)], 'rise': [('b', 0)], 'random': [('c', 0)], 'unscored': []}
    """
    pairs = sorted(baseline.keys() & treated.keys())
    change = {pair: treated[pair] - baseline[pair] for pair in pairs}
    scored = [pair for pair in pairs if not math.isnan(change[pair])]
    unscored = [pair for pair in pairs if math.isnan(change[pair])]
    rng = np.random.default_rng(seed)
    used: set[str] = set()
    drops = sorted((p for p in scored if change[p] < 0), key=lambda p: (change[p], p))
    rises = sorted((p for p in scored if change[p] > 0), key=lambda p: (-change[p], p))
    return {
        "drop": _first(drops, used),
        "rise": _first(rises, used),
        "random": _first(_shuffled(scored, rng), used),
        "unscored": _first(_shuffled(unscored, rng), used),
    }


def choose_alone(scores: Mapping[Pair, float], *, seed: int) -> dict[str, list[Pair]]:
    """Responses of one model by rule, at most `PER_RULE` each; no prompt occurs twice.

    >>> choose_alone({("a", 0): .9, ("a", 1): .8, ("b", 0): math.nan}, seed=0)
    {'highest': [('a', 0)], 'random': [], 'unscored': [('b', 0)]}
    """
    scored = sorted(pair for pair, value in scores.items() if not math.isnan(value))
    unscored = sorted(scores.keys() - set(scored))
    rng = np.random.default_rng(seed)
    used: set[str] = set()
    return {
        "highest": _first(sorted(scored, key=lambda p: (-scores[p], p)), used),
        "random": _first(_shuffled(scored, rng), used),
        "unscored": _first(_shuffled(unscored, rng), used),
    }


def _first(pairs: Sequence[Pair], used: set[str]) -> list[Pair]:
    """The first pairs whose prompt was not used yet; marks their prompts as used."""
    chosen: list[Pair] = []
    for pair in pairs:
        if len(chosen) == PER_RULE:
            break
        if pair[0] not in used:
            used.add(pair[0])
            chosen.append(pair)
    return chosen


def _shuffled(pairs: Sequence[Pair], rng: np.random.Generator) -> list[Pair]:
    return [pairs[at] for at in rng.permutation(len(pairs))]


def examples(
    study: Study, run: Measured, index: int, *, most: int = MOST, seed: int = 0
) -> list[Example]:
    """The examples of one variant against the baseline, or of the baseline alone.

    In the order of the rules, then at most `most` further ones.
    """
    runs = (run,) if run is study.baseline else (study.baseline, run)
    asked = study.baseline.prompts
    sides = [
        {pair: value for pair, value in scores.items() if pair[0] in asked}
        for scores in (one.scores(study.judge_id, study.attribute) for one in runs)
    ]
    if len(runs) == 1:
        chosen, moved = choose_alone(sides[0], seed=seed), sides[0]
    else:
        before, after = sides
        chosen = choose(before, after, seed=seed)
        moved = {pair: after[pair] - before[pair] for pair in before.keys() & after.keys()}
    found = [(RULES[rule], pair) for rule, pairs in chosen.items() for pair in pairs]
    further = choose_further(
        moved,
        {pair for _, pair in found},
        lambda pairs: guard_marks(runs, pairs),
        most=most,
        falls=len(runs) > 1,
        seed=seed,
    )
    found += [(FURTHER, pair) for pair in further]
    marks, groups = guard_marks(runs, [pair for _, pair in found]), groups_of(study.baseline)
    return [
        _example(study, runs, f"example-{index}-{number}", rule, pair, (groups[pair[0]], guards))
        for number, ((rule, pair), guards) in enumerate(zip(found, marks, strict=True), start=1)
    ]


def training_samples(trained: Trained, index: int) -> list[Example]:
    """Responses that were drawn while the model was trained: first, middle and last logged step."""
    steps = sorted({row["step"] for row in trained.samples})
    chosen = {steps[0], steps[len(steps) // 2], steps[-1]} if steps else set()
    rows = [row for row in trained.samples if row["step"] in chosen]
    return [_sample(trained, f"sample-{index}-{at}", row) for at, row in enumerate(rows, start=1)]


def _sample(trained: Trained, key: str, row: Mapping[str, Any]) -> Example:
    gates = [words.label(str(name)) for name in row["gates"]]
    scores = [("reward", words.number(row["reward"], "score")), *(("gate", g) for g in gates)]
    text = str(row["text"])
    return Example(
        key=key,
        rule=f"Step {row['step']}",
        prompt_id=str(row["prompt_id"]),
        sample=int(row["sample"]),
        prompt=clipped(str(row["prompt"]), CHARACTERS),
        change="",
        sides=(Side(trained.name, clipped(text, CHARACTERS), not text.strip(), tuple(scores)),),
    )


def _example(
    study: Study,
    runs: Sequence[Measured],
    key: str,
    rule: str,
    pair: Pair,
    marks: tuple[tuple[str, ...], tuple[str, ...]],
) -> Example:
    """One pair with its facets; `marks` are its prompt's groups and the guards that mark it."""
    scores = [run.score(pair, study.judge_id, study.attribute) for run in runs]
    moved = scores[-1] - scores[0] if len(runs) > 1 else math.nan
    return Example(
        key=key,
        rule=rule,
        prompt_id=pair[0],
        sample=pair[1],
        prompt=clipped(study.baseline.prompts[pair[0]].text, CHARACTERS),
        change=words.difference(moved, "score") if len(runs) > 1 else "",
        sides=tuple(_side(study, run, pair) for run in runs),
        facets=Facets(_known(moved), _known(scores[-1]), *marks),
        further=rule == FURTHER,
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _side(study: Study, run: Measured, pair: Pair) -> Side:
    return side_of(run.name, run.texts[pair], _scores(study, run, pair))


def side_of(
    name: str, response: Generation, scores: Iterable[tuple[str, str]], limit: int = CHARACTERS
) -> Side:
    """One model's response, cut at `limit` characters, with its scores and how it ended."""
    return Side(
        run=name,
        text=clipped(response.text, limit),
        empty=not response.text.strip(),
        scores=(*scores, ("ended by", response.error or response.finish_reason)),
    )


def _scores(study: Study, run: Measured, pair: Pair) -> Iterator[tuple[str, str]]:
    for scorer_id in study.scorer_ids:
        value = run.score(pair, scorer_id, study.attribute)
        missing = f"not scored ({run.why_missing(pair, scorer_id)})"
        text = missing if math.isnan(value) else f"{value:.3f}"
        yield scorer_id, text
