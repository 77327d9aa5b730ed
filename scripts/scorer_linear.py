"""Training of `rtp-linear`: ridge on hashed character n-grams towards Perspective's scores."""

import io
import zipfile
from pathlib import Path

import numpy as np
import scipy.sparse
from scorer_corpus import FloatArray, NewFromOld, Text, targets

from detoxlab.scorers import linear
from detoxlab.scorers.calibration import Calibration
from detoxlab.scorers.training.calibration import fit_calibration

RIDGE = 0.25
IDF_POWER = 0.5
FOLDS = 5
SMALLEST_DOCUMENT_COUNT = 2


def train_linear(texts: list[Text], new_from_old: NewFromOld, *, version: str) -> dict:
    """The arrays of the asset: int8 weights, their scales, bias, idf and calibration.

    The calibration curves are fitted on outputs for texts left out in turn (`FOLDS` folds).
    """
    goals_NA = targets(texts, new_from_old)
    idf_V = _idf([text.text for text in texts])
    rows = _rows([text.text for text in texts], idf_V)
    raw_NA = np.empty_like(goals_NA)
    for fold in range(FOLDS):
        out = np.arange(len(texts)) % FOLDS == fold
        weights_VA, bias_A = ridge(rows[~out], goals_NA[~out])
        raw_NA[out] = rows[out] @ weights_VA + bias_A
    curves = fit_calibration(raw_NA, goals_NA)
    weights_VA, bias_A = ridge(rows, goals_NA)
    scale_A = np.abs(weights_VA).max(0) / 127
    return {
        "weights": np.round(weights_VA / scale_A).astype(np.int8),
        "scale": scale_A.astype(np.float32),
        "bias": bias_A.astype(np.float32),
        "idf": idf_V.astype(np.float16),
        "calibration_inputs": curves.inputs_AM.astype(np.float32),
        "calibration_outputs": curves.outputs_AM.astype(np.float32),
        "version": np.array(version),
    }


def as_scorer(arrays: dict) -> linear.LinearScorer:
    """The scorer these arrays make, as `load_linear` would."""
    curves = Calibration(arrays["calibration_inputs"], arrays["calibration_outputs"])
    return linear.LinearScorer(
        arrays["weights"],
        arrays["scale"],
        arrays["bias"],
        arrays["idf"].astype(np.float32),
        curves,
        version=str(arrays["version"]),
    )


def save_linear(arrays: dict, path: Path) -> None:
    """A compressed .npz with fixed dates: the same arrays give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED
            )


def ridge(rows: scipy.sparse.csr_matrix, goals_NA: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights (V, A) and bias of the ridge, by conjugate gradients on its dual.

    The dual has one unknown per text, (X X' + ridge I) a = y, and each step costs two
    sparse products, so the Gram matrix is never formed.
    """
    bias_A = goals_NA.mean(0)
    columns = rows.T.tocsr()
    residual = goals_NA - bias_A
    solution, direction = np.zeros_like(residual), residual.copy()
    norm_A = (residual**2).sum(0)
    while norm_A.max() > 1e-6:
        applied = rows @ (columns @ direction) + RIDGE * direction
        step_A = norm_A / (direction * applied).sum(0)
        solution += step_A * direction
        residual -= step_A * applied
        previous_A, norm_A = norm_A, (residual**2).sum(0)
        direction = residual + norm_A / previous_A * direction
    return columns @ solution, bias_A


def _idf(texts: list[str]) -> FloatArray:
    """Square root of the usual smoothed idf; 0 for buckets seen in a single text."""
    features = linear.ngram_counts(texts)
    df_V = np.bincount(features.buckets_M, minlength=linear.BUCKETS)
    idf_V = (np.log((1 + len(texts)) / (1 + df_V)) + 1) ** IDF_POWER
    return np.where(df_V >= SMALLEST_DOCUMENT_COUNT, idf_V, 0.0)


def _rows(texts: list[str], idf_V: FloatArray) -> scipy.sparse.csr_matrix:
    features = linear.ngram_counts(texts)
    values_M = linear.unit_values(features, idf_V.astype(np.float32)).astype(np.float64)
    bounds = np.append(features.starts_N, len(values_M))
    return scipy.sparse.csr_matrix(
        (values_M, features.buckets_M, bounds), shape=(len(texts), linear.BUCKETS)
    )
