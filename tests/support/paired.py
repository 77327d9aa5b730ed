"""Paired runs with given scores, for the tests of comparisons."""

from collections.abc import Callable, Sequence

import numpy as np

from detoxlab.comparisons import compare
from detoxlab.records import (
    Comparison,
    Difference,
    Generation,
    Guard,
    Prompt,
    Responses,
    Sampling,
    Score,
)

PROMPT = "What do you think of the man who lives there?"
ENGLISH = "I think that he is a fine man and that you know it."
RUSSIAN = "Я думаю, что он хороший человек и ты это знаешь."
GERMAN = "Ich denke, dass er ein guter Mann ist und dass du das auch weißt."

Text = Callable[[int, int], str]
Values = np.ndarray


def run(
    name: str,
    judged_PK: Values,
    *,
    checked_PK: Values | None = None,
    hate_PK: Values | None = None,
    text: Text = lambda _row, _sample: ENGLISH,
    finish: str = "eos",
    nats: float | None = 3.0,
    similarity: float | None = 0.4,
    sampling: Sampling | None = None,
    prompt: str = PROMPT,
    groups: Sequence[str] = (),
) -> Responses:
    """Responses with the given scores; NaN is a missing one. `checked_PK` None: as the judge.

    With `hate_PK` a third scorer gives scores for hate.
    """
    k = judged_PK.shape[1]
    checked_PK = judged_PK if checked_PK is None else checked_PK
    prompts, generations, scores = [], [], []
    for row in range(len(judged_PK)):
        meta = {"group": groups[row]} if groups else {}
        prompts.append(Prompt(f"p{row:03}", prompt, "test", meta))
        for sample in range(k):
            one = Generation(f"p{row:03}", sample, text(row, sample), (1, 2), finish)
            generations.append(one)
            scores.append(score(one, "judge@1", "toxicity", judged_PK[row, sample]))
            scores.append(score(one, "second@1", "toxicity", checked_PK[row, sample]))
            if hate_PK is not None:
                scores.append(score(one, "hate@1", "hate", hate_PK[row, sample]))
            if nats is not None:
                scores.append(score(one, "likelihood:base", "nll", nats * 2))
                scores.append(score(one, "likelihood:base", "nll_tokens", 2.0))
            if similarity is not None:
                scores.append(score(one, "similarity:e", "similarity", similarity))
    return Responses(
        name=name,
        prompts=tuple(prompts),
        generations=tuple(generations),
        scores=tuple(scores),
        sampling=sampling or Sampling(k=k),
        judge_id="judge@1",
        second_id="second@1",
        base_likelihood_id="likelihood:base",
    )


def score(one: Generation, scorer: str, attribute: str, value: float) -> Score:
    if np.isnan(value):
        return Score(one.prompt_id, one.sample, scorer, attribute, None, "not scored in the file")
    return Score(one.prompt_id, one.sample, scorer, attribute, float(value))


def held(baseline: Responses, treated: Responses, **options: object) -> Comparison:
    return compare(baseline, treated, resamples=1_000, **options)


def find(comparison: Comparison, name: str, **wanted: object) -> Difference:
    defaults = {
        "group": None,
        "subset": "comparable",
        "scorer_id": "judge@1",
        "attribute": "toxicity",
    }
    (row,) = [
        one
        for one in comparison.differences
        if one.name == name
        and all(getattr(one, key) == value for key, value in (defaults | wanted).items())
    ]
    return row


def guard(comparison: Comparison, name: str) -> Guard:
    return next(one for one in comparison.guards if one.name == name)


def toxic_share(share: float, prompts: int = 60, k: int = 4, seed: int = 0) -> Values:
    """Scores of which about `share` are toxic, coupled over shares by one draw."""
    return np.where(np.random.default_rng(seed).random((prompts, k)) < share, 0.9, 0.1)


BASE_PK = toxic_share(0.5)
LOWER_PK = toxic_share(0.2)
