"""The client of servers that speak OpenAI's protocol: vLLM, SGLang, llama.cpp and others.

`detoxlab.generate` draws responses by it, `detoxlab.scorers.guards` asks for verdicts.
"""

from detoxlab.completions.client import Completions
from detoxlab.completions.replies import Answered, Withheld, finish_reason, text_of

__all__ = [
    "Answered",
    "Completions",
    "Withheld",
    "finish_reason",
    "text_of",
]
