"""Restores how a byte-level tokenizer splits texts before it merges; GGUF has only a name for it.

transformers 5.23 knows some of these names, and for all others it splits like GPT-2 without a
warning. SmolLM, for instance, splits off each digit, so its numbers would become other tokens.
"""

from collections.abc import Mapping
from typing import Any

KEY = "tokenizer.ggml.pre"
BYTE_LEVEL = "gpt2"  # the kind of tokenizer (tokenizer.ggml.model) to which this applies
AS_GPT2 = frozenset({"gpt-2", "phi-2", "mpt", "olmo", "jais", "gigachat", "trillion"})
EACH_DIGIT = frozenset(
    {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
)
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
WHOLE_WORDS_FIRST = frozenset({"llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "tekken"})
"""A word in the vocabulary is one token, also where no merges lead to it; and texts begin with
BOS where the file does not say whether they do."""


def mend_splitting(tokenizer: Any, fields: Mapping[str, Any]) -> str | None:
    """Make `tokenizer` split texts as the file's `fields` say; returns the name if it is unknown.

    >>> mend_splitting(None, {"tokenizer.ggml.model": "llama"})  # SentencePiece splits nothing
    """
    if fields.get("tokenizer.ggml.model") != BYTE_LEVEL:
        return None
    from detoxlab.internals.transformers import gguf_splits

    known = gguf_splits()
    name = str(fields.get(KEY, "none named"))
    if name in WHOLE_WORDS_FIRST:
        _prefer_whole_words(tokenizer, fields)
    if name in AS_GPT2 or name in known:
        return None
    splitter = _splitter(name, known["qwen2"])
    if splitter is None:
        return name
    tokenizer.backend_tokenizer.pre_tokenizer = splitter
    return None


# --- inside ---


def _splitter(name: str, qwen2: str) -> Any:
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Punctuation, Sequence, Split

    as_gpt2 = ByteLevel(add_prefix_space=False)
    bytes_alone = ByteLevel(add_prefix_space=False, use_regex=False)
    if name in EACH_DIGIT:
        return Sequence([Digits(individual_digits=True), as_gpt2])
    if name == "stablelm2":
        return Sequence([Split(Regex(qwen2), "isolated"), bytes_alone])
    if name == "bloom":
        return Sequence([Split(Regex(BLOOM), "isolated"), bytes_alone])
    if name == "falcon":
        three_digits = Split(Regex("[0-9][0-9][0-9]"), "isolated")
        return Sequence([Punctuation("contiguous"), as_gpt2, Digits(), three_digits])
    return None


def _prefer_whole_words(tokenizer: Any, fields: Mapping[str, Any]) -> None:
    tokenizer.backend_tokenizer.model.ignore_merges = True
    if "tokenizer.ggml.add_bos_token" not in fields and tokenizer.bos_token:
        tokenizer.add_bos_token = True
        tokenizer.update_post_processor()
