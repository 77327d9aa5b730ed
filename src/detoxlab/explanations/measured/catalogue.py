"""The measures of explanations: what is computed of each response at each step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.names import SINK, TEMPLATE
from detoxlab.explanations.shares import (
    attribution_entropy,
    length_corrected,
    masses,
    normalised_entropy,
    prompt_dependence,
)
from detoxlab.measures.entry import Measure, Part
from detoxlab.measures.statistics import FloatArray, divide
from detoxlab.records import Direction

PerStep = Callable[[Attribution], FloatArray]
"""One number per step (S,) of a response; NaN where it is not defined."""


@dataclass(frozen=True)
class StepMeasure(Measure):
    """A measure with one number per step; its value is the mean over steps, then over prompts."""

    direction: Direction = "neither"
    part: Part = "attribution"
    computes: PerStep = field(kw_only=True)


def _of_masses(function: Callable[[FloatArray, str], FloatArray]) -> PerStep:
    return lambda row: function(row.mass, row.classes)


def _share_of(kind: str) -> PerStep:
    def share(row: Attribution) -> FloatArray:
        mass = masses(row.mass, row.classes)
        return divide(mass[kind], np.sum(list(mass.values()), axis=0))

    return share


_STEP_MEASURES = (
    StepMeasure(
        "prompt_dependence",
        "Prompt dependence",
        "C ÷ (C + G): the prompt's share of the mass, against that of the response so far",
        computes=_of_masses(prompt_dependence),
    ),
    StepMeasure(
        "prompt_dependence_per_token",
        "Prompt dependence per token",
        "log (C ÷ its tokens) − log (G ÷ its tokens)",
        "nats",
        computes=_of_masses(length_corrected),
    ),
    StepMeasure(
        "attribution_entropy",
        "Attribution entropy",
        "spread of the mass over the prompt's own tokens",
        "bits",
        computes=_of_masses(attribution_entropy),
    ),
    StepMeasure(
        "attribution_entropy_normalised",
        "Attribution entropy, normalised",
        "attribution entropy ÷ log₂ of the number of the prompt's own tokens",
        computes=_of_masses(normalised_entropy),
    ),
    StepMeasure(
        "context_reliance",
        "Context reliance",
        "KL from predictions with the prompt to those with the template alone",
        "bits",
        computes=lambda row: np.array(row.reliances),
    ),
    StepMeasure(
        "prompt_information",
        "Information from the prompt",
        "log₂ *p*(token | prompt) − log₂ *p*(token | template)",
        "bits",
        computes=lambda row: np.array(row.informations),
    ),
    StepMeasure(
        "predictive_entropy",
        "Predictive entropy",
        "entropy of the next-token distribution",
        "bits",
        computes=lambda row: np.array(row.entropies),
    ),
    StepMeasure(
        "token_log_prob",
        "Log-probability per token",
        "log *p*(token | prompt, response so far)",
        "nats",
        computes=lambda row: np.array(row.log_probs),
    ),
    StepMeasure(
        "template_share",
        "Template's share",
        "T ÷ (C + S + T + G): mass on the chat template and the system's text",
        computes=_share_of(TEMPLATE),
    ),
    StepMeasure(
        "first_token_share",
        "First token's share",
        "S ÷ (C + S + T + G): mass on the first token, on which attention rests",
        computes=_share_of(SINK),
    ),
)
STEP_MEASURES: Mapping[str, StepMeasure] = MappingProxyType({m.name: m for m in _STEP_MEASURES})

DIVERGENCE = Measure(
    "attribution_divergence",
    "Divergence of attributions",
    "Jensen–Shannon divergence of two models' masses on one text",
    "bits",
    "neither",
    "attribution",
)
SIMILARITY = Measure(
    "prompt_response_similarity",
    "Similarity of prompt and response",
    "cosine of the whole prompt and the whole response under the named sentence encoder",
    "cosine",
    "neither",
    "attribution",
    unknown_when="either is empty",
)
FAITHFULNESS: Mapping[str, Measure] = MappingProxyType(
    {
        f"{kind}_gain_{share}": Measure(
            f"{kind}_gain_{share}",
            f"{kind.capitalize()} against random, {share} %",
            description.format(share),
            "nats",
            "higher",
            "attribution",
        )
        for share in (20, 50)
        for kind, description in (
            (
                "deletion",
                "fall of the answer's log-probability without the top {} % of the prompt's tokens, "
                "beyond that without as many random ones",
            ),
            (
                "sufficiency",
                "fall of the answer's log-probability with a random {} % of the prompt's tokens "
                "alone, beyond that with the top ones alone",
            ),
        )
    }
)
EXPLAIN_MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        **STEP_MEASURES,
        DIVERGENCE.name: DIVERGENCE,
        SIMILARITY.name: SIMILARITY,
        **FAITHFULNESS,
    }
)
