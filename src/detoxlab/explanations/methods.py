"""The attribution methods, by name, and `attribute`, which runs one over many exchanges."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from detoxlab.explanations import gradients
from detoxlab.explanations.alti import AltiLogit
from detoxlab.explanations.deletion import Deletion
from detoxlab.explanations.gradients import Gradients, IntegratedGradients
from detoxlab.explanations.reading import check_precise
from detoxlab.explanations.results import Attributed
from detoxlab.explanations.targets import TARGETS, Target
from detoxlab.explanations.texts import Batch, Exchange, batches, check_exchanges
from detoxlab.registry import look_up
from detoxlab.subject import Subject

ROWS = 16


class Attribution(Protocol):
    """A method that was made for one subject."""

    def attribute(self, batch: Batch, target: Target) -> list[Attributed]:
        """One result per row of the batch; it must not depend on the other rows."""


METHODS: Mapping[str, Callable[[Subject], Attribution]] = MappingProxyType(
    {
        "alti-logit": AltiLogit,
        "alti-logit-plain": lambda subject: AltiLogit(subject, "plain"),
        "input-x-gradient": lambda subject: Gradients(subject, gradients.input_x_gradient),
        "input-x-gradient-dot": lambda subject: Gradients(subject, gradients.input_x_gradient_dot),
        "saliency": lambda subject: Gradients(subject, gradients.saliency),
        "integrated-gradients": IntegratedGradients,
        "deletion": Deletion,
    }
)
"""Each makes the method for one subject, and raises `ModelError` where it does not fit."""


def load_attribution(name: str, subject: Subject) -> Attribution:
    """The method of that name for a subject.

    Raises `UnknownNameError`, and `ModelError` for a model that the method cannot explain.
    """
    make = look_up("attribution method", name, METHODS)
    check_precise(subject.lm)
    return make(subject)


def attribute(
    subject: Subject,
    exchanges: Sequence[Exchange],
    *,
    method: str = "alti-logit",
    target: Target = TARGETS["logit"],
    rows: int = ROWS,
) -> list[Attributed]:
    """The attributions of each exchange, in the given order: scores (steps, tokens).

    Batches of `rows` exchanges change nothing but the time.

    Raises `DataError` for an exchange that is empty or too long.
    """
    check_exchanges(subject.lm, exchanges)
    found = dict(_attributed(load_attribution(method, subject), subject, exchanges, target, rows))
    return [found[at] for at in range(len(exchanges))]


def _attributed(
    attribution: Attribution,
    subject: Subject,
    exchanges: Sequence[Exchange],
    target: Target,
    rows: int,
) -> Iterator[tuple[int, Attributed]]:
    for chosen, batch in batches(subject.lm, exchanges, rows):
        yield from zip(chosen, attribution.attribute(batch, target), strict=True)
