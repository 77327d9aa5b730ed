"""Gumbel noise that depends only on (seed, prompt id, iteration, sample, step, token).

It is drawn by the counter-based generator Philox4x32-10, so that each number can be computed
without the others: for the kept tokens only, in any order, in any batch.

    key      the first 8 bytes of BLAKE2b over (seed, iteration, prompt id), as two words
    counter  (token, step, sample, 0)
    uniform  53 bits of the first two output words, at the middle of its interval
    Gumbel   -log(-log(1 - uniform))

Any change of this changes every generation: the golden values in the tests guard it.

Source: Salmon et al. 2011, Parallel Random Numbers: As Easy as 1, 2, 3 (Random123).
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

WORD = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
BLOCK = 1 << 14


def noise_key(seed: int, prompt_id: str, iteration: int = 0) -> tuple[int, int]:
    """The Philox key of a prompt: two 32-bit words.

    `iteration` is the training step in which the sample is drawn, so that each step has its own
    noise; measuring uses 0.

    >>> [f"{word:08x}" for word in noise_key(0, "prompt-1")]
    ['e20d83a6', 'fcb21721']
    """
    text = f"{seed}\x1f{iteration}\x1f{prompt_id}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def philox4x32(counter: Sequence[Tensor], key: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Four 32-bit words per element, as int64 tensors.

    `counter` is four and `key` two int64 tensors of 32-bit words that broadcast.

    >>> zero = torch.zeros(1, dtype=torch.int64)
    >>> [f"{int(word):08x}" for word in philox4x32([zero] * 4, [zero] * 2)]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        # int64 products wrap around modulo 2^64, which keeps all their bits
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        high0, high1 = (product0 >> 32) & WORD, (product1 >> 32) & WORD
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, product1 & WORD, high0 ^ c3 ^ k1, product0 & WORD
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return c0, c1, c2, c3


def uniform53(high: Tensor, low: Tensor) -> Tensor:
    """A float64 in (0, 1) from two 32-bit words: the middle of one of 2^53 equal intervals."""
    steps = ((high >> 5) << 26) | (low >> 6)
    return ((steps.double() + 0.5) * 2.0**-53).clamp_(max=1.0 - 2.0**-53)


def gumbel_noise(
    keys_N: tuple[Tensor, Tensor], samples_N: Tensor, step: int, tokens_N: Tensor
) -> Tensor:
    """Standard Gumbel noise, float64 (N,), one number for each (key, sample, step, token).

    All arguments but `step` are int64 (N,).
    """
    noise_N = torch.empty(tokens_N.shape, dtype=torch.float64, device=tokens_N.device)
    for start in range(0, len(tokens_N), BLOCK):  # blocks that stay in the cache
        part = slice(start, start + BLOCK)
        tokens = tokens_N[part]
        steps, zeros = torch.full_like(tokens, step), torch.zeros_like(tokens)
        key = (keys_N[0][part], keys_N[1][part])
        high, low, _, _ = philox4x32((tokens, steps, samples_N[part], zeros), key)
        noise_N[part] = -(-torch.log1p(-uniform53(high, low))).log()
    return noise_N
