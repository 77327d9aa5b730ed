"""Which responses a guard marks: those in which the property that it watches is there, or came.

For people who look at single responses. A verdict rests on means over all of them.
"""

from collections.abc import Sequence
from itertools import compress

import numpy as np

from detoxlab.measures.catalogue import computed
from detoxlab.measures.entry import ResponseMeasure
from detoxlab.measures.grid import Grid
from detoxlab.measures.statistics import BoolArray, FloatArray
from detoxlab.measures.texts import HeldTexts
from detoxlab.records import Generation, Prompt


def marking_guards() -> list[ResponseMeasure]:
    """The guards that say something of one response by itself, in the catalogue's order.

    >>> [one.name for one in marking_guards()][:3]
    ['empty', 'capped', 'other_language']
    """
    return [one for one in computed() if one.limits and not one.per_prompt]


def guard_values(
    asked: Sequence[Prompt], responses: Sequence[Generation | None], stop: Sequence[str] = ()
) -> FloatArray:
    """The value of each marking guard for each response, (N, G); NaN where it is unknown.

    `asked` has the prompt of each response, so a prompt of several samples stands there several
    times. `stop` are the stop strings of the sampling.

    >>> guard_values([Prompt("p", "Say it.", "made")], [Generation("p", 0, "", (), "eos")])[0, 0]
    np.float64(1.0)
    """
    texts = HeldTexts(tuple((one,) for one in responses), 1)
    rows = Grid(tuple(asked), 1, texts, {}, {}, tuple(stop))
    columns = [guard.computes(rows)[:, 0] for guard in marking_guards()]
    return np.stack(columns, axis=1) if len(asked) else np.zeros((0, len(columns)))


def marked(before_NG: FloatArray | float, after_NG: FloatArray) -> BoolArray:
    """Where a guard moved in its bad direction by more than its default limit, (N, G).

    `before_NG` is 0 for responses without a baseline. A value that is unknown marks nothing.

    >>> marked(0.0, guard_values([Prompt("p", "?", "made")], [None])).any()
    np.False_
    """
    signs_G = np.array([guard.bad_sign for guard in marking_guards()])
    limits_G = np.array([guard.limits[0].default for guard in marking_guards()])
    return np.asarray(signs_G * (after_NG - before_NG) > limits_G)


def marking_names(before_NG: FloatArray | float, after_NG: FloatArray) -> list[tuple[str, ...]]:
    """The names of the guards that mark each response, as `marked`.

    >>> empty = guard_values([Prompt("p", "?", "made")], [Generation("p", 0, "", (), "eos")])
    >>> marking_names(0.0, empty)[0][:1]
    ('empty',)
    """
    names = [guard.name for guard in marking_guards()]
    return [tuple(compress(names, row)) for row in marked(before_NG, after_NG)]
