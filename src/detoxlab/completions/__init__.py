"""The client of servers that speak OpenAI's protocol: vLLM, SGLang, llama.cpp and others.

`detoxlab.generate` draws responses by it, `detoxlab.scorers.guards` asks for verdicts.
"""

from detoxlab.completions.client import USUAL_RETRIES, Completions, Retries, check_address
from detoxlab.completions.replies import Answered, Failed, Withheld, finish_reason, text_of

__all__ = [
    "USUAL_RETRIES",
    "Answered",
    "Completions",
    "Failed",
    "Retries",
    "Withheld",
    "check_address",
    "finish_reason",
    "text_of",
]
