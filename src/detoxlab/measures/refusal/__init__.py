"""Refusals: the rules that tell them (`rules`), and the measures of over-refusal (`entries`)."""

from detoxlab.measures.refusal.rules import (
    DETECTOR,
    Refusal,
    asks,
    is_refusal,
    refusal_class,
    seen,
)

__all__ = ["DETECTOR", "Refusal", "asks", "is_refusal", "refusal_class", "seen"]
