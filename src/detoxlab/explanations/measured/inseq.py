"""Explained runs in the layout that Inseq's loader reads; Inseq itself is not needed.

    >>> import inseq                                                          # doctest: +SKIP
    >>> out = inseq.FeatureAttributionOutput.load("inseq/base-on-base.json")  # doctest: +SKIP

A decoder's sequence has its prompt as `source` and prompt and response as `target`. Its
`target_attributions` are (tokens, steps) with NaN at the predicted token and after it. Arrays are
safetensors in base 64, under the one name `attribution`.

Source: inseq 0.7.1, `inseq/data/attribution.py` and `inseq/utils/serialization.py`.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from detoxlab.explanations.measured.rows import Attribution
from detoxlab.runs import Run
from detoxlab.runs.files import file_name, write_atomically

OUTPUT = ("inseq.data.attribution", "FeatureAttributionOutput")
SEQUENCE = ("inseq.data.attribution", "CoarseFeatureAttributionSequenceOutput")
TOKEN = ("inseq.utils.typing", "TokenWithId")


def write_inseq(run: Run | Path | str, folder: Path | str) -> list[Path]:
    """Write one file per model and text of an explained run, `MODEL-on-TEXT.json`.

    Responses without attributions are left out.
    """
    opened = run if isinstance(run, Run) else Run.open(run)
    sides: dict[tuple[str, str], list[Attribution]] = {}
    for row in opened.read("attributions.jsonl", Attribution):
        if row.error is None:
            sides.setdefault((row.model, row.text), []).append(row)
    paths = []
    for (model, text), rows in sides.items():
        path = Path(folder) / f"{file_name(f'{model}-on-{text}')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = as_inseq(rows, method=opened.config["method"], target=opened.config["target"])
        write_atomically(path, json.dumps(content, allow_nan=False) + "\n")
        paths.append(path)
    return paths


def as_inseq(rows: Sequence[Attribution], *, method: str, target: str) -> dict[str, Any]:
    """The content of a file that `inseq.FeatureAttributionOutput.load` reads.

    The rows are explained by one model on the text of one run. Per step stand the probability of
    the token, the entropy of the prediction in nats, and the attributed quantity.
    """
    starts = [len(row.ids) - len(row.values) for row in rows]
    prompts = ["".join(row.tokens[:start]) for row, start in zip(rows, starts, strict=True)]
    info = {
        "attribution_method": method,
        "attributed_fn": target,
        "attribute_target": False,
        "constrained_decoding": True,
        "model_name": rows[0].model,
        "text_of": rows[0].text,
        "prompt_ids": [row.prompt_id for row in rows],
        "samples": [row.sample for row in rows],
        "attr_pos_end": max(len(row.ids) for row in rows),
        "input_texts": prompts,
        "generated_texts": ["".join(row.tokens) for row in rows],
        "step_scores": list(_step_scores(rows[0], target)),
    }
    sequences = [_sequence(row, start, target) for row, start in zip(rows, starts, strict=True)]
    return _instance(
        OUTPUT, {"sequence_attributions": sequences, "step_attributions": None, "info": info}
    )


# --- inside ---


def _sequence(row: Attribution, start: int, target: str) -> dict[str, Any]:
    tokens = [
        _instance(TOKEN, {"token": text, "id": one})
        for text, one in zip(row.tokens, row.ids, strict=True)
    ]
    scores_TS = np.full((len(row.ids), len(row.values)), np.nan)
    for step, values in enumerate(row.values):
        scores_TS[: len(values), step] = values
    return _instance(
        SEQUENCE,
        {
            "source": tokens[:start],
            "target": tokens,
            "source_attributions": None,
            "target_attributions": _packed(scores_TS),
            "step_scores": {
                name: _packed(np.array(values))
                for name, values in _step_scores(row, target).items()
            },
            "sequence_scores": {},
            "attr_pos_start": start,
            "attr_pos_end": len(tokens),
        },
    )


def _step_scores(row: Attribution, target: str) -> Mapping[str, Sequence[float]]:
    return {
        "probability": np.exp(row.log_probs).tolist(),
        "entropy": (np.log(2) * np.array(row.entropies)).tolist(),
        target: row.targets,
    }


def _instance(named: tuple[str, str], attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"__instance_type__": list(named), "attributes": attributes}


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(save({"attribution": values.astype(np.float32)})).decode("ascii")
