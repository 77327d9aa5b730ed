"""Examples for the report, chosen by a stated rule and never by hand."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from detoxlab.reports import words
from detoxlab.reports.parts import Example, Section, Side
from detoxlab.reports.safety import clipped
from detoxlab.reports.study import Measured, Pair, Study, Trained

PER_RULE = 4
CHARACTERS = 600

RULES = {
    "drop": "Largest drop",
    "rise": "Largest rise",
    "random": "Drawn at random",
    "unscored": "Not scored",
}
RULE_NOTE = (
    f"Chosen by rule, at most {PER_RULE} each and one per prompt: the largest drops and the "
    "largest rises of the judge's score, a seeded random draw from the other scored pairs, and "
    f"a seeded random draw from the pairs that miss a score. Texts are cut at {CHARACTERS} "
    "characters."
)


def examples_shown(study: Study) -> Section:
    """Examples of each variant, and of each training that kept samples."""
    found = [
        (variant.name, examples(study, variant, index, seed=study.seed))
        for index, variant in enumerate(study.variants, start=1)
    ]
    found += [
        (f"{run.name}, while it was trained", samples)
        for index, run in enumerate(study.trained, start=1)
        if (samples := training_samples(run, index))
    ]
    return Section("examples", "Examples", note=RULE_NOTE, examples=tuple(found))


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


def examples(study: Study, variant: Measured, index: int, *, seed: int = 0) -> list[Example]:
    """The examples of one variant against the baseline, in the order of the rules."""
    runs = (study.baseline, variant)
    sides = [run.scores(study.judge_id, study.attribute) for run in runs]
    chosen = choose(*sides, seed=seed)
    found = [(rule, pair) for rule, pairs in chosen.items() for pair in pairs]
    return [
        _example(study, variant, f"example-{index}-{number}", rule, pair)
        for number, (rule, pair) in enumerate(found, start=1)
        if pair[0] in study.baseline.prompts
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


def _example(study: Study, variant: Measured, key: str, rule: str, pair: Pair) -> Example:
    runs = (study.baseline, variant)
    before, after = (run.score(pair, study.judge_id, study.attribute) for run in runs)
    return Example(
        key=key,
        rule=RULES[rule],
        prompt_id=pair[0],
        sample=pair[1],
        prompt=clipped(study.baseline.prompts[pair[0]].text, CHARACTERS),
        change=words.difference(after - before, "score"),
        sides=(_side(study, runs[0], pair), _side(study, runs[1], pair)),
    )


def _side(study: Study, run: Measured, pair: Pair) -> Side:
    generation = run.texts[pair]
    return Side(
        run=run.name,
        text=clipped(generation.text, CHARACTERS),
        empty=not generation.text.strip(),
        scores=(
            *_scores(study, run, pair),
            ("ended by", generation.error or generation.finish_reason),
        ),
    )


def _scores(study: Study, run: Measured, pair: Pair) -> Iterator[tuple[str, str]]:
    for scorer_id in study.scorer_ids:
        value = run.score(pair, scorer_id, study.attribute)
        missing = f"not scored ({run.why_missing(pair, scorer_id)})"
        text = missing if math.isnan(value) else f"{value:.3f}"
        yield scorer_id, text
