"""The facts of each scorer for the page: its attributes, languages, scale, and its card."""

from typing import Any

from detoxlab.serve.answers.service import Service


def told(service: Service, *, with_keys: bool) -> dict[str, Any]:
    """The scorers that are served, and which attribute each answers for."""
    return {
        "keys": with_keys,
        "scorers": [
            {
                "id": offer.id,
                "attributes": [
                    {"name": name, "threshold": source.threshold}
                    for name, source in service.attributes.items()
                    if source.scorer == at
                ],
                "languages": list(offer.languages),
                **_card(offer.id, offer.attributes),
            }
            for at, offer in enumerate(service.offers)
        ],
    }


def _card(scorer_id: str, attributes: tuple[str, ...]) -> dict[str, Any]:
    """The main figures of a scorer's card as lines of text, and its scale; empty without one."""
    from detoxlab.audits.card import load_card
    from detoxlab.errors import DataError
    from detoxlab.reports.audited.sections import main_figures
    from detoxlab.scorers.scales import scale_of

    found: dict[str, Any] = {"scale": scale_of(scorer_id), "card": [], "about": ""}
    for attribute in ("toxicity", "hate", *attributes):
        try:
            card = load_card(scorer_id, attribute)
        except DataError:
            continue
        if card:
            (table,) = main_figures([card]).tables
            rows = [[cell.text for cell in row] for row in table.rows]
            return found | {"card": rows, "about": card.name}
    return found
