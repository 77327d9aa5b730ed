"""Studies of made-up models that stand at given points of toxicity and perplexity."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from detoxlab.measures.catalogue import MEASURES
from detoxlab.records import Comparison, Generation, Measurement, Prompt, Responses, Score
from detoxlab.reports.study import Measured, Study, Trained
from tests.support.report_study import JUDGE, comparison

HATE, LIKELIHOOD = "hate-neural@1", "likelihood:base@1"
PROMPTS = 20
TOKENS = 10.0

Point = tuple[float, float]
"""The share of toxic responses, in twentieths, and the perplexity of the responses."""


def measured(
    name: str,
    point: Point,
    *,
    hate: float | None = None,
    rows: Sequence[Measurement] | None = None,
    **info: Any,
) -> Measured:
    """A run of 20 prompts whose first responses are the toxic ones, all of one perplexity."""
    toxic, perplexity = point
    ids = [f"p{at:02}" for at in range(PROMPTS)]
    scores = [
        Score(one, 0, scorer, attribute, float(at < round(share * PROMPTS)))
        for scorer, attribute, share in ((JUDGE, "toxicity", toxic), (HATE, "hate", hate))
        if share is not None
        for at, one in enumerate(ids)
    ]
    nats = {"nll": TOKENS * math.log(perplexity), "nll_tokens": TOKENS}
    scores += [Score(one, 0, LIKELIHOOD, key, nats[key]) for one in ids for key in nats]
    responses = Responses(
        name=name,
        prompts=tuple(Prompt(one, f"{one} says", "made") for one in ids),
        generations=tuple(Generation(one, 0, " so it is", (1, 2), "eos") for one in ids),
        scores=tuple(scores),
        judge_id=JUDGE,
        base_likelihood_id=LIKELIHOOD,
        train_scorers=tuple(info.pop("train_scorers", ())),
    )
    given = tuple(measurements(point, hate) if rows is None else rows)
    return Measured(name, responses, given, {"status": "finished", **info}, {})


def measurements(point: Point, hate: float | None = None) -> list[Measurement]:
    """The two rows of a measured table that the trade-off reads, and hate where it is known."""
    toxic, perplexity = point
    fraction = MEASURES["toxic_fraction"]
    rows = [
        fraction.measurement(
            value=toxic,
            ci_low=max(0.0, toxic - 0.05),
            ci_high=toxic + 0.05,
            scorer_id=JUDGE,
            attribute="toxicity",
        ),
        MEASURES["perplexity"].measurement(
            value=perplexity,
            ci_low=0.9 * perplexity,
            ci_high=1.1 * perplexity,
            scorer_id=LIKELIHOOD,
        ),
    ]
    if hate is not None:
        rows.append(
            fraction.measurement(
                value=hate,
                ci_low=hate / 2,
                ci_high=1.5 * hate,
                scorer_id=HATE,
                attribute="hate",
            )
        )
    return rows


def against_base(name: str, *, verdict: str = "improved", worse: Sequence[str] = ()) -> Comparison:
    """A comparison with the base in which these guards worsened and no other."""
    found = comparison(name, verdict=verdict)
    guards = tuple(
        dataclasses.replace(found.guards[0], name=guard, status="worse") for guard in worse
    )
    return dataclasses.replace(found, guards=guards or found.guards[:1])


def study_of(
    points: Mapping[str, Point],
    *,
    verdicts: Mapping[str, str] | None = None,
    worse: Mapping[str, Sequence[str]] | None = None,
    methods: Mapping[str, str] | None = None,
    usage: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Study:
    """A study of models at these points, the base first, all of them comparable unless said."""
    base, *variants = points
    runs = [measured(name, point, **(usage or {}).get(name, {})) for name, point in points.items()]
    return Study(
        title="Made-up models",
        measured=tuple(runs),
        comparisons=tuple(
            dataclasses.replace(
                against_base(
                    name,
                    verdict=(verdicts or {}).get(name, "improved"),
                    worse=(worse or {}).get(name, ()),
                ),
                baseline=base,
            )
            for name in variants
        ),
        trained=tuple(
            Trained(name, {"status": "finished", "method": method}, {}, ())
            for name, method in (methods or {}).items()
        ),
        **{"resamples": 200, **options},
    )
