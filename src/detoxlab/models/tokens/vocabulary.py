"""Checks that a tokenizer and an embedding fit: each token needs a row."""

from collections.abc import Iterable
from typing import Any

from detoxlab.errors import ModelError


def check_held(ids: Iterable[int], rows: int, tokenizer: Any, owner: str) -> None:
    """Raise `ModelError` for the first token beyond the `rows` of the embedding.

    The error quotes the token only if it was added to the vocabulary, because it is then no word.
    """
    beyond = next((token for token in ids if token >= rows), None)
    if beyond is None:
        return
    added = tokenizer.added_tokens_decoder.get(beyond)
    name = f"token {added.content!r}" if added else "a token"
    raise ModelError(
        f"{owner}: its tokenizer gives {name} the id {beyond}, the embedding has {rows} rows",
        remedy="Take the tokenizer that was saved with the model, or save both after "
        "resize_token_embeddings.",
    )
