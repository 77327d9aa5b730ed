"""The order of rows in a table."""

from collections.abc import Iterable

from detoxlab.records import Difference


def ranks(keys: Iterable[str]) -> dict[str, int]:
    """The place of each key among the distinct ones, by first appearance.

    >>> ranks(["b", "a", "b"])
    {'b': 0, 'a': 1}
    """
    return {key: rank for rank, key in enumerate(dict.fromkeys(keys))}


def in_reading_order(rows: Iterable[Difference]) -> list[Difference]:
    """Rows sorted by group, attribute, measure and scorer; all responses before comparable ones."""
    given = list(rows)
    keys = [(r.group or "", r.attribute or "", r.name, r.scorer_id or "") for r in given]
    orders = [ranks(column) for column in zip(*keys, strict=True)]
    places = [[o[part] for o, part in zip(orders, key, strict=True)] for key in keys]
    return [row for _, _, row in sorted(zip(places, range(len(given)), given, strict=True))]
