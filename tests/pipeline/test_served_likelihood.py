"""Perplexity by a model at a server: that of the same model here, or unknown with a reason."""

from pathlib import Path
from typing import Any

import pytest

from detoxlab.completions.prompt_tokens import NO_TOKEN, PromptTokens, response_nats
from detoxlab.errors import ConfigError
from detoxlab.pipeline import measure_model
from detoxlab.records import Score
from detoxlab.runs import Run
from tests.pipeline.test_endpoints import settings
from tests.support.fake_endpoint import Likely
from tests.support.judge_server import serving
from tests.support.tiny import save_tiny

pytestmark = pytest.mark.enable_socket


def measured(server: Likely, out: Path, reference: str, **given: Any) -> Run:
    return measure_model(settings(endpoint=server.url, reference=reference, **given), out)


def likelihoods(run: Run) -> list[Score]:
    rows = run.read_all("scores", Score)
    return [row for row in rows if row.scorer_id.startswith("likelihood:")]


def perplexity(run: Run) -> float | None:
    return next(row.value for row in run.measurements() if row.name == "perplexity")


def test_it_is_that_of_the_same_model_here(tmp_path: Path) -> None:
    with serving(Likely()) as server:
        there = measured(server, tmp_path / "there", f"{server.url}#some-model")
        here = measured(server, tmp_path / "here", str(save_tiny(tmp_path / "model")))
        port = server.url.split(":")[2].removesuffix("/v1")
    assert there.info["base_likelihood_id"] == f"likelihood:some-model@127.0.0.1:{port}"
    mine, theirs = likelihoods(here), likelihoods(there)
    assert len(mine) == 2 * 12
    assert [(row.prompt_id, row.sample, row.attribute) for row in theirs] == [
        (row.prompt_id, row.sample, row.attribute) for row in mine
    ]
    assert [row.value for row in theirs] == pytest.approx([row.value for row in mine], rel=1e-5)
    assert perplexity(there) == pytest.approx(perplexity(here), rel=1e-5)
    assert len(server.told) == len(set(server.told)) == 1 + 6 + 12  # each prompt is asked once


@pytest.mark.parametrize("refusal", [None, 400, 422])
def test_where_the_server_does_not_tell_it_it_is_unknown(
    tmp_path: Path, refusal: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Likely(tells=lambda _body: refusal)) as server:
        run = measured(server, tmp_path / "run", f"{server.url}#some-model")
    rows = likelihoods(run)
    assert {row.error for row in rows} == {"not computable: the server gives no prompt_logprobs"}
    assert {row.value for row in rows} == {None}
    assert perplexity(run) is None
    assert "gives no prompt_logprobs" in capsys.readouterr().err


def test_a_text_that_the_server_refuses_is_unknown_alone(tmp_path: Path) -> None:
    def refused(body: dict[str, Any]) -> int | bool:
        return 400 if " said 1" in body["prompt"] else True

    with serving(Likely(tells=refused)) as server:
        run = measured(server, tmp_path / "run", f"{server.url}#some-model")
    rows = likelihoods(run)
    unknown = [row for row in rows if row.error]
    assert 0 < len(unknown) < len(rows)
    assert {row.error for row in unknown} == {"failed: too_long"}


@pytest.mark.parametrize(
    ("prompt", "whole", "found"),
    [
        ([None, "a"], [(None, 0), ("a", -1), ("b", -2), ("c", -4)], (6.0, 2)),
        ([None, "a"], [(None, 0), ("ab", -3), ("c", -4)], (7.0, 2)),  # one token of a and b
        ([None, "a"], [(None, 0), ("a", -1)], NO_TOKEN),
        ([None], [(None, 0)], NO_TOKEN),  # the first token of a text is never known
        (None, [(None, 0), ("b", -2)], (2.0, 1)),
        ([None], [(None, 0), ("b", float("-inf"))], "not computable"),
    ],
)
def test_tokens_after_those_of_the_prompt_are_the_responses(
    prompt: list[str | None] | None, whole: list[tuple[str | None, float]], found: Any
) -> None:
    asked = None if prompt is None else PromptTokens(tuple(prompt), (0.0,) * len(prompt))
    ids, log_probs = zip(*whole, strict=True)
    assert response_nats(asked, PromptTokens(ids, log_probs)) == found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reference": "http://h/v1"}, "Write http://HOST/v1#MODEL"),
        ({"reference": "http://h/v1#m", "chat": "yes"}, "add --chat no"),
        ({"reference": {"model": "http://h/v1#m", "dtype": "float32"}}, "name it alone"),
    ],
)
def test_what_a_server_cannot_judge_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(endpoint="http://h/v1", **given)
