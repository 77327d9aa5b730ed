"""Draws the responses: the engine that settings name, and the same on workers elsewhere."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detoxlab.pipeline.subjects import load_subject
from detoxlab.protocols import Protocol
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.records import Generation, Prompt
from detoxlab.scorers import scorer_with
from detoxlab.subject import Subject

if TYPE_CHECKING:
    from detoxlab.generate import Engine


def engine_of(settings: MeasureSettings, protocol: Protocol) -> "tuple[Engine, Subject | None]":
    """The engine that settings name, and its model where that is in this process."""
    from detoxlab.generate import HttpEngine, LocalEngine

    if settings.endpoints:
        server = HttpEngine(
            settings.endpoints,
            settings.model,
            chat=protocol.chat,
            api_key_env=settings.api_key_env,
            concurrency=settings.concurrency,
            template_options=settings.template_options,
        )
        return server, None
    subject = load_subject(settings.subject())
    markers = subject.lm.next_turn_markers if protocol.chat else ()
    engine = LocalEngine(
        subject,
        chat=protocol.chat,
        batch_size=settings.batch_size,
        next_turn_markers=markers,
    )
    return engine, subject


def connected(engine: "Engine") -> AbstractContextManager[object]:
    """A block at whose end the engine's connections to servers, if it has any, are closed."""
    from detoxlab.generate import HttpEngine

    return closing(engine) if isinstance(engine, HttpEngine) else nullcontext()


def drawing_of(settings: MeasureSettings, engine: "Engine", protocol: Protocol) -> "Engine":
    """The engine, or the choice among its responses."""
    from detoxlab.generate import BestOf

    if settings.best_of is None or settings.by is None:
        return engine
    scorer = scorer_with(settings.by, protocol.attribute)
    return BestOf(engine, settings.best_of, scorer, protocol.attribute)


@dataclass(frozen=True)
class Drawing:
    """The work of drawing responses: k of each prompt."""

    settings: MeasureSettings
    asked: type[Prompt] = Prompt
    made: type[Generation] = Generation

    @property
    def on_gpu(self) -> bool:
        """Whether the settings leave the model a GPU."""
        return self.settings.device != "cpu"

    def begin(self) -> Callable[[Sequence[Prompt]], list[Generation]]:
        """Loads the model, and draws with it."""
        protocol = self.settings.resolved_protocol()
        engine = drawing_of(self.settings, engine_of(self.settings, protocol)[0], protocol)
        sampling = self.settings.resolved_sampling()
        return lambda batch: engine.generate(batch, sampling)

    def unknown(self, row: Prompt, reason: str) -> list[Generation]:
        """Responses that are not there, for that reason."""
        k = self.settings.resolved_sampling().k
        return [Generation(row.id, at, "", (), "unknown", error=reason) for at in range(k)]
