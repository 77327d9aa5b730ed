"""The parts of TRL that we use beyond its documented interface. Imports trl (seconds)."""

import contextlib
from collections.abc import Iterator
from typing import Any

from detoxlab.internals.versions import check_version

check_version("trl")

from trl.trainer import utils  # noqa: E402 (after the check)
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling  # noqa: E402

__all__ = ["DataCollatorForLanguageModeling"]
# DataCollatorForLanguageModeling: pads rows of `input_ids` and `labels` on the right; a subclass
# may add to what its `torch_call(examples)` gives.


class WithoutTelemetry:
    """Mixed in before any trainer of TRL, whose constructor calls `_send_telemetry`."""

    def _send_telemetry(self) -> None:
        pass


class OwnRows:
    """Mixed in before DPOTrainer and KTOTrainer: their rows are token ids already.

    Their constructors pass each data set through `_prepare_dataset`, which tokenises, and their
    collators read the columns that it makes: `prompt_ids` with `chosen_ids` and `rejected_ids`,
    or with `completion_ids`, `KL_completion_ids` and `label`.
    """

    def _prepare_dataset(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
        return dataset


class OwnResponses:
    """Mixed in before GRPOTrainer and RLOOTrainer: responses come from our own engine.

    Each step they call `_tokenize_prompts(prompts)` for (ids, images, other fields) and then
    `_generate_single_turn(ids, …)`; everything after that is computed from the ids.
    """

    def prompt_ids(self, prompts: list[str]) -> list[list[int]]:
        """Token ids of the prompts of a step; `prompts` are from the data's column `prompt`."""
        raise NotImplementedError

    def response_ids(self) -> list[list[int]]:
        """Token ids of a response to each of them."""
        raise NotImplementedError

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return self.prompt_ids(prompts), None, {}


class GroupResponses(OwnResponses):
    """For GRPOTrainer, which expects (responses, log-probabilities under a server's model)."""

    def _generate_single_turn(self, *_args: Any, **_kwargs: Any) -> tuple[list[list[int]], None]:
        return self.response_ids(), None


class PlainResponses(OwnResponses):
    """For RLOOTrainer, which expects responses alone."""

    def _generate_single_turn(self, *_args: Any, **_kwargs: Any) -> list[list[int]]:
        return self.response_ids()


def noted(trainer: Any, mode: str) -> dict[str, list[float]]:
    """The figures that a trainer kept since it last logged, in `mode` "train" or "eval", by name.

    `log` writes the mean of each list, in evaluation under `eval_` and the name, and empties them.
    """
    metrics: dict[str, list[float]] = trainer._metrics[mode]
    return metrics


def count_tokens(trainer: Any, tokens: int) -> int:
    """Add to the count of tokens that a DPOTrainer has read in training; returns the new count."""
    trainer._total_train_tokens += tokens
    return int(trainer._total_train_tokens)


@contextlib.contextmanager
def labelled_tokens_alone() -> Iterator[None]:
    """Compute the logits of labelled tokens alone while the block lasts, as TRL does on a GPU.

    On other devices it computes those of all tokens, whatever the labels, so that a compiler sees
    the same shapes in every batch: `_use_triton(device)` of its `utils` tells which.
    """
    found, utils._use_triton = utils._use_triton, lambda _device: True
    try:
        yield
    finally:
        utils._use_triton = found


def token_log_probs(model: Any, **inputs: Any) -> Any:
    """(B, T − 1) log-probabilities of the next tokens in `labels`; 0 where the label is -100.

    The model must come from a trainer of TRL: its forward pass then understands `fused_lm_head`
    and gives `log_probs` without logits.
    """
    return model(**inputs, use_cache=False, fused_lm_head=True).log_probs
