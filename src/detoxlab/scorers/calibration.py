"""Monotone maps from a raw output to a probability, stored as a few knots per attribute."""

from dataclasses import dataclass

import numpy as np

from detoxlab.scorers.base import FloatArray


@dataclass(frozen=True)
class Calibration:
    """One increasing piecewise linear curve per attribute; constant beyond its ends.

    `inputs_AM` and `outputs_AM` are (attributes, knots); inputs increase along a row,
    outputs never fall.
    """

    inputs_AM: FloatArray
    outputs_AM: FloatArray

    def __call__(self, raw_NA: FloatArray) -> FloatArray:
        """(N, A) probabilities in [0, 1] of the raw outputs (N, A).

        >>> curve = Calibration(np.array([[0.0, 2.0]]), np.array([[0.1, 0.9]]))
        >>> curve(np.array([[-1.0], [1.0], [5.0]])).tolist()
        [[0.1], [0.5], [0.9]]
        """
        columns = [
            np.interp(raw_N, inputs_M, outputs_M)
            for raw_N, inputs_M, outputs_M in zip(
                raw_NA.T, self.inputs_AM, self.outputs_AM, strict=True
            )
        ]
        scores_NA: FloatArray = np.stack(columns, axis=1).astype(np.float64)
        return scores_NA.clip(0.0, 1.0)
