"""The keys of the sections of an audit, in the order of its page; nothing heavy is imported."""

SET_KEYS = (
    "hatecheck",
    "perspective",
    "toxigen",
    "dghs",
    "multitarget-conan",
    "dialoconan",
    "hickey",
    "yu2022",
    "multilingual-hatecheck",
    "languages",
    "identity_bias",
    "length",
    "perturbations",
)
"""Sections that score the texts of a set."""

PROBE_KEYS = ("batch", "throughput")
"""Sections that need no data."""
