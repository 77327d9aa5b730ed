"""Every supported architecture: what a model says of a text does not depend on how it is read.

The others are refused when they are loaded. The half of it that trains is in another file.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from detoxlab.errors import ModelError
from detoxlab.generate import LocalEngine
from detoxlab.models import LanguageModel, load_model, token_log_probs
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.subject import Subject
from tests.support.layouts import REFUSED, SUPPORTED, layout_lm, save_layout

PROMPTS = [
    Prompt("short", "so", "t"),
    Prompt("long", "a longer text here", "t"),
    Prompt("one", "a", "t"),
]
"""Of 2, 18 and 1 tokens: padded, and on both sides of a window of 8."""
SAMPLING = Sampling(k=3, max_new_tokens=12, seed=5)


def plain(lm: LanguageModel, ids: Sequence[int]) -> torch.Tensor:
    """Log-probabilities (T, V) after each token of a text read alone, at once, without a cache."""
    with torch.no_grad():
        return lm.model(torch.tensor([list(ids)]), use_cache=False).logits[0].log_softmax(-1)


def drawn(lm: LanguageModel, sampling: Sampling, batch_size: int) -> list[Generation]:
    engine = LocalEngine(Subject(lm), chat=False, batch_size=batch_size)
    batches = engine.batches(PROMPTS, sampling)
    rows = [row for batch in batches for row in engine.generate(batch, sampling)]
    return sorted(rows, key=lambda row: (row.prompt_id, row.sample))


@pytest.mark.parametrize("kind", SUPPORTED)
def test_log_probabilities_are_those_of_a_plain_forward_pass(kind: str) -> None:
    lm, generator = layout_lm(kind), np.random.default_rng(0)
    prompts = [generator.integers(4, 260, n).tolist() for n in (3, 12, 1, 5)]
    responses = [generator.integers(4, 260, n).tolist() for n in (6, 1, 11, 2)]
    batched = token_log_probs(lm, prompts, responses)
    for prompt, response, values in zip(prompts, responses, batched, strict=True):
        places = torch.arange(len(prompt) - 1, len(prompt) + len(response) - 1)
        expected = plain(lm, prompt + response)[places, torch.tensor(response)]
        np.testing.assert_allclose(values, expected.numpy(), atol=2e-5)


@pytest.mark.parametrize("kind", SUPPORTED)
def test_token_by_token_in_a_batch_is_as_at_once_and_alone(kind: str) -> None:
    lm = layout_lm(kind)
    for row in drawn(lm, Sampling(max_new_tokens=12, temperature=0.0), batch_size=3):
        (text,) = (prompt.text for prompt in PROMPTS if prompt.id == row.prompt_id)
        ids = lm.prompt_ids(text, chat=False)
        best_T = plain(lm, [*ids, *row.token_ids]).argmax(dim=-1)
        assert list(row.token_ids) == best_T[len(ids) - 1 : -1].tolist()


@pytest.mark.parametrize("kind", SUPPORTED)
def test_samples_share_a_prompt_and_end_without_a_trace_in_the_others(kind: str) -> None:
    lm = layout_lm(kind)
    with torch.no_grad():  # so that some responses end early and their rows are given up
        lm.model.get_output_embeddings().weight[0] *= 2.0
    assert drawn(lm, SAMPLING, batch_size=3) == drawn(lm, SAMPLING, batch_size=1)


@pytest.mark.parametrize("kind", SUPPORTED)
def test_it_is_loaded_and_its_memory_estimated(kind: str, tmp_path: Path) -> None:
    lm = load_model(save_layout(tmp_path / kind, kind))
    assert lm.model.config.model_type == kind
    (batch,) = LocalEngine(Subject(lm), chat=True).batches(PROMPTS, SAMPLING)
    assert len(batch) == len(PROMPTS)


@pytest.mark.parametrize("kind", REFUSED)
def test_others_are_refused_by_name_when_they_are_loaded(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(save_layout(tmp_path / "some", kind))
    assert f"({kind}) is not supported: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "over HTTP" in str(caught.value.remedy)


def test_the_page_on_models_lists_them_all() -> None:
    rows = (Path(__file__).parents[2] / "docs" / "models.md").read_text().splitlines()
    supported = {name for row in rows if "refused |" not in row for name in names_in(row)}
    assert set(SUPPORTED) <= supported
    refused = {name for row in rows if "refused |" in row for name in names_in(row)}
    assert set(REFUSED) <= refused


def names_in(row: str) -> set[str]:
    """The names in the last cell of a table's row."""
    return set(re.findall(r"[\w-]+", row.rstrip("| ").rpartition("|")[2]))
