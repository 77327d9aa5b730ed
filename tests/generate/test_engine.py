"""The engine in this process: its invariances, endings, limits of memory and context."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from detoxlab.errors import ConfigError, ModelError
from detoxlab.generate import LocalEngine, PromptTruncatedWarning
from detoxlab.models import LanguageModel, load_model
from detoxlab.models.cache import compacted
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.subject import Subject
from tests.support.tiny import tiny_lm

pytestmark = pytest.mark.slow

TEXTS = ("Good morning", "you fool", "Who", "", "They said that the weather would", "No. Then", "I")
SAMPLING = Sampling(k=4, max_new_tokens=12, top_p=0.9, seed=3)

Key = tuple[str, int]


def prompts(count: int, texts: Sequence[str] = TEXTS) -> list[Prompt]:
    return [Prompt(f"p{i}", texts[i % len(texts)] + " now" * (i // 7), "t") for i in range(count)]


def sharpened(lm: LanguageModel, factor: float = 40.0) -> LanguageModel:
    """A random model is nearly uniform; this one has opinions."""
    with torch.no_grad():
        lm.model.model.norm.weight.mul_(factor)
    return lm


def generated(
    engine: LocalEngine, asked: Sequence[Prompt], sampling: Sampling = SAMPLING
) -> dict[Key, Generation]:
    batches = engine.batches(asked, sampling)
    rows = [row for batch in batches for row in engine.generate(batch, sampling)]
    assert len(rows) == len(asked) * sampling.k
    return {(row.prompt_id, row.sample): row for row in rows}


def unexplained(
    ours: dict[Key, Generation], theirs: dict[Key, Generation], ties: set[tuple[str, int, int]]
) -> tuple[int, int]:
    """How many records differ, and how many of them without a near-tie where they part."""
    differing = [key for key in ours if ours[key] != theirs[key]]
    parted = {key: parting(ours[key].token_ids, theirs[key].token_ids) for key in differing}
    return len(differing), sum((*key, step) not in ties for key, step in parted.items())


def parting(a: Sequence[int], b: Sequence[int]) -> int:
    """The first step at which two responses differ."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), -1)


def check_batch_invariance(lm: LanguageModel, asked: Sequence[Prompt], sampling: Sampling) -> None:
    alone = LocalEngine(Subject(lm), chat=False, batch_size=1)
    expected = generated(alone, asked, sampling)
    for size in (7, 64):
        engine = LocalEngine(Subject(lm), chat=False, batch_size=size)
        rows = generated(engine, asked, sampling)
        ties = {*engine.near_ties, *alone.near_ties}
        differing, without_tie = unexplained(rows, expected, ties)
        print(f"batch {size}: {differing} of {len(rows)} records differ, {len(ties)} near-ties")
        assert without_tie == 0
        assert differing <= len(rows) * 0.02


def test_batch_size_does_not_change_a_record() -> None:
    check_batch_invariance(sharpened(tiny_lm()), prompts(64), SAMPLING)


def test_batch_size_does_not_change_a_record_of_a_real_model(data_dir: Path) -> None:
    lm = load_model(data_dir / "models" / "tinystories-656k")
    check_batch_invariance(lm, prompts(64), Sampling(k=5, max_new_tokens=10, top_p=0.9))


def test_order_of_prompts_does_not_change_a_record() -> None:
    lm, asked = sharpened(tiny_lm()), prompts(20)
    forward = generated(LocalEngine(Subject(lm), chat=True), asked)
    backward = generated(LocalEngine(Subject(lm), chat=True), asked[::-1])
    assert forward == backward


def test_two_models_with_the_same_weights_draw_the_same() -> None:
    one = generated(LocalEngine(Subject(tiny_lm(1)), chat=False), prompts(10))
    other = generated(LocalEngine(Subject(tiny_lm(1)), chat=False), prompts(10))
    assert one == other
    assert one != generated(LocalEngine(Subject(tiny_lm(2)), chat=False), prompts(10))


def test_seed_sample_and_iteration_change_what_is_drawn() -> None:
    lm, asked = tiny_lm(), prompts(5)
    base = generated(LocalEngine(Subject(lm), chat=False), asked)
    seeded = generated(
        LocalEngine(Subject(lm), chat=False),
        asked,
        Sampling(k=4, max_new_tokens=12, top_p=0.9, seed=4),
    )
    later = generated(LocalEngine(Subject(lm), chat=False, iteration=1), asked)
    assert not {base[key].token_ids for key in base} & {seeded[key].token_ids for key in base}
    assert not {base[key].token_ids for key in base} & {later[key].token_ids for key in base}
    assert len({row.token_ids for row in base.values()}) == len(base)


def test_more_samples_leave_the_first_ones_as_they_are() -> None:
    lm, asked = sharpened(tiny_lm()), prompts(6)
    few = generated(LocalEngine(Subject(lm), chat=False), asked, SAMPLING)
    many = generated(
        LocalEngine(Subject(lm), chat=False),
        asked,
        Sampling(k=9, max_new_tokens=12, top_p=0.9, seed=3),
    )
    assert all(many[key] == row for key, row in few.items())


def test_greedy_equals_transformers_generate() -> None:
    lm = sharpened(tiny_lm())
    rows = generated(
        LocalEngine(Subject(lm), chat=False),
        prompts(8),
        Sampling(max_new_tokens=15, temperature=0.0),
    )
    for prompt in prompts(8):
        ids = torch.tensor([lm.prompt_ids(prompt.text, chat=False)])
        theirs = lm.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=15, do_sample=False
        )
        assert list(rows[prompt.id, 0].token_ids) == theirs[0, ids.shape[1] :].tolist()


def test_a_response_ends_at_eos_which_its_ids_hold_and_its_text_does_not() -> None:
    lm = tiny_lm()
    rows = generated(
        LocalEngine(Subject(lm), chat=False), prompts(40), Sampling(k=5, max_new_tokens=40)
    )
    ended = [row for row in rows.values() if row.finish_reason == "eos"]
    assert ended
    for row in ended:
        assert row.token_ids[-1] == lm.tokenizer.eos_token_id
        assert row.token_ids.count(lm.tokenizer.eos_token_id) == 1
        assert lm.tokenizer.eos_token not in row.text
    capped = [row for row in rows.values() if row.finish_reason == "length"]
    assert all(len(row.token_ids) == 40 for row in capped)


def test_rows_that_finish_leave_the_others_as_they_are() -> None:
    """Compaction moves rows; each must keep its own cache, noise and mask."""
    lm = sharpened(tiny_lm(), 3.0)
    with torch.no_grad():  # EOS about one time in eight
        lm.model.model.embed_tokens.weight[0] *= 1.5
    sampling = Sampling(k=5, max_new_tokens=30, top_p=0.98)
    together = generated(LocalEngine(Subject(lm), chat=False, batch_size=64), prompts(30), sampling)
    alone = generated(LocalEngine(Subject(lm), chat=False, batch_size=1), prompts(30), sampling)
    lengths = {len(row.token_ids) for row in together.values()}
    assert len(lengths) > 5
    assert sum(together[key] != row for key, row in alone.items()) <= 1


def test_compacted_keeps_all_active_rows_once() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        active = torch.rand(20, generator=generator) < 0.6
        kept = compacted(active)
        assert sorted(kept.tolist()) == active.nonzero()[:, 0].tolist()
        assert all(i == k or k >= len(kept) for i, k in enumerate(kept.tolist()))


def test_stop_strings_cut_the_text_but_not_the_ids() -> None:
    lm = sharpened(tiny_lm(), 2.0)
    free = generated(LocalEngine(Subject(lm), chat=False), prompts(20))
    marker = next(row.text[3:5] for row in free.values() if row.text[3:5].isprintable())
    stopping = Sampling(k=4, max_new_tokens=12, top_p=0.9, seed=3, stop=(marker,))
    stopped = generated(LocalEngine(Subject(lm), chat=False), prompts(20), stopping)
    hit = [key for key, row in free.items() if marker in row.text]
    assert hit
    for key, row in free.items():
        assert stopped[key].text == row.text.partition(marker)[0]
        assert row.token_ids[: len(stopped[key].token_ids)] == stopped[key].token_ids
        assert (stopped[key].finish_reason == "stop") == (key in hit)


def test_next_turn_markers_are_stop_strings() -> None:
    lm = sharpened(tiny_lm(), 2.0)
    free = generated(LocalEngine(Subject(lm), chat=False), prompts(20))
    marker = next(row.text[2] for row in free.values() if row.text[2:3].isprintable())
    engine = LocalEngine(Subject(lm), chat=False, next_turn_markers=[marker])
    assert not any(marker in row.text for row in generated(engine, prompts(20)).values())


def test_a_role_token_ends_a_chat_response() -> None:
    lm = tiny_lm()
    role = lm.tokenizer.convert_tokens_to_ids("<|user|>")
    sampling = Sampling(k=5, max_new_tokens=60)
    rows = generated(LocalEngine(Subject(lm), chat=True), prompts(20), sampling).values()
    stopped = [row for row in rows if row.finish_reason == "stop"]
    assert any(row.token_ids[-1] == role for row in stopped)
    assert not any(role in row.token_ids[:-1] for row in rows)
    plain = generated(LocalEngine(Subject(lm), chat=False), prompts(20), sampling).values()
    assert any(role in row.token_ids[:-1] for row in plain)


def test_leading_spaces_are_kept(data_dir: Path) -> None:
    lm = load_model(data_dir / "models" / "tinystories-656k")
    rows = generated(
        LocalEngine(Subject(lm), chat=False), [Prompt("p", "Once upon a time there", "t")]
    )
    asked = lm.prompt_ids("Once upon a time there", chat=False)
    for row in rows.values():
        whole = lm.tokenizer.decode([*asked, *row.token_ids], skip_special_tokens=True)
        assert whole == "Once upon a time there" + row.text


class LimitedMemory(torch.nn.Module):
    """A real model that runs out of memory above a number of rows."""

    def __init__(self, model: Any, most: int, message: str) -> None:
        super().__init__()
        self.model, self.most, self.message = model, most, message
        self.config, self.generation_config = model.config, model.generation_config
        self.get_input_embeddings = model.get_input_embeddings

    def forward(self, input_ids: torch.Tensor, logits_to_keep: int = 0, **inputs: Any) -> Any:
        if len(input_ids) > self.most:
            raise RuntimeError(self.message)
        return self.model(input_ids, logits_to_keep=logits_to_keep, **inputs)


def limited(most: int, message: str = "[enforce fail] can't allocate memory") -> LanguageModel:
    lm = tiny_lm()
    return LanguageModel("t", "t@0", LimitedMemory(lm.model, most, message), lm.tokenizer)


@pytest.mark.parametrize("most", [1, 3, 10])
def test_rows_are_halved_when_memory_runs_out(most: int) -> None:
    engine = LocalEngine(Subject(limited(most)), chat=False, batch_size=8)
    rows = generated(engine, prompts(16))
    assert engine.facts()["row_limit"] <= most
    assert engine.facts()["batch_size"] == 8
    expected = generated(LocalEngine(Subject(limited(1000)), chat=False), prompts(16))
    assert rows == expected


def test_no_memory_for_one_row_is_an_error_and_other_errors_pass() -> None:
    with pytest.raises(ModelError, match="memory is too small for one response"):
        generated(LocalEngine(Subject(limited(0)), chat=False), prompts(2))
    with pytest.raises(RuntimeError, match="shapes cannot be"):
        generated(
            LocalEngine(Subject(limited(0, "shapes cannot be multiplied")), chat=False), prompts(2)
        )


def test_a_prompt_longer_than_the_context_loses_its_beginning() -> None:
    lm = tiny_lm()
    asked = [Prompt("long", "x" * 300 + "tail", "t"), Prompt("short", "tail", "t")]
    engine = LocalEngine(Subject(lm), chat=False)
    with pytest.warns(PromptTruncatedWarning, match="1 of 2 prompts"):
        rows = generated(engine, asked)
    assert engine.facts()["prompts_truncated"] == 1
    kept = Prompt("long", ("x" * 300 + "tail")[-(256 - 12) :], "t")
    assert generated(LocalEngine(Subject(lm), chat=False), [kept])["long", 0] == rows["long", 0]


def test_more_new_tokens_than_the_context_is_an_error() -> None:
    with pytest.raises(ConfigError, match="max_new_tokens=256 leaves no room"):
        LocalEngine(Subject(tiny_lm()), chat=False).batches(
            prompts(1), Sampling(max_new_tokens=256)
        )


def test_automatic_batches_are_the_same_twice_and_sorted_by_length() -> None:
    lm = tiny_lm()
    first, again = (LocalEngine(Subject(lm), chat=False) for _ in range(2))
    assert first.batches(prompts(300), SAMPLING) == again.batches(prompts(300), SAMPLING)
    batches = first.batches(prompts(300), SAMPLING)
    lengths = [len(lm.prompt_ids(p.text, chat=False)) for batch in batches for p in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert first.facts()["batch_size"] * SAMPLING.k <= 256


def test_the_model_is_left_in_its_mode() -> None:
    lm = tiny_lm()
    lm.model.train()
    lm.model.model.layers[0].eval()
    generated(LocalEngine(Subject(lm), chat=False), prompts(2))
    assert lm.model.training
    assert not lm.model.model.layers[0].training
