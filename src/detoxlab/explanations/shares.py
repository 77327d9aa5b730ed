"""How attributions divide between prompt, template and response: pure functions of one response.

`mass_ST` (S, T) are absolute scores of the tokens before each step: signed scores are never
normalised, because their shares explode. `classes` has one letter for each of the
T tokens (`names`). NaN means that a value is not defined at a step.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detoxlab.explanations.names import CONTENT, GENERATED, SINK, TEMPLATE
from detoxlab.measures.statistics import FloatArray, divide

CLASSES = (CONTENT, SINK, TEMPLATE, GENERATED)


def masses(mass_ST: FloatArray, classes: str) -> Mapping[str, FloatArray]:
    """By class, the sum of the absolute scores at each step (S,).

    >>> found = masses(np.array([[3.0, 1.0, 0.0], [1.0, 2.0, 4.0]]), "SCG")
    >>> {kind: mass_S.tolist() for kind, mass_S in found.items()}
    {'C': [1.0, 2.0], 'S': [3.0, 1.0], 'T': [0.0, 0.0], 'G': [0.0, 4.0]}
    """
    return {kind: mass_ST[:, _is(classes, kind)].sum(axis=1) for kind in CLASSES}


def prompt_dependence(mass_ST: FloatArray, classes: str) -> FloatArray:
    """C / (C + G) at each step (S,), in [0, 1]: the prompt's share against the response's.

    Not defined at the first step, which has no response before it. It falls with the step by
    itself, since the response grows: compare models on the same text at the same step.

    >>> prompt_dependence(np.array([[3.0, 1.0, 0.0], [1.0, 1.0, 3.0]]), "SCG").tolist()
    [nan, 0.25]
    """
    mass = masses(mass_ST, classes)
    shares_S = divide(mass[CONTENT], mass[CONTENT] + mass[GENERATED])
    return _after_first(shares_S)


def length_corrected(mass_ST: FloatArray, classes: str) -> FloatArray:
    """log (C / number of prompt tokens) − log (G / number of response tokens), at each step (S,).

    In nats; above 0 a token of the prompt counts for more than one of the response. Not defined
    at the first step, or where one of the two is 0.

    >>> length_corrected(np.array([[3.0, 1.0, 0.0], [1.0, 1.0, 1.0]]), "SCG").tolist()
    [nan, 0.0]
    """
    mass = masses(mass_ST, classes)
    steps_S = np.arange(len(mass_ST), dtype=np.float64)
    ratio_S = divide(mass[CONTENT], mass[GENERATED]) * steps_S / max(1, classes.count(CONTENT))
    known_S = np.where(ratio_S > 0, ratio_S, np.nan)
    return _after_first(np.log(known_S))


def attribution_entropy(mass_ST: FloatArray, classes: str) -> FloatArray:
    """How widely the prompt's mass is spread over its content tokens (S,), in bits.

    0 when one token has it all, log2 of their number when all have the same.

    >>> attribution_entropy(np.array([[9.0, 1.0, 1.0], [9.0, 2.0, 0.0]]), "SCC").tolist()
    [1.0, 0.0]
    """
    content_SC = mass_ST[:, _is(classes, CONTENT)]
    return entropy_bits(content_SC)


def normalised_entropy(mass_ST: FloatArray, classes: str) -> FloatArray:
    """`attribution_entropy` over its largest possible value (S,), in [0, 1].

    Not defined with fewer than two content tokens.

    >>> normalised_entropy(np.array([[9.0, 1.0, 1.0, 1.0, 1.0]]), "SCCCC").tolist()
    [1.0]
    """
    most = np.log2(classes.count(CONTENT)) if classes.count(CONTENT) > 1 else np.nan
    return attribution_entropy(mass_ST, classes) / most


def entropy_bits(mass_SC: FloatArray) -> FloatArray:
    """The entropy of each row's shares (S,), in bits; NaN for a row without mass."""
    shares_SC = _shares(mass_SC)
    return np.asarray(0.0 - (shares_SC * _log2(shares_SC)).sum(axis=1))


def attribution_divergence(one_ST: FloatArray, other_ST: FloatArray, classes: str) -> FloatArray:
    """How differently two models divide their mass over one text (S,): bits, in [0, 1].

    The Jensen–Shannon divergence over the tokens of prompt and response, without the first token
    and the template; 0 when both divide it alike.

    Source: Lin 1991, Divergence Measures Based on the Shannon Entropy, equation 4.1.

    >>> attribution_divergence(np.array([[0.0, 2.0]]), np.array([[5.0, 0.0]]), "CC").tolist()
    [1.0]
    """
    kept_T = _is(classes, CONTENT) | _is(classes, GENERATED)
    p_SK, q_SK = (_shares(mass_ST[:, kept_T]) for mass_ST in (one_ST, other_ST))
    middle_SK = (p_SK + q_SK) / 2
    to_middle = [
        (share_SK * (_log2(share_SK) - _log2(middle_SK))).sum(axis=1) for share_SK in (p_SK, q_SK)
    ]
    return np.asarray((to_middle[0] + to_middle[1]) / 2)


# --- inside ---


def _is(classes: str, kind: str) -> NDArray[np.bool_]:
    return np.array([one == kind for one in classes], dtype=np.bool_)


def _shares(mass_SK: FloatArray) -> FloatArray:
    return divide(mass_SK, mass_SK.sum(axis=1, keepdims=True))


def _log2(shares: FloatArray) -> FloatArray:
    """log2, with 0 where a share is 0: there it is multiplied by 0."""
    return np.log2(np.where(shares == 0, 1.0, shares))


def _after_first(values_S: FloatArray) -> FloatArray:
    return np.where(np.arange(len(values_S)) == 0, np.nan, values_S)
