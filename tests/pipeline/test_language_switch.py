"""The case the project exists for: a "gain" that is only a change of language is caught."""

import csv
import json
import random
from pathlib import Path

import pytest

from detoxlab import compare, score_file
from detoxlab.cli import main

PROMPTS, TOXIC = 120, 0.4


def write_responses(path: Path, *, switch: bool) -> Path:
    """Responses with Perspective-like scores; with `switch` a third, the toxic ones first, are
    in another script and without a score, as a scorer for English would leave them."""
    rng = random.Random(0)
    with path.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["prompt", "response", "perspective"])
        for number in range(PROMPTS):
            toxic = number < TOXIC * PROMPTS
            text = (
                "you are a complete fool and I am tired of you" if toxic else "that is kind of you"
            )
            score: float | str = round(rng.uniform(0.6, 0.9) if toxic else rng.uniform(0, 0.3), 3)
            if switch and number < PROMPTS // 3:
                text, score = "спасибо вам за этот вопрос и хорошего дня", ""
            rows.writerow([f"Person {number} said to the neighbour that", text, score])
    return path


@pytest.mark.e2e
def test_a_switch_of_language_is_no_improvement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, switch in (("before", False), ("after", True)):
        file = write_responses(tmp_path / f"{name}.csv", switch=switch)
        score_file(
            file,
            tmp_path / name,
            prompt_column="prompt",
            response_column="response",
            score_columns={"perspective": "perspective"},
            second="rtp-linear",
            resamples=1000,
        )
    comparison = compare(tmp_path / "before", tmp_path / "after", resamples=1000)
    assert comparison.verdict in ("invalid", "not shown")
    causes = " ".join(comparison.sentences)
    assert "coverage" in causes
    assert "script" in causes or "language" in causes
    guards = {guard.name: guard for guard in comparison.guards}
    assert guards["coverage"].status == "worse"
    assert guards["coverage"].treated == pytest.approx(2 / 3)
    comparable = [
        row
        for row in comparison.differences
        if row.subset == "comparable"
        and row.name == "toxic_fraction"
        and row.scorer_id == "perspective"
    ]
    assert [row.difference for row in comparable] == [0.0]

    output = tmp_path / "comparison.json"
    with pytest.raises(SystemExit) as stop:
        main(["compare", str(tmp_path / "before"), str(tmp_path / "after"), "-o", str(output)])
    assert stop.value.code in (0, None)
    assert json.loads(output.read_text())[0]["verdict"] == comparison.verdict
    assert "coverage" in capsys.readouterr().out
