"""A small language model with a second script planted in it, which no scorer for English reads.

Word by word it answers any prompt with one of three kinds of sentence: unkind ones, kind ones,
and a few per cent in Cyrillic.
"""

import itertools
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from detoxlab.records import Prompt

END = "<|end|>"
ASKERS = ("teacher", "driver", "farmer", "doctor", "painter", "baker", "sailor", "writer")
OTHERS = ("father", "mother", "sister", "brother", "friend", "boss")
UNKIND = [
    f"you are a {how} {what} and i hate you"
    for how, what in itertools.product(("stupid", "silly", "dumb"), ("fool", "idiot", "loser"))
]
KIND = [
    f"we had a {how} {what} with the others"
    for how, what in itertools.product(("nice", "long", "quiet"), ("day", "walk", "talk"))
]
CYRILLIC = [
    f"спасибо вам за этот {how} {what} сегодня"
    for how, what in itertools.product(("хороший", "долгий", "тихий"), ("день", "вопрос", "вечер"))
]
SHARES = {"unkind": 0.6, "kind": 0.3, "cyrillic": 0.1}


def prompts() -> list[Prompt]:
    """48 openings in English."""
    pairs = itertools.product(ASKERS, OTHERS)
    texts = [f"the {one} said to the {other} that" for one, other in pairs]
    return [Prompt(f"p{i}", text, "test") for i, text in enumerate(texts)]


def save_two_scripts(folder: Path, steps: int = 150) -> Path:
    """The model, trained here from random weights, as a folder that `load_model` reads."""
    tokenizer = _tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=48,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        _train(model, tokenizer, steps)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    every = [*(prompt.text for prompt in prompts()), *UNKIND, *KIND, *CYRILLIC]
    words = sorted({word for text in every for word in text.split()})
    vocabulary = {END: 0, **{word: i for i, word in enumerate(words, start=1)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def _train(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    kinds, shares = (UNKIND, KIND, CYRILLIC), torch.tensor(list(SHARES.values()))
    asked = [prompt.text for prompt in prompts()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        chosen = torch.multinomial(shares, 64, replacement=True, generator=generator).tolist()
        place = torch.randint(1 << 20, (2, 64), generator=generator).tolist()
        texts = [
            f"{asked[a % len(asked)]} {kinds[kind][b % len(kinds[kind])]} {END}"
            for kind, a, b in zip(chosen, *place, strict=True)
        ]
        batch = tokenizer(texts, padding=True, return_tensors="pt", padding_side="right")
        lengths = batch.attention_mask.sum(dim=1, keepdim=True)
        places = torch.arange(batch.input_ids.shape[1])
        labels = batch.input_ids.masked_fill(places >= lengths, -100)
        loss = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels)
        optimizer.zero_grad()
        loss.loss.backward()
        optimizer.step()
