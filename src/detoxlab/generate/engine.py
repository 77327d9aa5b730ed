"""Engines turn prompts into generations: the protocol, and the engine in this process."""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import torch

from detoxlab.errors import ConfigError, ModelError
from detoxlab.generate.decode import Draft, Ending, Job, draw_samples
from detoxlab.generate.memory import is_out_of_memory, rows_that_fit
from detoxlab.generate.text import response_texts, stop_check
from detoxlab.models import LanguageModel
from detoxlab.records import Generation, Prompt, Sampling, to_json
from detoxlab.subject import Subject


class PromptTruncatedWarning(UserWarning):
    """Some prompts are longer than the model's context and lost their beginning."""


class Engine(Protocol):
    """Turns prompts into generations by the settings of `Sampling`.

    `batches` cuts the prompts into the units that are computed, stored and resumed whole;
    `generate` returns prompt after prompt, and for each its samples 0 to k - 1. `facts` is the
    run's record of the engine, and `restore` takes over the record of a resumed run.
    """

    @property
    def id(self) -> str: ...

    def batches(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Prompt]]: ...

    def generate(self, batch: Sequence[Prompt], sampling: Sampling) -> list[Generation]: ...

    def facts(self) -> dict[str, Any]: ...

    def restore(self, facts: Mapping[str, Any]) -> None: ...


class LocalEngine:
    """Coupled sampling from a model in this process, with its adapter, edit and steerings.

    The noise depends on (seed, prompt id, iteration, sample, step, token) alone: batch size
    and order do not change a generation (float32 on CPU, except for near-ties), and two models
    with one vocabulary draw under common random numbers. Each token id has its own noise, so
    it is exact sampling from the warped distribution.

    `chat` puts the prompt into the model's chat template. `batch_size` is in prompts; None
    takes as many as fit (`rows_that_fit`). `iteration` is the training step when samples train
    the model. `next_turn_markers` are further stop strings, such as the model's own
    `next_turn_markers`; a special token by which the template begins another turn always
    ends a chat response, with finish reason "stop".

    Token ids are the drawn ones, up to and including the token that ended the response (EOS) or
    completed a stop string; the text is cut where the stop string begins.

    A prompt that leaves no room for `max_new_tokens` in the model's context loses its
    beginning; `facts` counts them. When memory runs out, the rows are halved for the whole run.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        chat: bool,
        batch_size: int | None = None,
        iteration: int = 0,
        next_turn_markers: Sequence[str] = (),
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}", remedy="It must be at least 1.")
        if chat:
            subject.lm.chat.check_user()
        self.subject, self.lm = subject, subject.lm
        self.chat = chat
        self.batch_size = batch_size
        self.iteration = iteration
        self.next_turn_markers = tuple(next_turn_markers)
        self.row_limit: int | None = None
        self.prompts_truncated = 0
        self.prompts_sha256: str | None = None
        self.system_facts: dict[str, Any] = {}
        self.near_ties: list[tuple[str, int, int]] = []

    @property
    def id(self) -> str:
        """The engine's name in results."""
        return f"local:{self.subject.id}"

    def facts(self) -> dict[str, Any]:
        """The run's record: batch and row limits, truncated prompts, the input that was asked.

        With a system prompt also where it stands, and its tokens apart from those of the prompts.
        """
        return {
            "engine": "local",
            "model": self.lm.id,
            "chat": self.chat,
            "chat_template": self.lm.template_name if self.chat else None,
            "next_turn_markers": list(self.next_turn_markers),
            "iteration": self.iteration,
            "steering": self.subject.steering_id,
            "batch_size": self.batch_size,
            "row_limit": self.row_limit,
            "prompts_truncated": self.prompts_truncated,
            **self.system_facts,
            "asked": to_json(self.lm.asked(self.chat, self.prompts_sha256)),
        }

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Take over a run's batch and row limits, so that its batches are the same."""
        self.batch_size = facts.get("batch_size", self.batch_size)
        self.row_limit = facts.get("row_limit", self.row_limit)

    def batches(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Prompt]]:
        """The prompts by length, longest first, so that a batch needs little padding.

        So the first batch shows whether memory is enough.
        """
        room = self._room(sampling)
        ids = {prompt.id: self._ids(prompt) for prompt in prompts}
        lengths = {name: len(one) for name, one in ids.items()}
        own = {p.id: self.own_ids(p) for p in prompts} if self.lm.rendering.system else ids
        self.prompts_sha256 = _sha256({n: self.lm.shortened(one, room) for n, one in own.items()})
        self.system_facts = self._system_facts(sum(lengths.values()), sum(map(len, own.values())))
        self.prompts_truncated = sum(length > room for length in lengths.values())
        if self.prompts_truncated:
            warnings.warn(
                f"{self.prompts_truncated} of {len(prompts)} prompts are longer than the "
                f"{room} tokens that {self.lm.id} has room for; their beginning is cut off",
                PromptTruncatedWarning,
                stacklevel=2,
            )
        ordered = sorted(prompts, key=lambda prompt: -lengths[prompt.id])
        longest = min(max(lengths.values(), default=1), room)
        if self.batch_size is None:
            length = longest + sampling.max_new_tokens
            rows = rows_that_fit(self.lm, length, self.subject.passes_per_token)
            self.batch_size = max(1, rows // sampling.k)
        size = self.batch_size
        return [ordered[start : start + size] for start in range(0, len(ordered), size)]

    def generate(self, batch: Sequence[Prompt], sampling: Sampling) -> list[Generation]:
        """k generations per prompt, prompt after prompt."""
        samples = tuple(range(sampling.k))
        jobs = [Job(p.id, self.context_ids(p, sampling), samples) for p in batch]
        stop = (*sampling.stop, *self.next_turn_markers)
        drafts = self._draw(jobs, sampling, self._ending(stop))
        self.near_ties += [(d.prompt_id, d.sample, step) for d in drafts for step in d.near_ties]
        texts = response_texts(self.lm.tokenizer, drafts, stop)
        return [
            Generation(d.prompt_id, d.sample, text, tuple(d.token_ids), d.finish_reason)
            for d, text in zip(drafts, texts, strict=True)
        ]

    def context_ids(self, prompt: Prompt, sampling: Sampling) -> tuple[int, ...]:
        """Token ids that the model is given: the last of the prompt's that leave room to answer."""
        return self.lm.shortened(self._ids(prompt), self._room(sampling))

    def asked_ids(self, prompt: Prompt, sampling: Sampling) -> tuple[int, ...]:
        """`context_ids` without a system prompt: the question alone."""
        return self.lm.shortened(self.own_ids(prompt), self._room(sampling))

    def own_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """All token ids of a prompt without the system prompt."""
        return tuple(self._without_system.prompt_ids(prompt.text, self.chat))

    # --- inside ---

    @cached_property
    def _without_system(self) -> LanguageModel:
        return self.lm.with_system("") if self.lm.rendering.system else self.lm

    def _system_facts(self, given: int, asked: int) -> dict[str, Any]:
        if not self.lm.rendering.system:
            return {}
        in_chat = "system role" if self.lm.chat.hears_system else "user turn"
        return {
            "system_as": in_chat if self.chat else "text before the prompt",
            "prompt_tokens": asked,
            "system_tokens": given - asked,
        }

    def _ids(self, prompt: Prompt) -> tuple[int, ...]:
        return tuple(self.lm.prompt_ids(prompt.text, self.chat))

    def _room(self, sampling: Sampling) -> int:
        room = self.lm.context_length - sampling.max_new_tokens
        if room < 1:
            raise ConfigError(
                f"max_new_tokens={sampling.max_new_tokens} leaves no room for a prompt in the "
                f"{self.lm.context_length} tokens of {self.lm.id}",
                remedy="Lower it.",
            )
        return room

    def _ending(self, stop: Sequence[str]) -> Ending:
        check = stop_check(self.lm.tokenizer, stop)
        if self.chat:
            return Ending(self.lm.end_of_turn_ids, self.lm.next_turn_ids, check)
        return Ending(self.lm.eos_ids, stopped=check)

    def _draw(self, jobs: Sequence[Job], sampling: Sampling, ending: Ending) -> list[Draft]:
        drafts: list[Draft] = []
        waiting = list(jobs)
        while waiting:
            now, later = first_rows(waiting, self.row_limit)
            try:
                drafts += draw_samples(self.subject, now, sampling, ending, self.iteration)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(now)
            else:
                waiting = later
        return drafts

    def _halve(self, jobs: Sequence[Job]) -> None:
        rows = sum(len(job.samples) for job in jobs)
        if rows == 1:
            raise ModelError(
                f"{self.lm.id}: memory is too small for one response to a prompt of "
                f"{len(jobs[0].ids)} tokens",
                remedy="Use a smaller model, half precision or fewer new tokens.",
            ) from None
        self.row_limit = rows // 2
        if self.lm.device.type == "cuda":
            torch.cuda.empty_cache()


def _sha256(ids: Mapping[str, Sequence[int]]) -> str:
    """One hash for the ids of all prompts, whatever the order of the prompts."""
    return hashlib.sha256(json.dumps(ids, sort_keys=True).encode()).hexdigest()


def first_rows(jobs: Sequence[Job], limit: int | None) -> tuple[list[Job], list[Job]]:
    """The jobs cut in two: at most `limit` rows, and the rest; a prompt's samples may be divided.

    >>> first, rest = first_rows([Job("a", (1,), (0, 1)), Job("b", (1,), (0, 1))], 3)
    >>> [job.samples for job in first], [job.samples for job in rest]
    ([(0, 1), (0,)], [(1,)])
    """
    if limit is None:
        return list(jobs), []
    first: list[Job] = []
    rest: list[Job] = []
    for job in jobs:
        here, beyond = job.samples[:limit], job.samples[limit:]
        first += [Job(job.prompt_id, job.ids, here)] if here else []
        rest += [Job(job.prompt_id, job.ids, beyond)] if beyond else []
        limit -= len(here)
    return first, rest
