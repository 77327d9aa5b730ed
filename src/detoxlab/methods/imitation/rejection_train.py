"""How rejection sampling trains: accepted responses as rows of SFT.

Imports transformers, peft and TRL, several seconds: import it only to train.
"""

from collections.abc import Sequence
from pathlib import Path

from detoxlab.data import split_prompts
from detoxlab.errors import TrainingError
from detoxlab.methods.feedback.drawing import Response, draw_responses
from detoxlab.methods.imitation.rejection import RejectionConfig
from detoxlab.methods.imitation.sft_train import Rows, fit_rows
from detoxlab.methods.loop.adapters import check_can_train, finished_adapter
from detoxlab.methods.rows.dialogue import IGNORED, Row
from detoxlab.models import LanguageModel
from detoxlab.records import Prompt
from detoxlab.runs import Run

ACCEPTED, NOT_BEST = "", "another response to its prompt has a higher reward"


def fit_accepted(
    config: RejectionConfig, lm: LanguageModel, prompts: Sequence[Prompt], run: Run
) -> Path:
    """The folder of the adapter that learnt the accepted responses to the prompts.

    `run.json` has the share that was accepted (`acceptance`) and, with `rejected.jsonl`, why
    others were not. The rest is as in `sft`.
    """
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
    rows = Rows(
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
    config: RejectionConfig, responses: Sequence[Response]
) -> tuple[list[Response], list[tuple[str, str]]]:
    """The accepted responses, and the names of the others with the reason."""
    reasons = [refusal(config, one) for one in responses]
    accepted = [one for one, why in zip(responses, reasons, strict=True) if why == ACCEPTED]
    named = zip(map(name_of, responses), reasons, strict=True)
    return accepted, [(name, why) for name, why in named if why != ACCEPTED]


def refusal(config: RejectionConfig, response: Response) -> str:
    """Why a response is not accepted: the first gate that stopped it, or its toxicity; or ""."""
    if response.gates:
        return f"gate: {response.gates[0]}"
    return f"toxic: {config.threshold:g} or above" if response.toxicity >= config.threshold else ""


def best_of_each(responses: Sequence[Response]) -> list[Response]:
    """The first of those with the highest reward for each prompt."""
    best: dict[str, Response] = {}
    for one in responses:
        so_far = best.setdefault(one.generation.prompt_id, one)
        if one.reward > so_far.reward:
            best[one.generation.prompt_id] = one
    return list(best.values())


def name_of(response: Response) -> str:
    """The prompt's id and the sample's number."""
    return f"{response.generation.prompt_id}/{response.generation.sample}"


def as_row(response: Response) -> Row:
    """The row whose context is what the model read, and whose target is what it drew."""
    return Row(
        name_of(response),
        (*response.prompt_ids, *response.ids),
        (*[IGNORED] * len(response.prompt_ids), *response.ids),
    )
