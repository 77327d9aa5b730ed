"""Whether a tokenizer and an embedding belong together: each token needs a row."""

from collections.abc import Iterable
from typing import Any

from detoxlab.errors import ModelError


def check_held(ids: Iterable[int], rows: int, tokenizer: Any, owner: str) -> None:
    """Raise `ModelError` for the first token that the embedding, of so many rows, does not hold.

    The token itself is named only if it was added to the vocabulary: it is no word then.
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
