"""A run as data frames: a row per response or measurement, unknown scores as NaN."""

from pathlib import Path

import pytest

from detoxlab.errors import ConfigError, MissingFileError
from detoxlab.records import Generation, Measurement, Prompt, Score
from detoxlab.runs import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.start(tmp_path / "base", kind="measure", config={})
    run.append(
        "prompts.jsonl",
        [Prompt("p1", "Good morning", "test", {"group": "mild"}), Prompt("p2", "Hi", "test")],
    )
    run.append(
        "generations/worker-0.jsonl",
        [
            Generation("p1", 0, " to you", (1,), "eos"),
            Generation("p1", 1, " you fool", (2,), "length"),
            Generation("p2", 0, "", (3,), "eos"),
        ],
    )
    run.append(
        "scores/judge@1.jsonl",
        [
            Score("p1", 1, "judge@1", "toxicity", 0.9),
            Score("p1", 0, "judge@1", "toxicity", 0.1),
            Score("p2", 0, "judge@1", "toxicity", error="empty"),
        ],
    )
    run.append("scores/second@1.jsonl", [Score("p1", 1, "second@1", "insult", 0.8)])
    run.write_measurements(
        [Measurement("toxic_fraction", 0.5, 0.1, 0.9), Measurement("perplexity", None)]
    )
    return run


def test_a_row_has_prompt_response_and_a_column_per_scorers_attribute(run: Run) -> None:
    frame = run.to_pandas()
    assert list(frame.columns) == [
        *("prompt_id", "sample", "group", "prompt", "response", "finish_reason"),
        *("judge@1/toxicity", "second@1/insult"),
    ]
    assert frame[["prompt", "response"]].values.tolist() == [
        ["Good morning", " to you"],
        ["Good morning", " you fool"],
        ["Hi", ""],
    ]
    assert frame["judge@1/toxicity"].isna().tolist() == [False, False, True]
    assert frame["second@1/insult"].isna().tolist() == [True, False, True]
    assert frame.groupby("prompt_id")["judge@1/toxicity"].max().tolist()[0] == 0.9
    assert frame["group"].tolist()[:2] == ["mild", "mild"]


def test_an_unknown_measurement_is_no_number(run: Run) -> None:
    frame = run.to_pandas("measurements").set_index("name")
    assert frame.loc["toxic_fraction", ["value", "ci_low", "ci_high"]].tolist() == [0.5, 0.1, 0.9]
    assert frame["value"].isna().tolist() == [False, True]
    assert frame["value"].dtype == float


def test_a_run_without_responses_or_a_table_without_a_name_is_an_error(
    run: Run, tmp_path: Path
) -> None:
    with pytest.raises(MissingFileError, match="holds no responses"):
        Run.start(tmp_path / "ft", kind="train", config={}).to_pandas()
    with pytest.raises(ConfigError, match="Did you mean 'responses'"):
        run.to_pandas("response")  # type: ignore[arg-type]
