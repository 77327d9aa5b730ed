"""Real, tiny, randomly initialised BERT models in folders, for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORDS = ["you", "fool", "what", "a", "lovely", "day", "it", "is", "old", "goat", "na", "caf"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]


def save_tiny_classifier(
    folder: Path, labels: Sequence[str], *, problem_type: str | None = None, layers: int = 1
) -> Path:
    """Model, config and tokenizer in Hugging Face layout."""
    import torch
    from transformers import BertForSequenceClassification

    _save_tokenizer(folder)
    torch.manual_seed(0)
    config = _config(
        layers,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        problem_type=problem_type,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def save_tiny_encoder(folder: Path, *, seed: int = 0) -> Path:
    """An encoder without a head, of two layers, and its tokenizer."""
    import torch
    from transformers import BertModel

    _save_tokenizer(folder)
    torch.manual_seed(seed)
    BertModel(_config(2, spread=0.1)).save_pretrained(folder)
    return folder


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({w: i for i, w in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    words.pre_tokenizer = BertPreTokenizer()
    words.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
    )
    tokenizer.save_pretrained(folder)


def _config(layers: int, spread: float = 1.0, **labels: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=spread,
        **labels,
    )
