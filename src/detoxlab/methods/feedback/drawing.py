"""The model's own responses as data: drawn once, rewarded, ranked into pairs.

Responses are appended to `generations/` of the run folder batch by batch, so that a killed run
goes on where it was; rewards are computed again, because they depend on the texts alone.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab import processes
from detoxlab.methods.feedback.reward import Reward
from detoxlab.methods.feedback.settings import RewardSettings
from detoxlab.methods.rows.pair import PairRow, RejectedPair
from detoxlab.records import SAMPLING_BOUNDS as BOUNDS
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.runs import Run
from detoxlab.settings import Settings
from detoxlab.subject import Subject

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

PROMPTS = "prompts.jsonl"
TRAINING = 1  # the engine's iteration: other noise than measuring draws with the same seed


class DrawSettings(Settings):
    """How the model's own responses are drawn."""

    k: int = Field(default=8, description="responses per prompt", **BOUNDS["k"])
    max_new_tokens: int = Field(
        default=20, description="the cap of RealToxicityPrompts", **BOUNDS["max_new_tokens"]
    )
    temperature: float = Field(default=1.0, gt=0, description="1: the model's own distribution")
    top_p: float = Field(
        default=1.0, description="1: the model's own distribution", **BOUNDS["top_p"]
    )
    batch_size: int | None = Field(
        default=None, ge=1, description="prompts per batch; none: as many as fit"
    )

    def sampling(self, seed: int) -> Sampling:
        """These settings as generation takes them."""
        chosen = self.model_dump(exclude={"batch_size"})
        return Sampling(**chosen, seed=seed)


@dataclass(frozen=True)
class DrawnResponse:
    """One response that the model drew, and its reward.

    `prompt_ids` are the tokens that the model read, `toxicity` the weighted probability (NaN:
    unscored), `gates` the names of the gates that stopped the response.
    """

    generation: Generation
    prompt_ids: tuple[int, ...]
    reward: float
    toxicity: float
    gates: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """The response's token ids, as drawn."""
        return self.generation.token_ids


def draw_responses(
    lm: "LanguageModel",
    prompts: Sequence[Prompt],
    draws: DrawSettings,
    settings: RewardSettings,
    run: Run,
    *,
    chat: bool,
    seed: int,
) -> dict[str, list[DrawnResponse]]:
    """`draws.k` responses of `lm` per prompt id, in the order of the prompts and of the samples.

    Raises `RunMismatchError` when the run was begun with other prompts, and the errors of
    `Reward`, before anything is drawn.
    """
    reward = Reward(settings, asked=prompts)
    generations, ids = draw_generations(lm, prompts, draws, run, chat=chat, seed=seed)
    grouped: dict[str, list[DrawnResponse]] = {prompt.id: [] for prompt in prompts}
    for response in _rewarded(reward, prompts, generations, ids):
        grouped[response.generation.prompt_id].append(response)
    return grouped


def draw_generations(
    lm: "LanguageModel",
    prompts: Sequence[Prompt],
    draws: DrawSettings,
    run: Run,
    *,
    chat: bool,
    seed: int,
) -> tuple[list[Generation], dict[str, tuple[int, ...]]]:
    """`draws.k` responses of `lm` per prompt, and the tokens that it read, by prompt id.

    The main process draws while the others wait; all read its file. Raises
    `RunMismatchError` when the run was begun with other prompts.
    """
    from detoxlab.generate import LocalEngine, generate_into
    from detoxlab.processes.sharding import in_step

    sampling = draws.sampling(seed)
    engine = LocalEngine(
        Subject(lm),
        chat=chat,
        batch_size=draws.batch_size,
        iteration=TRAINING,
        next_turn_markers=lm.next_turn_markers if chat else (),
    )
    run.write_once(PROMPTS, prompts)
    run.update(drawn_with=dataclasses.asdict(sampling))
    with in_step(lm.bare):
        if processes.is_main():
            generate_into(run, engine, prompts, sampling)
    processes.barrier()
    ids = {prompt.id: engine.context_ids(prompt, sampling) for prompt in prompts}
    return list(run.read_all("generations", Generation)), ids


def best_against_worst(responses: Sequence[DrawnResponse], margin: float) -> PairRow:
    """The responses to one prompt with the highest and the lowest reward, as a pair.

    A response that a gate stopped, or that no scorer could read, is never preferred, but it may
    be the worst. The first of equals counts. Raises `RejectedPair` when none can be preferred,
    or when the rewards differ by less than `margin`.
    """
    usable = [response for response in responses if not response.gates]
    if not usable:
        raise RejectedPair("no response can be preferred: gates stopped them all")
    best = max(usable, key=lambda response: response.reward)
    worst = min(responses, key=lambda response: response.reward)
    if worst.ids == best.ids or best.reward - worst.reward < margin:
        raise RejectedPair(f"the best and the worst response differ by less than {margin:g}")
    return PairRow(best.generation.prompt_id, best.prompt_ids, best.ids, worst.ids)


def rank_pairs(
    responses: dict[str, list[DrawnResponse]], margin: float
) -> tuple[list[PairRow], list[tuple[str, str]]]:
    """A pair for each prompt that gives one, and (prompt id, reason) for the other prompts."""
    rows, rejected = list[PairRow](), list[tuple[str, str]]()
    for prompt_id, drawn in responses.items():
        try:
            rows.append(best_against_worst(drawn, margin))
        except RejectedPair as reason:
            rejected.append((prompt_id, str(reason)))
    return rows, rejected


def _rewarded(
    reward: Reward,
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
    ids: dict[str, tuple[int, ...]],
) -> list[DrawnResponse]:
    by_id = {prompt.id: prompt for prompt in prompts}
    rewards = reward([by_id[one.prompt_id] for one in generations], generations)
    return [
        DrawnResponse(
            one,
            ids[one.prompt_id],
            float(rewards.values_N[row]),
            float(rewards.scores_N[row]),
            tuple(rewards.gates_of(row)),
        )
        for row, one in enumerate(generations)
    ]
