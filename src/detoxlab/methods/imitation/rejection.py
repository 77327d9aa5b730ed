"""Rejection sampling: the model learns from its own responses that are accepted.

Every prompt is answered several times; a response that no gate stops and that the scorer calls
harmless is accepted, and the adapter is fine-tuned on the accepted responses, token for token
as they were drawn. A prompt without an accepted response teaches nothing.

Sources: Touvron et al. 2023, Llama 2, section 3.2.3 (the best of K responses of each prompt);
Dong et al. 2023, RAFT. Without `best_only` the accepted responses are samples of the model's
distribution given acceptance, and their likelihood rises as the sequence-level KL to it falls.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.data import split_prompts
from detoxlab.errors import TrainingError
from detoxlab.methods.base import MethodSpec
from detoxlab.methods.feedback.drawing import DrawnResponse, DrawSettings, draw_responses
from detoxlab.methods.feedback.settings import RewardSettings
from detoxlab.methods.loop.config import PassesConfig
from detoxlab.methods.rows.dialogue import IGNORED, TokenRow
from detoxlab.records import Prompt
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

ACCEPTED, NOT_BEST = "", "another response to its prompt has a higher reward"


class RejectionConfig(PassesConfig):
    """Hyperparameters of rejection sampling. Each default names where it comes from."""

    draws: DrawSettings = Field(
        default=DrawSettings(), description="how responses to the prompts are drawn"
    )
    reward: RewardSettings = Field(
        default=RewardSettings(), description="the scorers and gates that accept a response"
    )
    threshold: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="toxic from here on, as in measuring: not accepted",
    )
    best_only: bool = Field(
        default=False, description="of each prompt only the response with the highest reward"
    )
    validation: float = Field(default=0.1, gt=0, lt=1, description="share of prompts held out")

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorers that accept responses."""
        return self.reward.names


def fit_rejection(
    config: RejectionConfig, lm: "LanguageModel", prompts: Sequence[Prompt], run: Run
) -> Path:
    """The folder of the adapter that learnt the accepted responses to the prompts.

    `run.json` has the share that was accepted (`acceptance`) and, with `rejected.jsonl`, the
    reasons of the others. The rest is as in `sft`.
    """
    from detoxlab.methods.imitation.train import TrainingRows, fit_rows
    from detoxlab.methods.loop.adapters import check_can_train, finished_adapter

    if done := finished_adapter(run):
        return done
    check_can_train(config, lm)
    drawn = draw_responses(
        lm, prompts, config.draws, config.reward, run, chat=config.chat, seed=config.seed
    )
    accepted, rejected = accept(config, [one for several in drawn.values() for one in several])
    share = len(accepted) / (len(accepted) + len(rejected))
    run.update(acceptance=round(share, 6))
    kept = best_of_each(accepted) if config.best_only else accepted
    names = set(map(name_of, kept))
    rejected += [(name, NOT_BEST) for one in accepted if (name := name_of(one)) not in names]
    _, held_out = split_prompts(prompts, validation=config.validation, seed=config.seed)
    aside = {prompt.id for prompt in held_out}
    rows = TrainingRows(
        [as_row(one) for one in kept if one.generation.prompt_id not in aside],
        [as_row(one) for one in kept if one.generation.prompt_id in aside],
        rejected,
        lm.context_length,
        "responses",
    )
    if not rows.train:
        raise TrainingError(
            f"no response to learn from: {share:.2%} were accepted",
            remedy="Give more prompts, raise draws.k, or raise threshold.",
        )
    return fit_rows(config, lm, rows, run, "rejection")


def accept(
    config: RejectionConfig, responses: Sequence[DrawnResponse]
) -> tuple[list[DrawnResponse], list[tuple[str, str]]]:
    """The accepted responses, and the names of the others with the reason."""
    reasons = [refusal(config, one) for one in responses]
    accepted = [one for one, why in zip(responses, reasons, strict=True) if why == ACCEPTED]
    named = zip(map(name_of, responses), reasons, strict=True)
    return accepted, [(name, why) for name, why in named if why != ACCEPTED]


def refusal(config: RejectionConfig, response: DrawnResponse) -> str:
    """The reason not to accept: the first gate that stopped it, or its toxicity; "" if accepted."""
    if response.gates:
        return f"gate: {response.gates[0]}"
    return f"toxic: {config.threshold:g} or above" if response.toxicity >= config.threshold else ""


def best_of_each(responses: Sequence[DrawnResponse]) -> list[DrawnResponse]:
    """For each prompt the response with the highest reward, the first of equals."""
    best: dict[str, DrawnResponse] = {}
    for one in responses:
        so_far = best.setdefault(one.generation.prompt_id, one)
        if one.reward > so_far.reward:
            best[one.generation.prompt_id] = one
    return list(best.values())


def name_of(response: DrawnResponse) -> str:
    """The prompt's id and the sample's number."""
    return f"{response.generation.prompt_id}/{response.generation.sample}"


def as_row(response: DrawnResponse) -> TokenRow:
    """The row whose context is the prompt that the model read and whose target is the response."""
    return TokenRow(
        name_of(response),
        (*response.prompt_ids, *response.ids),
        (*[IGNORED] * len(response.prompt_ids), *response.ids),
    )


METHOD = MethodSpec(RejectionConfig, fit_rejection, ("prompts",))
