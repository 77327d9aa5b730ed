"""Settings made in Python raise errors of our own, with the nearest name."""

from typing import Any

import pytest

from detoxlab import Classification, DetoxlabError, Limits, MeasureSettings, PromptSettings
from detoxlab.recipe.measuring import SamplingSettings
from detoxlab.settings import Settings, parse


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (Limits, {"coverage": 2}, "Limits: coverage: Input should be less than or equal to 1"),
        (Limits, {"empy": 0.1}, "Limits: unknown key 'empy'. Did you mean 'empty'?"),
        (SamplingSettings, {"k": 0}, "SamplingSettings: k: "),
        (PromptSettings, {}, "PromptSettings: source is not given"),
        (
            MeasureSettings,
            {"model": "m", "prompts": {"source": "embedded", "limt": 3}},
            "MeasureSettings: unknown key 'prompts.limt'. Did you mean 'limit'?",
        ),
        (Classification, {"threshold": 1}, "Classification: source is not given"),
    ],
)
def test_a_wrong_value_is_one_line_of_ours(
    kind: type[Settings], values: dict[str, Any], said: str
) -> None:
    with pytest.raises(DetoxlabError) as error:
        kind(**values)
    assert str(error.value).startswith(said)
    assert isinstance(error.value, ValueError)
    assert "pydantic" not in str(error.value)


def test_the_place_is_the_file_where_there_is_one() -> None:
    with pytest.raises(DetoxlabError, match=r"^lab\.yaml: coverage: "):
        parse(Limits, {"coverage": 2}, place="lab.yaml")
