"""The noise: published vectors of Philox, our golden values, its distribution."""

import math

import pytest
import torch
from scipy import stats

from detoxlab.generate.noise import gumbel_noise, noise_key, philox4x32, uniform53

# Random123's known-answer file, philox4x32 with 10 rounds: counter, key, output
KNOWN = [
    (
        (0x00000000, 0x00000000, 0x00000000, 0x00000000),
        (0x00000000, 0x00000000),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def words(values: tuple[int, ...]) -> list[torch.Tensor]:
    return [torch.tensor([value]) for value in values]


def noise(prompt_id: str, sample: int, step: int, token: int, *, seed: int = 0) -> float:
    key = noise_key(seed, prompt_id)
    keys = (torch.tensor([key[0]]), torch.tensor([key[1]]))
    return float(gumbel_noise(keys, torch.tensor([sample]), step, torch.tensor([token])))


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_philox_gives_the_published_words(
    counter: tuple[int, ...], key: tuple[int, ...], output: tuple[int, ...]
) -> None:
    assert tuple(int(word) for word in philox4x32(words(counter), words(key))) == output


def test_golden_values_of_the_noise() -> None:
    """A change of any of these changes every generation ever recorded."""
    assert noise_key(0, "prompt-1") == (0xE20D83A6, 0xFCB21721)
    assert noise_key(7, "Grüße", 3) == (0x3C2957E5, 0xD45DF881)
    assert noise("prompt-1", 0, 0, 0) == pytest.approx(-0.974231879176, abs=1e-12)
    assert noise("prompt-1", 24, 19, 50256) == pytest.approx(-1.085699090324, abs=1e-12)
    assert noise("rtp-5", 1, 2, 3, seed=42) == pytest.approx(1.312925270481, abs=1e-12)


@pytest.mark.parametrize(
    "other",
    [("b", 0, 0, 0), ("a", 1, 0, 0), ("a", 0, 1, 0), ("a", 0, 0, 1)],
    ids=["prompt", "sample", "step", "token"],
)
def test_each_part_of_the_identity_changes_the_noise(other: tuple[str, int, int, int]) -> None:
    assert noise("a", 0, 0, 0) != noise(*other)


def test_key_keeps_seed_iteration_and_prompt_apart() -> None:
    keys = {noise_key(1, "1", 0), noise_key(1, "11"), noise_key(11, "1"), noise_key(0, "1", 1)}
    assert len(keys) == 4


def test_uniform_stays_inside_the_open_interval() -> None:
    lowest = float(uniform53(torch.tensor([0]), torch.tensor([0])))
    highest = float(uniform53(torch.tensor([0xFFFFFFFF]), torch.tensor([0xFFFFFFFF])))
    assert lowest == 2.0**-54
    assert highest == 1.0 - 2.0**-53
    assert math.isfinite(math.log(-math.log1p(-highest)))


def test_noise_is_standard_gumbel_and_the_same_alone_or_in_a_block() -> None:
    count = 40_000
    key = noise_key(3, "p")
    keys = (torch.full((count,), key[0]), torch.full((count,), key[1]))
    tokens = torch.arange(count)
    values = gumbel_noise(keys, torch.zeros_like(tokens), 0, tokens)
    assert stats.kstest(values.numpy(), stats.gumbel_r.cdf).pvalue > 1e-3
    assert float(values[20_011]) == pytest.approx(noise("p", 0, 0, 20_011, seed=3), abs=1e-12)


def test_noise_of_a_table_is_that_of_its_cells() -> None:
    """Keys and samples of rows broadcast, however the table is cut into blocks."""
    keys_R2 = torch.tensor([noise_key(3, prompt_id) for prompt_id in "pqr"])
    keys_R1 = (keys_R2[:, :1], keys_R2[:, 1:])
    tokens_RC = torch.arange(30_000).expand(3, -1)
    table_RC = gumbel_noise(keys_R1, torch.tensor([[0], [5], [1]]), 4, tokens_RC)
    for row, prompt_id, sample, token in ((0, "p", 0, 7), (1, "q", 5, 29_999), (2, "r", 1, 21_846)):
        alone = noise(prompt_id, sample, 4, token, seed=3)
        assert float(table_RC[row, token]) == pytest.approx(alone, abs=1e-12)
