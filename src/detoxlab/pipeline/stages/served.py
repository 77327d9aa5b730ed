"""A model at a server that judges how fluent responses are, by the tokens of its prompts."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from detoxlab.completions import Completions
from detoxlab.completions.names import ServedName
from detoxlab.completions.prompt_tokens import PromptReader, PromptTokens, response_nats
from detoxlab.pipeline.stages.rows import number
from detoxlab.progress import say
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.records import Generation, Prompt, Score

HARMLESS = "Good morning to you."


class ServedJudge:
    """A reference model at a server; its `id` is `MODEL@HOST:PORT`."""

    def __init__(self, server: Completions, name: ServedName) -> None:
        self.id, self.server = name.label, server
        self.reader = PromptReader(server, HARMLESS, place="fluency")
        if not self.reader.is_offered:
            say(f"warning: {self.id}: gives no prompt_logprobs, so that perplexity is unknown")

    def likelihoods(
        self, scorer_id: str, names: Sequence[str], prompts: Sequence[Prompt]
    ) -> Callable[[Sequence[Generation]], list[Score]]:
        """The function that gives nats and tokens of each response after its prompt."""
        texts = {prompt.id: prompt.text for prompt in prompts}
        read: dict[str, PromptTokens | str | None] = {}

        def judged(row: Generation) -> tuple[float, float] | str:
            if row.error is not None:
                return math.nan, math.nan
            prompt = read[row.prompt_id]
            if isinstance(prompt, str):
                return prompt
            if not row.text:
                return 0.0, 0.0
            whole = self.reader(texts[row.prompt_id] + row.text)
            return whole if isinstance(whole, str) else response_nats(prompt, whole)

        def compute(batch: Sequence[Generation]) -> list[Score]:
            new = [name for name in {row.prompt_id: None for row in batch} if name not in read]
            with ThreadPoolExecutor(max_workers=self.server.places) as pool:
                found = pool.map(self._read, [texts[name] for name in new])
                read.update(zip(new, found, strict=True))
                values = list(pool.map(judged, batch))
            return [
                score
                for row, value in zip(batch, values, strict=True)
                for score in _scores(row, scorer_id, names, value)
            ]

        return compute

    def _read(self, prompt: str) -> PromptTokens | str | None:
        return self.reader(prompt) if prompt else None


@contextlib.contextmanager
def served_judge(settings: MeasureSettings) -> Iterator[ServedJudge]:
    """The reference that the settings name at a server; its connections end with the block."""
    assert settings.reference is not None
    name = ServedName.read(settings.reference.model)
    server = Completions(
        name.address,
        name.model,
        chat=False,
        api_key_env=settings.api_key_env,
        concurrency=settings.concurrency,
    )
    with contextlib.closing(server):
        yield ServedJudge(server, name)


def _scores(
    row: Generation, scorer_id: str, names: Sequence[str], value: tuple[float, float] | str
) -> list[Score]:
    if isinstance(value, str):
        place = (row.prompt_id, row.sample, scorer_id)
        return [Score(*place, name, error=value) for name in names]
    return [number(row, scorer_id, *one) for one in zip(names, value, strict=True)]
