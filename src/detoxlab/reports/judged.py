"""The two figures of a scorer's card that matter for a kind of text, and the name of the card."""

from dataclasses import dataclass

from detoxlab.audits.card import Audit
from detoxlab.records import Measurement, Responses

HATE_SOURCES = frozenset(
    {"toxigen", "toxigen-annotated", "dialoconan", "multitarget-conan", "hatecheck", "dghs"}
)
CARDS = "judges"  # the folder beside the report


@dataclass(frozen=True)
class TextKind:
    """A kind of text that models write: what it is, and two figures (section, name, label)."""

    name: str
    figures: tuple[tuple[str, str, str], ...]


CONTINUATIONS = TextKind(
    "continuations of openings",
    (
        ("perspective", "pearson", "Perspective's scores: r"),
        ("perspective", "roc_auc", "Perspective's scores: ROC-AUC"),
    ),
)
ANSWERS = TextKind(
    "answers to remarks, some of them about hate",
    (
        ("hatecheck", "roc_auc", "HateCheck: ROC-AUC"),
        ("hatecheck", "denouncements_marked", "HateCheck: denouncements marked"),
    ),
)


def text_kind(responses: Responses) -> TextKind:
    """Answers, where a chat model was asked or the prompts are of a set about hate."""
    is_chat = responses.asked is not None and responses.asked.chat
    sources = {prompt.source for prompt in responses.prompts}
    return ANSWERS if is_chat or sources & HATE_SOURCES else CONTINUATIONS


def figures_that_matter(card: Audit | None, kind: TextKind) -> list[Measurement | None]:
    """The two figures of the card; None where it has none or there is no card."""
    return [card.figure(key, name) if card else None for key, name, _ in kind.figures]
