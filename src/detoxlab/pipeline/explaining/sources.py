"""The measured runs that are explained: their models, prompts and responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from detoxlab.errors import ConfigError
from detoxlab.explanations.measured.table import Side
from detoxlab.pipeline.evaluating import subject_of
from detoxlab.pipeline.subjects import load_subject
from detoxlab.recipe.explaining import ExplainSettings
from detoxlab.recipe.measuring import SubjectSettings
from detoxlab.records import Asked, Generation, Prompt, from_json, to_json
from detoxlab.runs import Run
from detoxlab.scorers import known_scorers

if TYPE_CHECKING:
    from detoxlab.explanations.measured.explainer import Explainer, Item

SAME = ("chat", "vocabulary_sha256", "template_sha256", "control_tokens")


@dataclass(frozen=True)
class Source:
    """A measured run, and the settings of its model."""

    run: Run
    subject: SubjectSettings
    asked: Asked | None

    @classmethod
    def of(cls, path: str, settings: ExplainSettings) -> "Source":
        run = Run.open(path)
        found = subject_of(run)
        device = found.device if settings.device == "auto" else settings.device
        asked = run.info.get("asked")
        return cls(
            run,
            found.model_copy(update={"dtype": "float32", "device": device}),
            from_json(Asked, asked) if asked else None,
        )

    @property
    def chat(self) -> bool:
        return bool(self.asked and self.asked.chat)

    @property
    def new_tokens(self) -> int:
        """The number of tokens that the run left room for after each prompt."""
        return int(self.run.config["sampling"]["max_new_tokens"])

    @property
    def judge(self) -> str:
        """The name of the scorer that judges the run, which `score` may have changed."""
        named = str(self.run.info.get("judge_id")).rpartition("@")[0]
        return named if named in known_scorers() else str(self.run.config["judge"])

    @cached_property
    def prompts(self) -> list[Prompt]:
        return self.run.read("prompts.jsonl", Prompt)

    @cached_property
    def generations(self) -> Mapping[tuple[str, int], Generation]:
        rows = self.run.read_all("generations", Generation)
        return {(row.prompt_id, row.sample): row for row in rows}


class Models:
    """Makes the explainer of one run's model after another; only the newest is kept in memory."""

    def __init__(self, settings: ExplainSettings, sources: Mapping[str, Source]) -> None:
        self.settings, self.sources = settings, sources
        self.name: str | None = None
        self._explainer: Explainer | None = None

    @property
    def runs(self) -> list[str]:
        return list(self.sources)

    def explainer(self, name: str) -> "Explainer":
        from detoxlab.explanations.measured.explainer import Explainer

        if self.name != name or self._explainer is None:
            self._explainer = None
            source = self.sources[name]
            subject = load_subject(source.subject)
            source.run.check_asked(to_json(subject.lm.asked(source.chat)))
            self._explainer, self.name = (
                Explainer(
                    subject,
                    self.settings.method,
                    self.settings.target,
                    chat=source.chat,
                    steps=self.settings.steps,
                ),
                name,
            )
        return self._explainer

    def items(self, side: Side, prompts: Sequence[Prompt]) -> "list[Item]":
        """The responses of one run, to be explained by the model of one run."""
        from detoxlab.explanations.measured.explainer import Item

        model, text = side
        source = self.sources[text]
        return [
            Item(
                model,
                text,
                prompt,
                sample,
                source.generations.get((prompt.id, sample)),
                source.new_tokens,
            )
            for prompt in prompts
            for sample in range(self.settings.samples)
        ]


def sources_of(settings: ExplainSettings) -> list[Source]:
    """The runs, which must have been asked in the same tokens; their names must differ."""
    sources = [Source.of(path, settings) for path in settings.runs]
    first, *others = sources
    for other in others:
        if other.run.name in {source.run.name for source in sources if source is not other}:
            raise ConfigError(
                f"two runs are called {other.run.name}", remedy="Rename the folder of one."
            )
        unlike = [name for name in SAME if _said(first, name) != _said(other, name)]
        if unlike:
            raise ConfigError(
                f"{first.run.name} and {other.run.name} were asked in other tokens "
                f"({', '.join(unlike)} differ): neither can explain the other's text",
                remedy="Explain runs of one tokenizer and chat template together.",
            )
    return sources


def _said(source: Source, name: str) -> object:
    return getattr(source.asked, name, None)


def shared_prompts(settings: ExplainSettings, sources: Sequence[Source]) -> list[Prompt]:
    """The first prompts of the baseline that all runs asked, with the same texts."""
    texts = [{prompt.id: prompt.text for prompt in source.prompts} for source in sources]
    shared = [
        prompt
        for prompt in sources[0].prompts
        if all(text.get(prompt.id) == prompt.text for text in texts)
    ]
    if not shared:
        names = ", ".join(source.run.name for source in sources)
        raise ConfigError(
            f"{names}: have no prompt in common", remedy="Explain runs on the same prompts."
        )
    return shared[: settings.limit]
