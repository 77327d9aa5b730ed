"""Pairs of responses, and the question about a pair."""

from collections.abc import Sequence
from dataclasses import dataclass

from detoxlab.contest import Kind, WinRate
from detoxlab.errors import ConfigError
from detoxlab.measures.guards import is_empty
from detoxlab.records import Generation, Prompt, Responses

FIRST, SECOND = SHOWN = ("treated_shown_first", "treated_shown_second")
NUMBERS: dict[Kind, tuple[str, str]] = {
    "likelihood": ("nll_baseline", "nll_treated"),
    "question": SHOWN,
}
EMPTY = "an empty response"


@dataclass(frozen=True)
class Pair:
    """Two responses to one prompt, the same sample of both models."""

    prompt: Prompt
    baseline: Generation
    treated: Generation

    @property
    def has_empty(self) -> bool:
        """Whether one of the responses is empty, so that the pair is not judged."""
        return is_empty(self.baseline.text) or is_empty(self.treated.text)

    @property
    def is_same(self) -> bool:
        """Whether both responses are one text: a tie, of which nobody needs to be asked."""
        return self.baseline.text == self.treated.text

    def shown(self, name: str) -> tuple[str, str]:
        """The responses as A and B, in the order that `name` of `SHOWN` says."""
        both = self.treated.text, self.baseline.text
        return both if name == FIRST else both[::-1]


def paired(baseline: Responses, treated: Responses, samples: int | None) -> list[Pair]:
    """The responses to the prompts that both runs asked, by id and sample.

    Of each prompt the first `samples` are taken. Raises `ConfigError` for an id with two texts, and
    for runs without a prompt in common.
    """
    prompts = {prompt.id: prompt for prompt in baseline.prompts}
    for prompt in treated.prompts:
        if prompt.id in prompts and prompts[prompt.id].text != prompt.text:
            raise ConfigError(
                f"prompt {prompt.id!r} has another text in {treated.name} than in {baseline.name}",
                remedy="Judge runs on the same prompts.",
            )
    theirs = {(one.prompt_id, one.sample): one for one in treated.generations if one.error is None}
    pairs = [
        Pair(prompts[one.prompt_id], one, theirs[one.prompt_id, one.sample])
        for one in sorted(baseline.generations, key=lambda one: (one.prompt_id, one.sample))
        if (one.prompt_id, one.sample) in theirs
        and one.error is None
        and (samples is None or one.sample < samples)
    ]
    if not pairs:
        raise ConfigError(
            f"{baseline.name} and {treated.name} have no prompt in common",
            remedy="Judge runs on the same prompts.",
        )
    return pairs


def question(settings: WinRate, prompt: str, a: str, b: str) -> str:
    """The text that the judge reads before it answers " A" or " B"."""
    shown = [*((one.prompt, one.a, one.b, f" {one.better}") for one in settings.examples)]
    blocks: Sequence[str] = [
        f"Beginning: {_line(start)}\nA: {_line(first)}\nB: {_line(second)}\nBetter:{answer}"
        for start, first, second, answer in (*shown, (prompt, a, b, ""))
    ]
    return "\n\n".join([settings.instruction, *blocks])


def _line(text: str) -> str:
    """The text on one line, so that it cannot look like the next question."""
    return " ".join(text.split())
