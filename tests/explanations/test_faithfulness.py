"""The check of a method against random choices: by hand on a linear model."""

import numpy as np
import pytest

from detoxlab.explanations.measured.faithfulness import Faithfulness, token_scores
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.models import LanguageModel
from detoxlab.subject import Subject
from tests.support.tiny import tiny_lm


def row(scores: tuple[float, ...], classes: str) -> Attribution:
    return Attribution("m", "m", "p0", 0, classes=classes, values=(scores,))


def total(lm: LanguageModel, prompt: list[int], response: list[int]) -> float:
    return float(Subject(lm).token_log_probs([prompt], [response])[0].sum())


def test_scores_are_of_the_prompts_own_tokens() -> None:
    one = Attribution("m", "m", "p", 0, classes="SCTCG", values=((9, 1, 5, -2), (9, 3, 5, 1, 7)))
    assert token_scores(one).tolist() == [4.0, 3.0]


def test_falls_by_hand() -> None:
    lm, prompt, response = tiny_lm(), [2, 10, 11, 12, 13, 14, 3], [20, 21]
    scores = (9.0, 1.0, 5.0, 2.0, 4.0, 3.0, 9.0)
    check = Faithfulness(Subject(lm), draws=20)
    values = check.result(row(scores, "SCCCCCT"), prompt, response).values
    whole = total(lm, prompt, response)
    gone = {
        "deletion_20": [2, 10, 12, 13, 14, 3],  # 11 has the highest score
        "deletion_50": [2, 10, 12, 14, 3],  # 11 and 13
        "sufficiency_20": [2, 11, 3],
        "sufficiency_50": [2, 11, 13, 3],
    }
    for name, left in gone.items():
        assert values[name] == pytest.approx(whole - total(lm, left, response), abs=1e-4)
        assert f"{name}_random" in values
    one_gone = [whole - total(lm, [t for t in prompt if t != out], response) for out in prompt[1:6]]
    assert min(one_gone) <= values["deletion_20_random"] <= max(one_gone)


def test_random_choices_depend_on_prompt_and_seed_alone() -> None:
    lm, prompt, response = tiny_lm(), [2, *range(10, 30), 3], [20, 21]
    one = row(tuple(np.arange(22.0)), "S" + "C" * 20 + "T")
    found = [
        Faithfulness(Subject(lm), seed=seed)
        .result(one, prompt, response)
        .values["deletion_50_random"]
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]


def test_a_prompt_without_tokens_of_its_own_is_not_checked() -> None:
    result = Faithfulness(Subject(tiny_lm())).result(row((1.0, 1.0), "SC"), [2, 10], [20])
    assert result.error == "the prompt has fewer than two tokens of its own"
