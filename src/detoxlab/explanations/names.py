"""The names of methods, targets and classes of tokens; nothing heavy is imported."""

from typing import Literal, get_args

MethodName = Literal[
    "alti-logit",
    "alti-logit-plain",
    "input-x-gradient",
    "input-x-gradient-dot",
    "saliency",
    "integrated-gradients",
    "deletion",
]
TargetName = Literal["logit", "log_prob", "contrast"]
METHOD_NAMES: tuple[str, ...] = get_args(MethodName)
TARGET_NAMES: tuple[str, ...] = get_args(TargetName)

CONTENT, SINK, TEMPLATE, GENERATED = "C", "S", "T", "G"
"""The classes of tokens: the prompt's own text, the first token, the template, the response."""
