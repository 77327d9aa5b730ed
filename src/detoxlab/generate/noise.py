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
BLOCK = 1 << 16


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
    c0, c1, c2, c3 = (word.clone() for word in _broadcast(counter))
    k0, k1 = key
    product0, product1 = torch.empty_like(c0), torch.empty_like(c0)
    for _ in range(ROUNDS):
        # int64 products wrap around modulo 2^64, which keeps all their bits
        torch.mul(c0, MULTIPLIERS[0], out=product0)
        torch.mul(c2, MULTIPLIERS[1], out=product1)
        torch.bitwise_right_shift(product1, 32, out=c0).bitwise_xor_(c1).bitwise_xor_(k0)
        torch.bitwise_right_shift(product0, 32, out=c2).bitwise_xor_(c3).bitwise_xor_(k1)
        c0.bitwise_and_(WORD)
        c2.bitwise_and_(WORD)
        # c1 and c3 are the products' low words; what stands above these is cut off at their use
        c1, product1, c3, product0 = product1, c1, product0, c3
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return c0, c1 & WORD, c2, c3 & WORD


def uniform53(high: Tensor, low: Tensor) -> Tensor:
    """A float64 in (0, 1) from two 32-bit words: the middle of one of 2^53 equal intervals."""
    steps = ((high >> 5) << 26) | (low >> 6)
    return ((steps.double() + 0.5) * 2.0**-53).clamp_(max=1.0 - 2.0**-53)


def gumbel_noise(keys: tuple[Tensor, Tensor], samples: Tensor, step: int, tokens: Tensor) -> Tensor:
    """Standard Gumbel noise, float64, one number for each (key, sample, step, token).

    `tokens` is int64 and has the result's shape; keys and samples are int64 and broadcast to it:
    they are as long as it in its last dimension, or 1.
    """
    noise: Tensor = torch.empty(tokens.shape, dtype=torch.float64, device=tokens.device)
    width = tokens.shape[-1]
    columns = max(1, BLOCK * width // max(1, tokens.numel()))
    for start in range(0, width, columns):  # blocks that stay in the cache
        part = slice(start, start + columns)
        key0, key1, sample = (
            one if one.shape[-1] == 1 else one[..., part] for one in (*keys, samples)
        )
        noise[..., part] = _noise((key0, key1), sample, step, tokens[..., part])
    return noise


# --- inside ---


def _broadcast(words: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(torch.broadcast_tensors(*words))  # type: ignore[no-untyped-call]


def _noise(keys: tuple[Tensor, Tensor], samples: Tensor, step: int, tokens: Tensor) -> Tensor:
    steps, zeros = torch.full_like(tokens, step), torch.zeros_like(tokens)
    high, low, _, _ = philox4x32((tokens, steps, samples, zeros), keys)
    return -(-torch.log1p(-uniform53(high, low))).log()
