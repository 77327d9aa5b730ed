"""Generations from servers that speak OpenAI's protocol: vLLM, SGLang, llama.cpp and others."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from detoxlab.completions import (
    Answered,
    Completions,
    Withheld,
    finish_reason,
    text_of,
)
from detoxlab.errors import RunMismatchError
from detoxlab.generate.noise import noise_key
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.servers import USUAL_RETRIES, Retries

# So many prompts in one batch, all refused alike for no known reason, are no coincidence.
MANY_ALIKE = 8


class HttpEngine:
    """Generates through `/completions` or `/chat/completions` of one or more servers of a model.

    `base_url` (one address or several) and `api_key_env` are those of `Completions`; each server
    works on `concurrency` requests at once. The rows do not depend on which of them answered.

    Token ids are unknown here and stay empty; the noise is the server's, so the coupling and
    the byte-identical resume of `LocalEngine` do not hold. Each sample is a request of its own,
    with a seed made of (seed, prompt id, sample), for servers that honour it. `template_options` go
    to the server's chat template, where it takes `chat_template_kwargs`.

    A prompt that the server refuses (a content filter, a prompt too long for it) has generations
    with the server's code as `error`: unknown, not harmless, and the run goes on. Its first sample
    tells; the others are then not asked for. A request that fails finally for another reason raises
    `EngineError`, and so does a server that refuses every prompt alike: finished batches are on
    disk, and the run goes on from them with --resume.
    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        model: str,
        *,
        chat: bool,
        api_key_env: str | None = None,
        concurrency: int = 8,
        batch_size: int = 32,
        timeout_seconds: float = 120.0,
        retries: Retries = USUAL_RETRIES,
        transport: httpx.BaseTransport | None = None,
        template_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._server = Completions(
            base_url,
            model,
            chat=chat,
            api_key_env=api_key_env,
            timeout_seconds=timeout_seconds,
            retries=retries,
            transport=transport,
            concurrency=concurrency,
        )
        self.batch_size = batch_size
        self.template_options = dict(template_options or {})
        self._has_answered = False

    @property
    def id(self) -> str:
        """The engine's name in results."""
        return f"http:{self._server.model}"

    def facts(self) -> dict[str, Any]:
        """The run's record: only the hosts of the addresses and the variable of the key."""
        return {
            "engine": "http",
            "model": self._server.model,
            "host": self._server.host,
            "chat": self._server.chat,
            "api_key_env": self._server.api_key_env,
            "batch_size": self.batch_size,
            "has_answered": self._has_answered,
            "template_options": self.template_options,
        }

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Take the batch size that a run began with, and whether the server answered it.

        Raises `RunMismatchError` for a run whose responses are drawn in a process.
        """
        if facts.get("engine", "http") != "http":
            raise RunMismatchError(
                "this run was begun with a model in the process, not at an endpoint",
                remedy="Leave out --endpoint to go on with it, or choose another --out.",
            )
        self.batch_size = facts.get("batch_size", self.batch_size)
        self._has_answered = facts.get("has_answered", self._has_answered)

    def batches(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Prompt]]:  # noqa: ARG002
        """The prompts in their order, cut into batches."""
        size = self.batch_size
        return [list(prompts[start : start + size]) for start in range(0, len(prompts), size)]

    def generate(self, batch: Sequence[Prompt], sampling: Sampling) -> list[Generation]:
        """k generations per prompt, prompt after prompt; requests run side by side."""
        headers = self._server.headers()
        drawn = [_Drawn(prompt.id) for prompt in batch]

        def sampled(asked: tuple[Prompt, int]) -> Answered | Withheld:
            prompt, sample = asked
            return self._server.reply(
                self._body(prompt, sampling, sample), headers, place=_place(prompt)
            )

        with ThreadPoolExecutor(max_workers=self._server.places) as pool:
            firsts = pool.map(sampled, [(prompt, 0) for prompt in batch])
            for one, first in zip(drawn, firsts, strict=True):
                one.add(first, chat=self._server.chat, k=sampling.k)
            left = [
                (place, sample)
                for place, one in enumerate(drawn)
                for sample in range(len(one.rows), sampling.k)
            ]
            others = pool.map(sampled, [(batch[place], sample) for place, sample in left])
            for (place, _), reply in zip(left, others, strict=True):
                drawn[place].add(reply, chat=self._server.chat, k=len(drawn[place].rows) + 1)
        self._check_not_all_alike(batch, drawn)
        return [row for one in drawn for row in one.rows]

    def close(self) -> None:
        """Close the connections to the servers."""
        self._server.close()

    # --- inside ---

    def _check_not_all_alike(self, batch: Sequence[Prompt], drawn: "Sequence[_Drawn]") -> None:
        """Raise if no prompt of the batch was answered and the settings are the likely cause.

        A filter's refusal shows that the server understood the request. Other refusals could come
        from settings that fail for every prompt. They count as such if all are alike before the
        server has answered once, and later if `MANY_ALIKE` are of an unknown kind.
        """
        refusals = [one.withheld for one in drawn]
        found = {one for one in refusals if one is not None}
        if None in refusals or any(one.kind == "filter" for one in found):
            self._has_answered = True
        elif len(found) == 1:
            (one,) = found
            many = one.kind == "other" and len(batch) >= MANY_ALIKE
            if many or not self._has_answered:
                raise self._server.error(
                    f"all {len(batch)} prompts of the batch are turned down ({one.code})",
                    _place(batch[0]),
                )

    def _body(self, prompt: Prompt, sampling: Sampling, sample: int) -> dict[str, Any]:
        seed = noise_key(sampling.seed, f"{prompt.id}\x1f{sample}")[0] & 0x7FFFFFFF
        body = {
            **self._server.asked(prompt.text),
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed,
        }
        optional: dict[str, Any] = {
            "stop": list(sampling.stop),
            "top_k": sampling.top_k,
            "chat_template_kwargs": self.template_options if self._server.chat else {},
        }
        return body | {name: value for name, value in optional.items() if value}


def _place(prompt: Prompt) -> str:
    return f"prompt {prompt.id!r}"


@dataclass
class _Drawn:
    """The samples of one prompt so far, and the refusals."""

    prompt_id: str
    rows: list[Generation] = field(default_factory=list)
    refusals: list[Withheld] = field(default_factory=list)

    @property
    def withheld(self) -> Withheld | None:
        """The refusal of the whole prompt; None if a sample was answered at all."""
        return self.refusals[0] if len(self.refusals) == len(self.rows) else None

    def add(self, reply: Answered | Withheld, *, chat: bool, k: int) -> None:
        """The next sample; a final refusal stands for all samples up to the k-th."""
        if isinstance(reply, Answered):
            choice = reply.choices[0]
            self._add(*text_of(choice, chat=chat), choice)
            return
        for _ in range(k - len(self.rows) if reply.final else 1):
            self.refusals.append(reply)
            self._add("", reply.code, {})

    def _add(self, text: str, error: str | None, choice: Mapping[str, Any]) -> None:
        """One more sample; with an error, the response is unknown."""
        reason = "unknown" if error else finish_reason(choice)
        self.rows.append(Generation(self.prompt_id, len(self.rows), text, (), reason, error))
