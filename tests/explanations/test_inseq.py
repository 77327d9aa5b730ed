"""Files for Inseq's loader hold the scores, tokens and places of the rows."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from detoxlab.explanations.measured.inseq import as_inseq, write_inseq
from detoxlab.explanations.measured.rows import Attribution
from tests.support.explained_runs import WORDS, attribution, explained_run


def unpacked(text: str) -> Any:
    (name, values), *others = load(base64.b64decode(text)).items()
    assert (name, others) == ("attribution", [])
    return values


def attributes(instance: dict[str, Any], kind: str) -> dict[str, Any]:
    """Of an instance of a class, as the loader makes it."""
    assert instance.keys() == {"__instance_type__", "attributes"}
    assert instance["__instance_type__"][1] == kind
    found: dict[str, Any] = instance["attributes"]
    return found


def test_a_row_goes_there_and_back() -> None:
    row = attribution("ft", "base", "p0", 4.0)
    content = json.loads(json.dumps(as_inseq([row], method="alti-logit", target="logit")))
    output = attributes(content, "FeatureAttributionOutput")
    (sequence,) = output["sequence_attributions"]
    found = attributes(sequence, "CoarseFeatureAttributionSequenceOutput")
    tokens = [attributes(one, "TokenWithId") for one in found["target"]]
    assert [one["token"] for one in tokens] == list(WORDS)
    assert tuple(one["id"] for one in tokens) == row.ids
    assert found["source"] == found["target"][:4]
    assert (found["attr_pos_start"], found["attr_pos_end"]) == (4, 7)
    scores_TS = unpacked(found["target_attributions"])
    assert scores_TS.shape == (7, 3)
    for step, values in enumerate(row.values):
        assert scores_TS[: len(values), step].tolist() == list(values)
        assert np.isnan(scores_TS[len(values) :, step]).all()
    scores = {name: unpacked(text).tolist() for name, text in found["step_scores"].items()}
    assert scores["logit"] == [2.0, 1.0, 0.5]
    assert scores["probability"] == pytest.approx(np.exp([-1.0, -2.0, -3.0]))
    assert scores["entropy"] == pytest.approx(np.log(2) * np.array([1.0, 2.0, 3.0]))
    assert output["info"]["input_texts"] == ["<s>zebra yak gnu"]
    assert output["info"]["step_scores"] == list(found["step_scores"])


def test_a_run_has_a_file_per_model_and_text(tmp_path: Path) -> None:
    run = explained_run(tmp_path / "run")
    paths = write_inseq(run, tmp_path / "inseq")
    assert [path.name for path in paths] == [
        f"{model}-on-{text}.json" for model in ("base", "ft") for text in ("base", "ft")
    ]
    rows = run.read("attributions.jsonl", Attribution)
    for path in paths:
        info = json.loads(path.read_text())["attributes"]["info"]
        own = [
            row for row in rows if (row.model, row.text) == (info["model_name"], info["text_of"])
        ]
        assert info["prompt_ids"] == [row.prompt_id for row in own]
        assert info["attribution_method"] == "alti-logit"


def test_failed_responses_are_left_out(tmp_path: Path) -> None:
    run = explained_run(tmp_path / "run", runs=("base",))
    run.append("attributions.jsonl", [Attribution("base", "base", "p9", 0, error="no tokens")])
    (path,) = write_inseq(run.path, tmp_path / "inseq")
    info = json.loads(path.read_text())["attributes"]["info"]
    assert "p9" not in info["prompt_ids"]
    assert len(info["prompt_ids"]) == 6
