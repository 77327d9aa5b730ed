"""Prompts in, generations out: coupled sampling in this process, or any OpenAI-compatible server.

Importing this package imports torch.
"""

from detoxlab.generate.best import BestOf
from detoxlab.generate.engine import Engine, LocalEngine, PromptTruncatedWarning
from detoxlab.generate.http import HttpEngine
from detoxlab.generate.store import SameSamplesWarning, WithheldWarning, generate_into
from detoxlab.servers import Retries

__all__ = [
    "BestOf",
    "Engine",
    "HttpEngine",
    "LocalEngine",
    "PromptTruncatedWarning",
    "Retries",
    "SameSamplesWarning",
    "WithheldWarning",
    "generate_into",
]
