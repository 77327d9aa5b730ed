"""Documents as rows of tokens: two endless pools, prose and posts, packed to one length.

A token is kept in 16 bits. The highest says that it is context, on which no loss is taken.
"""

import random

import numpy as np
import torch
from lm_corpus import CONTEXT_END, Source
from numpy.typing import NDArray
from tokenizers import Tokenizer

Tokens = NDArray[np.uint16]

BATCH_TOKENS = 4096
CONTEXT_BIT = 1 << 15
PROSE = ("novels", "novels_chat", "novels_cut")


def encode(tokenizer: Tokenizer, documents: list[str]) -> list[Tokens]:
    """The documents as token ids; `CONTEXT_BIT` marks those on which no loss is taken."""
    parts = [document.rpartition(CONTEXT_END) for document in documents]
    contexts = tokenizer.encode_batch([context for context, _, _ in parts])
    rests = tokenizer.encode_batch([rest for _, _, rest in parts])
    return [
        np.array([i | CONTEXT_BIT for i in context.ids] + rest.ids, dtype=np.uint16)
        for context, rest in zip(contexts, rests, strict=True)
    ]


class Pool:
    """An endless stream of documents, each source as often per round as its `epochs` say."""

    def __init__(self, documents: list[list[Tokens]], epochs: list[float], seed: int) -> None:
        self.documents, self.epochs = documents, epochs
        self.rng = random.Random(seed)
        self.queue: list[Tokens] = []

    def __next__(self) -> Tokens:
        if not self.queue:
            for documents, epochs in zip(self.documents, self.epochs, strict=True):
                whole, part = divmod(epochs, 1)
                self.queue += documents * int(whole)
                self.queue += self.rng.sample(documents, int(part * len(documents)))
            self.rng.shuffle(self.queue)
        return self.queue.pop()


class Batches:
    """Rows of packed documents; each starts with a document, and cuts its last one off."""

    def __init__(self, pools: dict[str, Pool]) -> None:
        self.pools = pools
        self.tokens = dict.fromkeys(pools, 0)

    def document(self, prose_share: float) -> Tokens:
        """The next document, from the pool that is furthest behind its share."""
        total = sum(self.tokens.values()) + 1
        name = "prose" if self.tokens["prose"] < prose_share * total else "posts"
        document = next(self.pools[name])
        self.tokens[name] += len(document)
        return document

    def row(self, length: int, prose_share: float) -> Tokens:
        """One row of `length` tokens of packed documents."""
        parts: list[Tokens] = []
        while sum(map(len, parts)) < length:
            parts.append(self.document(prose_share))
        return np.concatenate(parts)[:length]

    def batch(self, length: int, prose_share: float) -> torch.Tensor:
        """(B, T) ids, some with CONTEXT_BIT; B x T = BATCH_TOKENS."""
        rows = [self.row(length, prose_share) for _ in range(BATCH_TOKENS // length)]
        return torch.from_numpy(np.stack(rows).astype(np.int64))


def prepare(tokenizer: Tokenizer, sources: list[Source], seed: int) -> Batches:
    """Batches over the two pools, prose and posts."""
    pools = {}
    for name, wanted in (("prose", True), ("posts", False)):
        chosen = [s for s in sources if (s.name in PROSE) == wanted]
        ids = [encode(tokenizer, s.documents) for s in chosen]
        pools[name] = Pool(ids, [s.epochs for s in chosen], seed)
    return Batches(pools)
