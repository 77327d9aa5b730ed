"""Prompts in, generations out: coupled sampling in this process, or any OpenAI-compatible server.

Importing this package imports torch.
"""

from detoxlab.completions import Retries
from detoxlab.generate.engine import Engine, LocalEngine, PromptTruncatedWarning
from detoxlab.generate.http import HttpEngine
from detoxlab.generate.store import WithheldWarning, generate_into

__all__ = [
    "Engine",
    "HttpEngine",
    "LocalEngine",
    "PromptTruncatedWarning",
    "Retries",
    "WithheldWarning",
    "generate_into",
]
