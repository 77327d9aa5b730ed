"""A real language model whose every response can be listed: six tokens, three at most.

So the optimum of a reward with a KL penalty, pi* ~ pi_0 exp(r / beta), is known exactly.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from detoxlab.methods.feedback.reward import Rewards
from detoxlab.models import LanguageModel, token_log_probs
from detoxlab.records import Generation, Prompt

END, LETTERS, LENGTH = 0, "abcde", 3
PROMPT = Prompt("p", "a", "test")


def enumerated_lm(seed: int = 0, layers: int = 1) -> LanguageModel:
    """A random Llama over five letters and an end token."""
    vocabulary = {"<|end|>": END, **{letter: i for i, letter in enumerate(LETTERS, start=1)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    fast.pad_token = fast.eos_token
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=16,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=END,
        initializer_range=0.2,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).eval()
    return LanguageModel("enumerated", "enumerated@00000000", model, fast)


def responses() -> list[tuple[int, ...]]:
    """Token ids of all responses: those that end, and those of full length that do not."""
    tokens = range(1, len(LETTERS) + 1)
    ended = [(*body, END) for n in range(LENGTH) for body in itertools.product(tokens, repeat=n)]
    return [*ended, *itertools.product(tokens, repeat=LENGTH)]


def probabilities(lm: LanguageModel) -> NDArray[np.float64]:
    """How probable the model finds each of `responses()`; they sum to 1."""
    every = responses()
    context = lm.prompt_ids(PROMPT.text, chat=False)
    log_probs = token_log_probs(lm, [context] * len(every), every)
    return np.exp([one.astype(np.float64).sum() for one in log_probs])


def optimum(
    base: NDArray[np.float64], rewards: NDArray[np.float64], beta: float
) -> NDArray[np.float64]:
    """The distribution with the highest expected reward less beta times its KL to `base`."""
    weights = base * np.exp(rewards / beta)
    return weights / weights.sum()


def total_variation(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """Half the sum of absolute differences, in [0, 1]."""
    return float(np.abs(p - q).sum() / 2)


@dataclass(frozen=True)
class TableReward:
    """A reward that is looked up by the response's token ids."""

    values: Mapping[tuple[int, ...], float]

    @classmethod
    def random(cls, seed: int) -> "TableReward":
        """Rewards uniform in [0, 1]."""
        every = responses()
        return cls(dict(zip(every, np.random.default_rng(seed).random(len(every)), strict=True)))

    @property
    def rewards(self) -> NDArray[np.float64]:
        """Of each of `responses()`."""
        return np.array([self.values[one] for one in responses()])

    def __call__(self, _prompts: Sequence[Prompt], generations: Sequence[Generation]) -> Rewards:
        values = np.array([self.values[one.token_ids] for one in generations])
        return Rewards(values, values, 1 - values, {})
