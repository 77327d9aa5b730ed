"""Logits that are no numbers end what is done with them: drawing, judging, training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from detoxlab.data.split import DialogueSplit, PairSplit
from detoxlab.errors import ModelError, TrainingError
from detoxlab.evaluations import Perplexity
from detoxlab.generate import LocalEngine
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.methods.ppo.policy import Policy, Response
from detoxlab.models import LanguageModel, next_token_log_probs, token_log_probs
from detoxlab.models.finite import check_logits
from detoxlab.records import Preference, Prompt, Sampling, Turn
from detoxlab.subject import Subject
from tests.support.tiny import dialogues, tiny_lm, tiny_tokenizer
from tests.support.training_runs import FAST, fitted

NAN, INF = float("nan"), float("inf")
LETTER = tiny_tokenizer().convert_tokens_to_ids("k")
"""A token that is in all training texts; the model is spoilt where it has read it."""


def spoilt(value: float, token: int = LETTER) -> LanguageModel:
    """A model with one bad number, in the embedding of one token (its head has another matrix)."""
    lm = tiny_lm()
    lm.model.lm_head.weight = torch.nn.Parameter(lm.model.lm_head.weight.detach().clone())
    with torch.no_grad():
        lm.model.model.embed_tokens.weight[token, 3] = value
    return lm


def overflowing() -> LanguageModel:
    """A float16 model whose hidden states leave the range of float16, its weights being finite."""
    lm = tiny_lm()
    with torch.no_grad():
        lm.model.model.layers[0].mlp.down_proj.weight.mul_(2e4)
        lm.model.model.layers[0].mlp.up_proj.weight.mul_(2e4)
    lm.model.half()
    assert all(bool(weight.isfinite().all()) for weight in lm.model.parameters())
    return lm


def ruling_out(*tokens: int) -> LanguageModel:
    """A model that gives some tokens a logit of -inf, as padded vocabularies do."""
    lm = tiny_lm()
    bias_V = torch.zeros(260)
    bias_V[list(tokens)] = -INF
    lm.model.lm_head.bias = torch.nn.Parameter(bias_V)
    return lm


def letter(lm: LanguageModel) -> str:
    return str(lm.tokenizer.decode([LETTER]))


# --- what is finite ---


@pytest.mark.parametrize("value", [NAN, INF])
def test_one_bad_logit_among_many_is_found_and_placed(value: float) -> None:
    logits_NV = torch.zeros(3, 50)
    logits_NV[1, 7] = value
    with pytest.raises(ModelError, match=rf"tiny@.* are not finite \({value} in row 1\)"):
        check_logits(logits_NV, tiny_lm(), "in row {}".format)


def test_ruled_out_tokens_are_fine_unless_they_are_all() -> None:
    logits_NV = torch.zeros(3, 50)
    logits_NV[1, 1:] = -INF
    check_logits(logits_NV, tiny_lm(), "in row {}".format)
    logits_NV[1, 0] = -INF
    with pytest.raises(ModelError, match=r"\(-inf in row 1\)"):
        check_logits(logits_NV, tiny_lm(), "in row {}".format)


# --- drawing ---


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("sampling", [Sampling(k=2), Sampling(top_p=0.9), Sampling(temperature=0)])
def test_nothing_is_drawn_from_logits_that_are_no_numbers(value: float, sampling: Sampling) -> None:
    lm = spoilt(value)
    engine = LocalEngine(Subject(lm), chat=False)
    prompts = [Prompt("good", "so", "t"), Prompt("bad", f"so {letter(lm)}", "t")]
    with pytest.raises(ModelError, match=r"at token 1 of a response to prompt 'bad'") as caught:
        engine.generate(prompts, sampling)
    assert "weights are broken" in str(caught.value.remedy)


def test_a_bad_token_is_noticed_once_it_was_drawn() -> None:
    """The first token is drawn from good logits, and is the one after which all are bad."""
    lm = tiny_lm()
    prompt = Prompt("p", "so", "t")
    (row,) = LocalEngine(Subject(lm), chat=False).generate(
        [prompt], Sampling(max_new_tokens=4, seed=1)
    )
    lm = spoilt(NAN, row.token_ids[0])
    with pytest.raises(ModelError, match="at token 2 of a response to prompt 'p'"):
        LocalEngine(Subject(lm), chat=False).generate([prompt], Sampling(max_new_tokens=4, seed=1))


def test_an_overflow_of_float16_says_which_type_to_take() -> None:
    lm = overflowing()
    with pytest.raises(ModelError) as caught:
        LocalEngine(Subject(lm), chat=False).generate([Prompt("p", "so", "t")], Sampling())
    assert "bfloat16 or float32" in str(caught.value.remedy)


def test_ruled_out_tokens_are_never_drawn() -> None:
    out = range(4, 200)
    engine = LocalEngine(Subject(ruling_out(*out)), chat=False)
    rows = engine.generate([Prompt("p", "so", "t")], Sampling(k=20, max_new_tokens=10))
    assert not {token for row in rows for token in row.token_ids} & set(out)


# --- judging ---


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_no_log_probability_comes_of_them(value: float) -> None:
    lm = spoilt(value)
    with pytest.raises(ModelError, match=r"are not finite .*in response 1"):
        token_log_probs(lm, [[5, 6], [5, 6, 7]], [[8, 9], [LETTER, 9]])
    with pytest.raises(ModelError, match=r"are not finite .*after text 1"):
        next_token_log_probs(lm, [[5, 6], [5, LETTER]], [8, 9])


def test_a_ruled_out_token_has_probability_zero() -> None:
    lm = ruling_out(9)
    (values,) = token_log_probs(lm, [[5, 6]], [[8, 9, 10]])
    assert np.isfinite(values).tolist() == [True, False, True]
    assert values[1] == -INF
    assert next_token_log_probs(lm, [[5]], [8, 9])[0, 1] == -INF


def test_perplexity_is_refused(tmp_path: Path) -> None:
    lm = spoilt(NAN)
    (tmp_path / "texts.txt").write_text(f"all is well\nso {letter(lm)} it is\n")
    evaluation = Perplexity(source=str(tmp_path / "texts.txt"), max_length=16, stride=8)
    with pytest.raises(ModelError, match="not finite"):
        evaluation.results(Subject(lm), evaluation.items(0))


# --- training ---

PAIRS = [
    Preference(f"p{i}", (Turn("user", "so what"),), f"say {i} kind words", f"no {i}", "t")
    for i in range(8)
]
DATA = {"sft": DialogueSplit(dialogues(8)), "dpo": PairSplit(PAIRS), "kto": PairSplit(PAIRS)}


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("method", DATA)
def test_no_training_begins_on_them(method: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not finite") as caught:
        fitted(method, tmp_path / "run", DATA[method], spoilt(value))
    assert "weights are broken" in str(caught.value.remedy)


def test_dpo_cannot_hide_an_impossible_response_in_a_loss_of_zero(tmp_path: Path) -> None:
    lm = ruling_out(tiny_tokenizer().convert_tokens_to_ids("n"))
    assert len(PAIRS) == FAST["batch_size"] * 2
    with pytest.raises(ModelError, match="not finite"):
        fitted("dpo", tmp_path / "run", DATA["dpo"], lm)


def test_weights_driven_too_far_are_told_from_broken_ones(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"is (nan|-?inf) at step [2-9].*below 1e\+30"):
        fitted("dpo", tmp_path / "run", DATA["dpo"], learning_rate=1e30, warmup_ratio=0.0)


def test_ppo_learns_nothing_from_them() -> None:
    policy = Policy(spoilt(NAN), PPOConfig(lora_r=2))
    good, bad = Response((5, 6), (7, 8)), Response((5, LETTER), (7,))
    policy.forward(policy.batch([good]))
    with pytest.raises(ModelError, match=r"not finite .*in row 1"):
        policy.forward(policy.batch([good, bad]))
