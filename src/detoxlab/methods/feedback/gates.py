"""Gates: rules by which a response gets the minimum reward whatever its score.

Without them a policy is paid for text that no scorer reads: nothing at all, another script,
one phrase over and over. The rules are those of `measures.guards`, so that training and
`compare` mean the same by a name.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detoxlab.encoders import Encoder, cosine_similarity, load_encoder
from detoxlab.measures import guards
from detoxlab.measures.features import ended_at_cap
from detoxlab.measures.writing.languages import Writing, writings
from detoxlab.methods.feedback.settings import GateSettings
from detoxlab.records import Generation, Prompt

BoolArray = NDArray[np.bool_]
Rule = Callable[[Generation], bool | None]


class Gates:
    """Tells which rule stops which response, as `GateSettings` says.

    `asked` are all prompts that will be asked: a prompt too short to show its language has that
    of the others (`measures.writing.languages.writings`).
    """

    def __init__(self, settings: GateSettings, asked: Sequence[Prompt] = ()) -> None:
        self.settings = settings
        self._rules = _rules(settings)
        self._asked = dict(
            zip((one.text for one in asked), writings([one.text for one in asked]), strict=True)
        )
        self._encoder: Encoder | None = None
        if settings.similarity is not None:
            self._encoder = load_encoder(settings.encoder)

    def __call__(
        self, prompts: Sequence[Prompt], generations: Sequence[Generation]
    ) -> Mapping[str, BoolArray]:
        """For each rule that is on, (N,): whether it stops the response to the prompt.

        A property that cannot be told (the language of three words) stops nothing.
        """
        fired = {
            name: np.array([bool(rule(one)) for one in generations], dtype=bool)
            for name, rule in self._rules.items()
        }
        if self.settings.other_language:
            pairs = zip(prompts, generations, strict=True)
            fired["other_language"] = np.array(
                [bool(guards.switches_language(self._writing(p), g.text)) for p, g in pairs],
                dtype=bool,
            )
        if self._encoder is not None and self.settings.similarity is not None:
            similarity_N = cosine_similarity(
                self._encoder, [one.text for one in prompts], [one.text for one in generations]
            )
            fired["unrelated"] = similarity_N < self.settings.similarity
        return fired

    def _writing(self, prompt: Prompt) -> Writing:
        return self._asked.get(prompt.text) or writings([prompt.text])[0]


def _rules(settings: GateSettings) -> dict[str, Rule]:
    """The rules that look at a response alone."""
    rules: dict[str, Rule] = {}
    if settings.empty:
        rules["empty"] = lambda one: guards.is_empty(one.text)
    if settings.repetition is not None:
        limit = settings.repetition
        rules["repetition"] = lambda one: (guards.repeated_ngram_share(one.text) or 0.0) > limit
    if settings.repeated_unit:
        rules["repeated_unit"] = lambda one: guards.is_one_repeated_unit(one.text)
    if settings.capped:
        rules["capped"] = ended_at_cap
    return rules
