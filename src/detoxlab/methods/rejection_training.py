"""How rejection sampling trains: accepted responses as rows of SFT.

Imports transformers, peft and TRL, several seconds: import it only to train.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detoxlab.data import split_prompts
from detoxlab.errors import TrainingError
from detoxlab.methods.rejection import RejectionConfig
from detoxlab.methods.rows import IGNORED, Row
from detoxlab.methods.sampled import Response, draw_responses
from detoxlab.methods.sft_training import Rows, fit_rows
from detoxlab.methods.training.adapters import check_can_train, finished_adapter
from detoxlab.models import LanguageModel
from detoxlab.records import Prompt
from detoxlab.runs import Run

NONE_ACCEPTED = "none of its responses was accepted"


def fit_accepted(
    config: RejectionConfig, lm: LanguageModel, prompts: Sequence[Prompt], run: Run
) -> Path:
    """The adapter of `Rejection.fit`."""
    if done := finished_adapter(run):
        return done
    check_can_train(config, lm)
    drawn = draw_responses(
        lm, prompts, config.draws, config.reward, run, chat=config.chat, seed=config.seed
    )
    accepted = {name: chosen(config, responses) for name, responses in drawn.items()}
    _, held_out = split_prompts(prompts, validation=config.validation, seed=config.seed)
    aside = {prompt.id for prompt in held_out}
    rows = Rows(
        [as_row(one) for name, kept in accepted.items() if name not in aside for one in kept],
        [as_row(one) for name, kept in accepted.items() if name in aside for one in kept],
        [(name, NONE_ACCEPTED) for name, kept in accepted.items() if not kept],
        lm.context_length,
    )
    outcomes = Counter(outcome(config, one) for responses in drawn.values() for one in responses)
    share = outcomes["accepted"] / outcomes.total()
    if not rows.train:
        raise TrainingError(
            f"no response to learn from: accepted {outcomes['accepted']} of {outcomes.total()}",
            remedy="Give more prompts, raise draws.k, or raise threshold.",
        )
    run.update(acceptance=round(share, 6), drawn_responses=dict(outcomes))
    return fit_rows(config, lm, rows, run, "rejection")


def outcome(config: RejectionConfig, response: Response) -> str:
    """What becomes of a response: "accepted", "toxic", or the gate that stopped it first."""
    if response.gates:
        return response.gates[0]
    return "toxic" if response.toxicity >= config.threshold else "accepted"


def chosen(config: RejectionConfig, responses: Sequence[Response]) -> list[Response]:
    """The accepted responses to one prompt; with `best_only` the first of the best."""
    accepted = [one for one in responses if outcome(config, one) == "accepted"]
    if config.best_only and accepted:
        return [max(accepted, key=lambda one: one.reward)]
    return accepted


def as_row(response: Response) -> Row:
    """The row whose context is what the model read, and whose target is what it drew."""
    generation = response.generation
    return Row(
        f"{generation.prompt_id}/{generation.sample}",
        (*response.prompt_ids, *response.ids),
        (*[IGNORED] * len(response.prompt_ids), *response.ids),
    )
