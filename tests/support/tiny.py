"""A real language model small enough for unit tests: two random layers, one token per byte."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from detoxlab.models import LanguageModel
from detoxlab.records import Dialogue, Turn

END, PAD, USER, ASSISTANT = "<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def tiny_tokenizer(
    chat_template: str | None = CHAT_TEMPLATE, merges: Sequence[tuple[str, str]] = ()
) -> PreTrainedTokenizerFast:
    """One token per byte, and four special ones; `merges` makes one token of two."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [END, PAD, USER, ASSISTANT, *alphabet, *map("".join, merges)]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = chat_template
    return fast


def tiny_model(
    seed: int = 0,
    hidden: int = 32,
    *,
    vocabulary: int = 260,
    context: int = 256,
    spread: float = 0.2,  # so that an adapter alone can learn
    tied: bool = True,
) -> LlamaForCausalLM:
    """A random Llama of two layers; `spread` is that of its weights, `tied` its output layer."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
        initializer_range=spread,
        tie_word_embeddings=tied,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def tiny_lm(seed: int = 0) -> LanguageModel:
    """The tiny model with its tokenizer, in memory."""
    return LanguageModel("tiny", "tiny@00000000", tiny_model(seed), tiny_tokenizer())


def save_tiny(folder: Path, seed: int = 0) -> Path:
    """The tiny model as a folder that `load_model` reads."""
    tiny_model(seed).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def dialogue(*texts: str, name: str = "d") -> Dialogue:
    """Turns of user and assistant in alternation."""
    roles = ("user", "assistant")
    turns = tuple(Turn(roles[i % 2], text) for i, text in enumerate(texts))
    return Dialogue(name, turns, "test")


def dialogues(count: int, *, start: int = 0) -> list[Dialogue]:
    """Short exchanges of unlike length, every third one with two rounds."""
    made = []
    for i in range(start, start + count):
        texts = [f"you fool {i}", "that is unkind" + " to say" * (i % 4)]
        if i % 3 == 0:
            texts += ["so what", f"say {i} kind words"]
        made.append(dialogue(*texts, name=f"d{i}"))
    return made
