"""The likelihood of responses: under the very tokens that the model was given, or unknown."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from detoxlab.generate import LocalEngine, PromptTruncatedWarning
from detoxlab.models import LanguageModel, load_model, log_probs_that_fit
from detoxlab.records import Prompt, Sampling
from detoxlab.runs import Run
from detoxlab.subject import Subject
from tests.support.measured_runs import measured
from tests.support.tiny import ASSISTANT, tiny_model, tiny_tokenizer

NEW = 6


def opening_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny tokenizer with a token that opens each text."""
    tokenizer = tiny_tokenizer()
    tokenizer.bos_token = ASSISTANT
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{ASSISTANT} $A", special_tokens=[(ASSISTANT, tokenizer.bos_token_id)]
    )
    return tokenizer


def saved(folder: Path, context: int, seed: int = 0) -> Path:
    """A tiny model with a short context and a token that opens each text."""
    model = tiny_model(seed)
    model.config.max_position_embeddings = context
    model.save_pretrained(folder)
    opening_tokenizer().save_pretrained(folder)
    return folder


def prompts(folder: Path) -> dict[str, Any]:
    """Three prompts of 9, 21 and 61 tokens, the opening one among them."""
    path = folder / "prompts.txt"
    path.write_text("\n".join(["you fool", "you fool " + "so " * 4, "so " * 20]) + "\n")
    return {"source": str(path)}


def run_on(model: Path, out: Path, **settings: Any) -> Run:
    asked = {"prompts": prompts(out.parent), "protocol": "rtp", "resamples": 100}
    return measured(model, out, **asked | {"sampling": {"max_new_tokens": NEW, "k": 2}} | settings)


def longest(run: Run) -> Prompt:
    return max(run.responses().prompts, key=lambda prompt: len(prompt.text))


def nats(run: Run) -> dict[tuple[str, int], float | str | None]:
    """What the run says of each response: nats, or why there are none."""
    name = run.info["base_likelihood_id"]
    rows = [row for row in run.responses().scores if row.scorer_id == name]
    assert len(rows) == 2 * len(run.responses().generations)
    return {
        (row.prompt_id, row.sample): row.error or row.value
        for row in rows
        if row.attribute == "nll"
    }


def by_hand(lm: LanguageModel, context: list[int], response: list[int]) -> float:
    """Nats of a response by one forward pass over one text."""
    with torch.no_grad():
        log_probs_TV = lm.model(torch.tensor([context + response])).logits[0].log_softmax(-1)
    first = len(context) - 1
    return -sum(float(log_probs_TV[first + i, token]) for i, token in enumerate(response))


def test_a_prompt_that_was_cut_is_read_as_it_was_given(tmp_path: Path) -> None:
    """Each prompt keeps its opening token and the last 17 that leave room for 6 more of 24."""
    folder = saved(tmp_path / "m", context=24)
    with pytest.warns(PromptTruncatedWarning, match="2 of 3 prompts"):
        run = run_on(folder, tmp_path / "run")
    lm, found = load_model(folder), nats(run)
    texts = {prompt.id: prompt.text for prompt in run.responses().prompts}
    for row in run.responses().generations:
        ids = lm.tokenizer(texts[row.prompt_id]).input_ids
        given = ids if len(ids) <= 18 else [lm.tokenizer.bos_token_id, *ids[-17:]]
        expected = by_hand(lm, given, list(row.token_ids))
        assert found[row.prompt_id, row.sample] == pytest.approx(expected, abs=1e-4)


def test_a_reference_of_the_same_tokens_reads_the_same_cut(tmp_path: Path) -> None:
    folder, other = saved(tmp_path / "m", 24), saved(tmp_path / "other", 256, seed=1)
    with pytest.warns(PromptTruncatedWarning):
        run = run_on(folder, tmp_path / "run", reference=str(other))
    lm, found = load_model(other), nats(run)
    prompt = longest(run)
    row = next(row for row in run.responses().generations if row.prompt_id == prompt.id)
    engine = LocalEngine(Subject(load_model(folder)), chat=False)
    given = list(engine.context_ids(prompt, Sampling(max_new_tokens=NEW)))
    assert len(given) == 18
    answer = lm.tokenizer(row.text, add_special_tokens=False).input_ids
    assert found[prompt.id, row.sample] == pytest.approx(by_hand(lm, given, answer), abs=1e-4)


def test_what_a_reference_cannot_read_whole_is_unknown_and_the_run_ends_well(
    tmp_path: Path,
) -> None:
    model, short = saved(tmp_path / "m", 256), saved(tmp_path / "short", 48, seed=1)
    run = run_on(model, tmp_path / "run", reference=str(short))
    assert run.info["status"] == "finished"
    found, unread = nats(run), longest(run).id
    reason = "not computable: prompt and response are longer than 48 tokens"
    assert [found[unread, sample] for sample in range(2)] == [reason, reason]
    known = [row for row in run.responses().generations if row.prompt_id != unread]
    total = sum(found[row.prompt_id, row.sample] for row in known)  # type: ignore[misc]
    perplexity = next(row for row in run.measurements() if row.name == "perplexity")
    assert perplexity.coverage == pytest.approx(2 / 3)
    tokens = sum(
        len(opening_tokenizer()(row.text, add_special_tokens=False).input_ids) for row in known
    )
    assert perplexity.value == pytest.approx(np.exp(total / tokens), rel=1e-4)


def test_a_run_that_such_a_reference_had_killed_goes_on(tmp_path: Path) -> None:
    """A response of 6 tokens alone fills the reference's context of 5."""
    model, short = saved(tmp_path / "m", 256), saved(tmp_path / "short", 5, seed=1)
    whole = run_on(model, tmp_path / "whole", reference=str(short))
    cut = run_on(model, tmp_path / "cut", reference=str(short))
    info = json.loads((cut.path / "run.json").read_text())
    (cut.path / "run.json").write_text(json.dumps(info | {"status": "failed"}))
    (cut.path / "measurements.json").unlink(missing_ok=True)
    for path in (cut.path / "scores").glob("likelihood*"):
        path.unlink()
    again = run_on(model, cut.path, reference=str(short), resume=True)
    assert nats(again) == nats(whole)
    assert set(map(type, nats(whole).values())) == {str}


def test_no_prompt_is_cut_beside_a_response_that_it_leaves_no_room_for() -> None:
    lm = LanguageModel("t", "t@0", tiny_model(), tiny_tokenizer())
    fits, not_quite = log_probs_that_fit(lm, [[5] * 250, [5] * 251], [[6] * 6, [6] * 6])
    assert fits is not None
    assert len(fits) == 6
    assert not_quite is None


def test_where_a_prompt_is_cut_its_opening_token_stays() -> None:
    lm = LanguageModel("t", "t@0", tiny_model(), opening_tokenizer())
    bos = lm.tokenizer.bos_token_id
    assert lm.shortened([bos, 5, 6, 7], 3) == (bos, 6, 7)
    assert lm.shortened([bos, 5, 6, 7], 4) == (bos, 5, 6, 7)
    assert lm.shortened([4, 5, 6, 7], 3) == (5, 6, 7)
    assert lm.shortened([bos, 5, 6, 7], 1) == (7,)
