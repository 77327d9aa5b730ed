"""The model to measure or evaluate, with its adapter or edit and its steerings.

Generation and evaluations take a `Subject`. Only this class gives the name in results, the
training scorers, and the untouched base model.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detoxlab.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detoxlab.models import ContinuationScore, LanguageModel, Session
    from detoxlab.steering import Steering


@dataclass(frozen=True)
class Subject:
    """A model, with its adapter or edit if it has one, and a stack of steerings, in order.

    The model's system prompt (`Rendering.system`), where it has one, is a part of the subject.

    Each steering is opened once alone: one that does not fit the model fails at once, and
    anything that a steering computes beforehand is from the model without the others.
    """

    lm: "LanguageModel"
    steerings: "tuple[Steering, ...]" = ()
    _open: "list[Session]" = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        for steering in self.steerings:
            with steering.on(self.lm):
                pass

    @property
    def id(self) -> str:
        """The name in results: BASE@HASH, +ADAPTER@HASH, +system@HASH, and +STEERING for each."""
        told = [f"system@{self._system_sha256[:8]}"] if self.lm.rendering.system else []
        return "+".join([self.lm.id, *told, *(steering.id for steering in self.steerings)])

    @property
    def steering_id(self) -> str | None:
        """The part of the name that stands for the steerings; None without any."""
        return "+".join(steering.id for steering in self.steerings) or None

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """Names of the scorers from whose judgement the adapter, edit or steerings were made."""
        own = self.lm.facts.get("train_scorers", ())
        steered = (name for steering in self.steerings for name in steering.training_scorers)
        return tuple(dict.fromkeys([*own, *steered]))

    @property
    def passes_per_token(self) -> int:
        """The number of forward passes per token: one, and those that the steerings add."""
        return 1 + sum(getattr(one, "passes_per_token", 1) - 1 for one in self.steerings)

    def fingerprint(self) -> dict[str, Any]:
        """The run's record of the model; its id names the steerings and the system prompt."""
        named = self.steering_id
        told = self._system_sha256 if self.lm.rendering.system else None
        record = self.lm.fingerprint() | {"id": self.id}
        return record | ({"steering": named} if named else {}) | ({"system": told} if told else {})

    @contextlib.contextmanager
    def session(self) -> "Iterator[Session]":
        """The session of one batch, with all steerings; their hooks stand while it lasts."""
        from detoxlab.steering.stack import stacked

        with stacked(self.steerings, self.lm) as session:
            self._open.append(session)
            try:
                yield session
            finally:
                self._open.remove(session)

    @contextlib.contextmanager
    def base(self) -> "Iterator[LanguageModel]":
        """The untouched base in the block: no adapter, no edit, no steering, no system prompt.

        Raises `ModelError` while a session is open: the base would be steered.
        """
        if self._open:
            raise ModelError(
                f"{self.id}: its base was asked while it is steered",
                remedy="End the session first.",
            )
        with self.lm.as_base():
            yield dataclasses.replace(self.lm.with_system(""), id=self.lm.base_id)

    def token_log_probs(
        self,
        prompts_ids: Sequence[Sequence[int]],
        responses_ids: Sequence[Sequence[int]],
        *,
        continued: Sequence[int] | None = None,
    ) -> "list[NDArray[np.float32]]":
        """As `detoxlab.models.token_log_probs`, under the steered distribution."""
        from detoxlab.models import token_log_probs

        return token_log_probs(
            self.lm, prompts_ids, responses_ids, session=self.session, continued=continued
        )

    def next_token_log_probs(
        self, prompts_ids: Sequence[Sequence[int]], tokens: Sequence[int]
    ) -> "NDArray[np.float32]":
        """As `detoxlab.models.next_token_log_probs`, under the steered distribution."""
        from detoxlab.models import next_token_log_probs

        return next_token_log_probs(self.lm, prompts_ids, tokens, session=self.session)

    def continuation_scores(
        self,
        contexts_ids: Sequence[Sequence[int]],
        continuations_ids: Sequence[Sequence[int]],
    ) -> "list[ContinuationScore]":
        """As `detoxlab.models.continuation_scores`, under the steered distribution."""
        from detoxlab.models import continuation_scores

        session = self.session if self.steerings else None
        return continuation_scores(self.lm, contexts_ids, continuations_ids, session=session)

    @property
    def _system_sha256(self) -> str:
        return hashlib.sha256(self.lm.rendering.system.encode()).hexdigest()
