"""A prompt that occurs twice in a file must not spoil the measures of all others."""

import json
from pathlib import Path
from typing import Any

import pytest

from detoxlab import compare, load_prompts, score_file
from detoxlab.data import LeftOutWarning, load_responses_file
from detoxlab.data.repeats import RepeatWarning, repetition
from detoxlab.errors import ConfigError
from detoxlab.records import Measurement
from detoxlab.runs import Run

SCORES = {"A": 0.1, "B": 0.7, "C": 0.3, "D": 0.9, "E": 0.2}
PER_PROMPT = ("expected_maximum_toxicity", "toxicity_probability")


def row(prompt: str, score: float | None, identifier: str | None = None) -> dict[str, Any]:
    made = {"prompt": f"Hello {prompt}", "response": f"you fool {score}", "tox": score}
    return made if identifier is None else {**made, "nr": identifier}


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def scored(path: Path, **options: Any) -> Run:
    return score_file(
        path,
        path.with_suffix(""),
        prompt_column="prompt",
        response_column="response",
        score_columns={"given": "tox"},
        second="rtp-linear",
        encoder=None,
        resamples=100,
        **options,
    )


def measured(run: Run, name: str, scorer: str = "given") -> Measurement:
    rows = (r for r in run.measurements() if (r.name, r.scorer_id, r.group) == (name, scorer, None))
    return next(rows)


ONCE = [row(prompt, score) for prompt, score in SCORES.items()]


def test_one_prompt_twice_leaves_the_others_in_every_measure(tmp_path: Path) -> None:
    with pytest.warns(RepeatWarning, match=r"1 of 6 rows repeat an earlier row's prompt"):
        run = scored(jsonl(tmp_path / "twice.jsonl", [*ONCE, row("B", 0.5)]))
    # With one sample per prompt the worst sample is the sample: (.1 + .7 + .3 + .9 + .2 + .5) / 6.
    maximum, probability = (measured(run, name) for name in PER_PROMPT)
    assert (maximum.n, maximum.k, maximum.value) == (6, 1, pytest.approx(0.45))
    assert (probability.n, probability.k, probability.value) == (6, 1, pytest.approx(0.5))
    facts = {"rows": 6, "repeated_rows": 1, "repeats": "apart"}
    assert facts.items() <= run.info["prompts"].items()


def test_a_file_with_a_repeat_is_compared_with_one_without(tmp_path: Path) -> None:
    with pytest.warns(RepeatWarning):
        first = scored(jsonl(tmp_path / "twice.jsonl", [*ONCE, row("B", 0.5)]))
    second = scored(jsonl(tmp_path / "once.jsonl", ONCE))
    for pair in ((first, second), (second, first)):
        compared = compare(*(run.path for run in pair), resamples=100)
        fraction = next(d for d in compared.differences if d.name == "toxic_fraction")
        assert (fraction.n_prompts, fraction.difference) == (5, 0.0)


def test_n_is_the_number_of_prompts_that_entered(tmp_path: Path) -> None:
    """Two samples each; of B one is unscored, of E both: B has no known worst sample."""
    rows = [row(p, s) for p, s in SCORES.items()] + [row(p, s) for p, s in SCORES.items()]
    rows[6]["tox"] = None
    rows[4]["tox"] = rows[9]["tox"] = None
    run = scored(jsonl(tmp_path / "samples.jsonl", rows))
    assert [measured(run, name).n for name in PER_PROMPT] == [3, 3]
    assert [measured(run, n).n for n in ("toxic_fraction", "mean_toxicity")] == [4, 4]
    assert measured(run, "coverage").n == 5
    assert measured(run, "agreement_pearson", "rtp-linear@1").n == 4


@pytest.mark.parametrize(
    ("repeats", "samples"),
    [("samples", [0, 0, 1]), ("apart", [0, 0, 0]), ("first", [0, 0])],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_user_says_what_repeats_are(tmp_path: Path, repeats: Any, samples: list[int]) -> None:
    path = jsonl(tmp_path / "said.jsonl", [row("A", 0, "1"), row("B", 0, "2"), row("B", 1, "2")])
    _, generations, _ = load_responses_file(
        path, prompt_column="prompt", response_column="response", id_column="nr", repeats=repeats
    )
    assert [one.sample for one in generations] == samples


def test_what_is_left_out_on_request_is_counted(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "first.jsonl", [*ONCE, row("B", 0.5)])
    with pytest.warns(LeftOutWarning, match="1 of 6 rows"):
        run = scored(path, repeats="first")
    assert run.info["prompts"]["repeats"] == "first"
    assert measured(run, "toxic_fraction").n == 5


def test_lists_are_told_apart_as_wholes(tmp_path: Path) -> None:
    many = {"prompt": "Hello A", "response": ["x", "y"]}
    path = jsonl(tmp_path / "lists.jsonl", [many, {**many, "prompt": "Hello B"}, many])
    with pytest.warns(RepeatWarning):
        prompts, generations, _ = load_responses_file(
            path, prompt_column="prompt", response_column="response"
        )
    assert [prompt.text for prompt in prompts] == ["Hello A", "Hello B", "Hello A"]
    assert [one.sample for one in generations] == [0, 1, 0, 1, 0, 1]


def test_a_prompt_without_any_response_stays_a_prompt(tmp_path: Path) -> None:
    asked = {"prompt": "Hello A", "response": ["x"]}
    path = jsonl(tmp_path / "none.jsonl", [asked, {"prompt": "Hello B", "response": []}])
    prompts, generations, _ = load_responses_file(
        path, prompt_column="prompt", response_column="response"
    )
    assert (len(prompts), len(generations)) == (2, 1)


def test_a_number_that_is_taken_is_passed_over() -> None:
    assert repetition(["a", "a#2", "a"]).names == ("a", "a#2", "a#3")


def test_an_unknown_way_is_named() -> None:
    with pytest.raises(ConfigError, match=r"repeats is 'twice'\. It is one of auto, samples"):
        repetition(["a"], "twice")  # type: ignore[arg-type]


def test_prompts_given_twice_with_their_id_can_be_deduplicated(tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "Hello"}, {"id": "2", "text": "Well"}, {"id": "1", "text": "Hello"}]
    path = jsonl(tmp_path / "prompts.jsonl", rows)
    with pytest.warns(LeftOutWarning, match="1 of 3 prompts repeat"):
        prompts = load_prompts(str(path), deduplicate=True)
    assert [prompt.id for prompt in prompts] == ["1", "2"]
