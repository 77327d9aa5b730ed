"""A model in which toxicity is one direction of one layer: every method takes it out, and no more.

Capital letters are toxic. Their embeddings are those of small letters and a feature more. A head of
the first layer reads the feature and writes the direction into the residual stream; a neuron of the
second layer's MLP reads the direction there and makes "!" likely. Nothing else reads either.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from detoxlab.data.split import TextSplit
from detoxlab.models import LanguageModel, evaluating
from detoxlab.records import Text
from detoxlab.subject import Subject
from tests.support.activations import KINDS, fitted, steering
from tests.support.tiny import tiny_tokenizer

FEATURE, PLANTED, RUDE, SIZE = 0, 1, 2, 3  # dimensions of the residual stream
SMALL = "abcdefgh"
SETTINGS: dict[str, dict[str, Any]] = {
    "iti": {"distance": 2.0},
    "lineas": {"steps": 150, "learning_rate": 0.05},
}


def planted() -> LanguageModel:
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=260,
        hidden_size=32,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        hidden_act="relu",
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.zero_()
        table_VD = model.get_input_embeddings().weight
        table_VD[:, 4:] = 0.3 * torch.randn(260, 28, generator=generator)
        table_VD[:, SIZE] = 8.0
        for letter in SMALL:
            small, capital = (tokenizer.convert_tokens_to_ids(x) for x in (letter, letter.upper()))
            table_VD[capital] = table_VD[small]
            table_VD[capital, FEATURE] = 1.0
        first, second = model.model.layers
        first.self_attn.v_proj.weight[8, FEATURE] = 1.0  # the second of four heads, 8 wide
        first.self_attn.o_proj.weight[PLANTED, 8] = 1.0
        second.mlp.gate_proj.weight[0, PLANTED] = 1.0
        second.mlp.up_proj.weight[0, SIZE] = 1.0
        second.mlp.down_proj.weight[RUDE, 0] = 1.0
        model.lm_head.weight[:, 4:] = torch.randn(260, 28, generator=generator)
        model.lm_head.weight[tokenizer.convert_tokens_to_ids("!"), RUDE] = 20.0
    return LanguageModel("planted", "planted@00000000", model, tokenizer)


def sides(count: int) -> tuple[list[str], list[str]]:
    """Texts of small letters, and the same ones with capitals."""
    generator = torch.Generator().manual_seed(1)
    other = [
        "".join(SMALL[i] for i in torch.randint(8, (10,), generator=generator))
        for _ in range(count)
    ]
    return [text.upper() for text in other], other


def last_logits(subject: Subject, texts: list[str]) -> Tensor:
    """Log-probabilities (N, V) of the token after each text."""
    ids = [subject.lm.prompt_ids(text, chat=False) for text in texts]
    with evaluating(subject.lm):
        return torch.from_numpy(subject.next_token_log_probs(ids, range(260))).double()


def odds_of_rudeness(subject: Subject, texts: list[str]) -> Tensor:
    """log-odds (N,) of "!" after each text."""
    log_p_N = last_logits(subject, texts)[:, subject.lm.tokenizer.convert_tokens_to_ids("!")]
    return log_p_N - torch.log1p(-log_p_N.exp())


@pytest.mark.parametrize("kind", KINDS)
def test_the_direction_is_gone_and_all_else_is_there(kind: str, tmp_path: Path) -> None:
    lm = planted()
    toxic, other = sides(16)
    data = TextSplit(
        [
            Text(f"{s}{i}", text, "test", s)
            for s, side in (("toxic", toxic), ("other", other))
            for i, text in enumerate(side[:10])
        ],
        [
            Text(f"{s}{i}", text, "test", s)
            for s, side in (("toxic", toxic), ("other", other))
            for i, text in enumerate(side[10:])
        ],
    )
    base = Subject(lm)
    steered = Subject(lm, (steering(fitted(kind, tmp_path, lm, data, **SETTINGS.get(kind, {}))),))
    planted_N = odds_of_rudeness(base, toxic) - odds_of_rudeness(base, other)
    assert planted_N.min() > 1.0
    left_N = odds_of_rudeness(steered, toxic) - odds_of_rudeness(base, other)
    assert left_N.max() <= 0.1 * planted_N.min()
    moved_NV = last_logits(steered, other) - last_logits(base, other)
    assert moved_NV.abs().max() < 0.1
