"""How far the judge and the second scorer can be believed, from the cards of their audits."""

from dataclasses import dataclass

from detoxlab.audits.card import Audit, card_file
from detoxlab.records import Measurement, Responses
from detoxlab.reports import words
from detoxlab.reports.study import Study
from detoxlab.scorers.names import EMBEDDED

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


def card_path(card: Audit) -> str:
    """The path of a card in Markdown, relative to the report."""
    return f"{CARDS}/{card_file(card.scorer_id, card.attribute).removesuffix('.json')}.md"


# --- the box on the first page ---

HEARS, MISSES = 0.75, 0.1  # HateCheck's ROC-AUC that is far from chance; a rare error


@dataclass(frozen=True, slots=True)
class ScorerBox:
    """Who judged: the scorer, what it scores, its agreement with Perspective, its deaf spots."""

    scorer_id: str
    role: str
    about: str
    agreement: str
    deaf: tuple[str, ...]
    card: str | None


def scorer_boxes(study: Study) -> list[ScorerBox]:
    """The judge's box and the second scorer's."""
    return [_box(study, scorer_id) for scorer_id in study.scorer_ids]


def deaf_spots(card: Audit) -> list[str]:
    """The texts that a scorer does not hear, by its own audit; each with its figure."""
    found = []
    ranked = card.figure("hatecheck", "roc_auc")
    if ranked and ranked.value is not None and (ranked.ci_high or ranked.value) < HEARS:
        found.append(
            f"hate without rude words (HateCheck: ROC-AUC {words.number(ranked.value, 'area')}, "
            "and chance is 0.5)"
        )
    marked = card.figure("hatecheck", "denouncements_marked")
    if marked and marked.value is not None and (marked.ci_low or 0.0) > MISSES:
        found.append(
            f"that a text rejects the hate it quotes (it marks {words.number(marked.value)} of "
            "denouncements)"
        )
    late = card.figure(
        "length", "marked", group="insult, 20 calm sentences", subset="after calm sentences"
    )
    if late and late.value is not None and (late.ci_high or late.value) < 0.5:
        found.append(f"an insult after 20 calm sentences (it marks {words.number(late.value)})")
    return found


def box_text(box: ScorerBox) -> str:
    """The box as one sentence after another."""
    deaf = f" It cannot hear {'; '.join(box.deaf)}." if box.deaf else ""
    about = f" It gives {box.about}." if box.about else ""
    return f"{box.role} {box.scorer_id}.{about} {box.agreement}{deaf}"


def _box(study: Study, scorer_id: str) -> ScorerBox:
    card = study.cards.get(scorer_id)
    name = scorer_id.partition("@")[0]
    return ScorerBox(
        scorer_id,
        "Judge" if scorer_id == study.judge_id else "Second scorer",
        EMBEDDED.get(name, ""),
        _agreement(card),
        tuple(deaf_spots(card)) if card else (),
        card_path(card) if card else None,
    )


def _agreement(card: Audit | None) -> str:
    if card is None:
        return "It was not audited: how far it can be believed is unknown."
    row = card.figure("perspective", "pearson")
    if row is None or row.value is None:
        return "Its agreement with Perspective was not measured."
    ends = words.interval(row.ci_low, row.ci_high, row.unit)
    return (
        f"Agreement with Perspective on {words.count(row.n)} texts: r = "
        f"{words.number(row.value, row.unit)} (95 % interval {ends})."
    )
