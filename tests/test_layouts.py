"""Every supported architecture: what a model says of a text does not depend on how it is read."""

import numpy as np
import pytest
import torch
from layouts import SUPPORTED, layout_lm

from detoxlab.models import token_log_probs


@pytest.mark.parametrize("kind", SUPPORTED)
def test_log_probabilities_are_those_of_a_plain_forward_pass(kind: str) -> None:
    lm, generator = layout_lm(kind), np.random.default_rng(0)
    prompts = [generator.integers(4, 260, n).tolist() for n in (3, 12, 1, 5)]
    responses = [generator.integers(4, 260, n).tolist() for n in (6, 1, 11, 2)]
    batched = token_log_probs(lm, prompts, responses)
    for prompt, response, values in zip(prompts, responses, batched, strict=True):
        with torch.no_grad():
            plain_TV = lm.model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
        places = torch.arange(len(prompt) - 1, len(prompt) + len(response) - 1)
        expected = plain_TV[places, torch.tensor(response)]
        np.testing.assert_allclose(values, expected.numpy(), atol=2e-5)
