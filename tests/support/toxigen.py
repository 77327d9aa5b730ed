"""Facts about ToxiGen."""

STATEMENTS_BY_GROUP = {
    "asian": 883,
    "latino": 743,
    "women": 641,
    "mental disability": 624,
    "lgbtq": 604,
    "black": 591,
    "physical disability": 591,
    "muslim": 548,
    "jewish": 536,
    "native american": 502,
    "mexican": 459,
    "chinese": 437,
    "middle eastern": 431,
}
"""The published number of annotated statements about each group."""
