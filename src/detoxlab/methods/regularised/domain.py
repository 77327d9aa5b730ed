"""The constraint on one domain over the iterations: buffer, head, acceptance, weight."""

import dataclasses
import json
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detoxlab.auxiliary.features import (
    Features,
    Sample,
    acceptance_rate,
    accepted_share,
    drawn_from,
    labelled,
    log_weights,
    read_features,
)
from detoxlab.auxiliary.fit import Fit, evaluate_head
from detoxlab.auxiliary.head import AuxiliaryHead, load_head, new_head, save_head
from detoxlab.auxiliary.losses import importance_weights
from detoxlab.generate import LocalEngine
from detoxlab.methods.feedback.conditions import Oracle
from detoxlab.methods.regularised.config import DomainSettings, RegularisedConfig
from detoxlab.methods.regularised.losses import (
    Tilt,
    constraint_kl,
    dual_step,
)
from detoxlab.methods.regularised.targets import Projection, TargetCache
from detoxlab.models import LanguageModel
from detoxlab.models.hidden import OutputLayer
from detoxlab.progress import say
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.subject import Subject

STATE = "state.json"
HEAD = "head"
TARGETS = "targets.safetensors"

HELD_OUT = 10  # every tenth beginning tells how good the heads are, and is not fitted on
REPORTED = (
    "responses",
    "auroc",
    "prompt_auroc",
    "prompt_r",
    "calibration_error",
    "consistency_gap",
    "positions",
)

Opening = tuple[str, tuple[int, ...]]
"""Id and token ids of a beginning that the anchor is asked to go on with."""


class OpeningEngine(LocalEngine):
    """Draws responses to beginnings that are token ids already; a prompt only names one."""

    def __init__(self, lm: LanguageModel, openings: dict[str, tuple[int, ...]], **options: Any):
        super().__init__(Subject(lm), **options)
        self.openings = openings

    def _ids(self, prompt: Prompt) -> tuple[int, ...]:
        return self.openings[prompt.id]

    def draw(self, sampling: Sampling) -> list[Generation]:
        """Responses to all beginnings, in the order of their ids."""
        prompts = [Prompt(name, "", "opening") for name in self.openings]
        drawn = [
            generation
            for batch in self.batches(prompts, sampling)
            for generation in self.generate(batch, sampling)
        ]
        return sorted(drawn, key=lambda one: (one.prompt_id, one.sample))


@dataclass
class DomainState:
    """The state of a domain after an iteration; a checkpoint holds all of it.

    `head` is None until one was fitted. `targets` are those of the `fresh` samples; they are kept
    only with candidates, and while the model that drew the samples is the anchor.
    """

    weight: float
    acceptance: float = 0.0
    met: bool = False
    samples: list[Sample] = field(default_factory=list)
    head: AuxiliaryHead | None = None
    targets: TargetCache | None = None

    @property
    def fresh(self) -> list[Sample]:
        """The samples of the newest draw."""
        newest = max((sample.iteration for sample in self.samples), default=0)
        return [sample for sample in self.samples if sample.iteration == newest]

    def save(self, folder: Path) -> None:
        """Write the state into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / HEAD, ignore_errors=True)
        if self.head is not None:
            save_head(self.head, folder / HEAD)
        (folder / TARGETS).unlink(missing_ok=True)
        if self.targets is not None:
            self.targets.save(folder / TARGETS)
        plain = {"weight": self.weight, "acceptance": self.acceptance, "met": self.met}
        rows = [dataclasses.asdict(sample) for sample in self.samples]
        content = json.dumps({**plain, "samples": rows})
        (folder / STATE).write_text(content, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, output: OutputLayer) -> "DomainState":
        """The state that `save` wrote."""
        content = json.loads((folder / STATE).read_text(encoding="utf-8"))
        samples = [Sample.from_json(row) for row in content.pop("samples")]
        where = folder / HEAD
        head = load_head(where, output.weight_VD) if where.is_dir() else None
        path, device = folder / TARGETS, output.weight_VD.device
        targets = TargetCache.load(path, device) if path.is_file() else None
        return cls(**content, samples=samples, head=head, targets=targets)


class ConstrainedDomain:
    """One domain under a constraint: it draws, labels and fits in each iteration.

    The regulariser reads `state`.
    """

    def __init__(
        self,
        name: str,
        config: RegularisedConfig,
        settings: DomainSettings,
        openings: Sequence[Opening],
        *,
        chat: bool,
    ) -> None:
        self.name, self.config, self.settings = name, config, settings
        self.openings = list(openings)
        aside = self.openings[HELD_OUT - 1 :: HELD_OUT]
        self.held_out = {name for name, _ in aside}
        fitted = {ids for name, ids in self.openings if name not in self.held_out}
        self.unseen = {name for name, ids in aside if ids not in fitted}
        self.chat = chat
        self.oracle = Oracle(settings.conditions or config.conditions)
        self.state = DomainState(settings.weight)

    @property
    def is_active(self) -> bool:
        """Whether the regulariser acts on this domain: its constraint is not met yet."""
        return not self.state.met and self.state.head is not None and self.state.weight > 0

    def tilt(self, state: DomainState) -> Tilt:
        """The factor of the constraint, at the acceptance that was measured."""
        if self.settings.required is None:
            return Tilt(self.settings.strength)
        settings = self.settings
        return Tilt(
            required=settings.required,
            acceptance=state.acceptance,
            per_prompt=settings.per_prompt,
        )

    def run_iteration(
        self, lm: LanguageModel, output: OutputLayer, before: DomainState, iteration: int
    ) -> tuple[DomainState, dict[str, Any]]:
        """The state after an iteration that began with `before`, and the iteration's record.

        `lm`, the present anchor, draws; the oracle labels; the head is fitted further.
        Raises `TrainingError` when no response is accepted.
        """
        fresh, unscored = self._draw(lm, iteration)
        required, oldest = self.settings.required, iteration - self.config.age_limit
        samples = [s for s in before.samples if s.iteration > oldest] + fresh
        features = read_features(lm, output, samples, self.config.draws.max_new_tokens)
        samples = drawn_from(samples, features, output, self.config.draws.temperature)
        log_weights_N = log_weights(samples, features)
        weights_M = importance_weights(log_weights_N[-len(fresh) :])
        measured = accepted_share(fresh, weights_M)
        state = DomainState(
            weight=self._weight(before.weight, measured),
            acceptance=acceptance_rate(fresh, weights_M),
            met=measured >= (1.0 if required is None or self.settings.per_prompt else required),
            samples=samples,
            head=before.head,
        )
        report = {}
        if not state.met:
            weights_N = importance_weights(log_weights_N)
            report = self._fit(output, state, features, weights_N, iteration)
        return state, {
            "iteration": iteration,
            "domain": self.name,
            "drawn": len(fresh),
            "acceptance": measured,
            "unscored": unscored,
            "met": state.met,
            "weight": state.weight,
            "least_kl": constraint_kl(state.acceptance, required),
            "buffer": len(state.samples),
            **report,
        }

    def _weight(self, weight: float, accepted: float) -> float:
        """The next weight: by dual ascent where `dual_rate` is set, else the same."""
        settings = self.settings
        if not settings.dual_rate or settings.required is None:
            return weight
        return dual_step(
            weight,
            accepted,
            settings.required,
            rate=settings.dual_rate,
            limits=settings.weight_limits,
        )

    def _draw(self, lm: LanguageModel, iteration: int) -> tuple[list[Sample], float]:
        config = self.config
        order = np.random.default_rng([config.seed, iteration]).permutation(len(self.openings))
        chosen = dict(sorted(self.openings[i] for i in order[: config.prompts]))
        say(f"iteration {iteration}, {self.name}: {len(chosen) * config.draws.k} responses to draw")
        engine = OpeningEngine(
            lm,
            chosen,
            chat=self.chat,
            batch_size=config.draws.batch_size,
            iteration=iteration,
            next_turn_markers=lm.next_turn_markers if self.chat else (),
        )
        sampling = config.draws.sampling(config.seed)
        read = {name: engine.context_ids(Prompt(name, "", "opening"), sampling) for name in chosen}
        drawn = engine.draw(sampling)
        verdicts = self.oracle([generation.text for generation in drawn])
        return labelled(drawn, read, verdicts.accepted_N, iteration), verdicts.unscored_share

    def _fit(
        self,
        output: OutputLayer,
        state: DomainState,
        features: Features,
        weights_N: Tensor,
        iteration: int,
    ) -> dict[str, Any]:
        """Fit a copy of the state's head on its buffer, and put the copy into the state.

        Returns its quality on responses to beginnings on which no head was ever fitted.
        """
        config = self.config
        head = new_head(config.head, output, state.acceptance, seed=config.seed)
        if state.head is not None:
            head.load_state_dict(state.head.state_dict())
        aside_N = _of_prompts(state.samples, self.held_out)
        if bool(aside_N.all()):
            aside_N = torch.zeros_like(aside_N)
        seed = config.seed + iteration
        Fit(head, output, features.part(~aside_N), weights_N[~aside_N], config.head, seed).run()
        state.head = head
        if self._keeps_targets(iteration):
            projection = Projection(output, head, self.tilt(state), config.top_k)
            state.targets = projection.of_samples(features, len(state.samples) - len(state.fresh))
        unseen_N = aside_N & _of_prompts(state.samples, self.unseen)
        if not bool(unseen_N.any()):
            return {}
        report = evaluate_head(head, output, features.part(unseen_N))
        return {f"held_out_{key}": report[key] for key in REPORTED}

    def _keeps_targets(self, iteration: int) -> bool:
        """Whether the model that drew will be the anchor when the samples are read."""
        config = self.config
        stays = config.anchor != "current" and config.top_k is not None
        return stays and (config.schedule == "sequential" or iteration == 1)


def _of_prompts(samples: Sequence[Sample], names: Collection[str]) -> Tensor:
    """Which of the samples answer these beginnings, (N,)."""
    return torch.tensor([sample.prompt_id in names for sample in samples])


def constrained(
    config: RegularisedConfig,
    openings: dict[str, list[Opening]],
    *,
    chat: bool,
) -> dict[str, ConstrainedDomain]:
    """The domains of the data whose settings ask for a constraint, by name."""
    found = {}
    for name, some in openings.items():
        settings = config.of_domain(name)
        if settings is not None and settings.weight > 0 and some:
            found[name] = ConstrainedDomain(name, config, settings, some, chat=chat)
    return found
