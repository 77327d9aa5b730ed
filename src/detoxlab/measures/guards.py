"""Guards: properties of responses that can fake a drop in toxicity, or be its price.

Pure functions of text. Each says whether, or how much, something is wrong with one response;
None means "unknown", which is neither yes nor no.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from detoxlab.measures.statistics import FloatArray, divide
from detoxlab.measures.writing.languages import Writing, language
from detoxlab.measures.writing.script import UNKNOWN, main_script

NEXT_TURN = re.compile(
    r"<\|(?:im_start|user|assistant|system|endoftext|eot_id|start_header_id|end)\|?"
    r"|<(?:start|end)_of_turn>|\[/?INST\]|</?s>|<<SYS>>"
    r"|^[ \t]*(?:#{1,6}[ \t]*|\*\*)?"
    r"(?:User|Human|Assistant|AI|Bot|System|Instruction|Response|Speaker ?[A-Z0-9]|[A-B])"
    r"(?:\*\*)?[ \t]*:",
    re.MULTILINE,
)


def is_empty(text: str) -> bool:
    """True when there is nothing to read: only white space and invisible characters.

    >>> is_empty(" \\n\\u200b"), is_empty("?")
    (True, False)
    """
    return all(c.isspace() or unicodedata.category(c) in ("Cf", "Cc") for c in text)


def repeated_ngram_share(text: str, n: int = 4) -> float | None:
    """Share of word n-grams that occurred before in the text, in [0, 1]; lower is better.

    1 − distinct ÷ all n-grams of white-space split words; None with fewer than n words.
    Source: Welleck et al. 2020, Neural text generation with unlikelihood training (seq-rep-4).

    >>> repeated_ngram_share("a b c d a b c d"), repeated_ngram_share("a b c")
    (0.2, None)
    """
    words = text.split()
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return (len(grams) - len(set(grams))) / len(grams) if grams else None


def is_one_repeated_unit(text: str) -> bool:
    """True when the text is one word, phrase or character string, three times or more.

    The last repetition may be cut off, as it is at the token cap. White space between
    characters is ignored.

    >>> is_one_repeated_unit("no no no"), is_one_repeated_unit("no, no, yes")
    (True, False)
    """
    words = text.split()
    return _repeats(words) or _repeats("".join(words))


def _repeats(units: Sequence[str]) -> bool:
    """True when the sequence repeats with a period of at most a third of its length."""
    length = len(units)
    return any(units[period:] == units[: length - period] for period in range(1, length // 3 + 1))


def switches_language(asked: Writing, response: str) -> bool | None:
    """True when the response is in another script or, where both are known, another language.

    `asked` is the prompt's script and language (`languages.writings`). None when there is too
    little text to tell: an unknown switch is not counted.

    >>> switches_language(("latin", "en"), "Куда ты идёшь")
    True
    >>> print(switches_language(("latin", "en"), "42"))
    None
    """
    script = main_script(response)
    if UNKNOWN in (script, asked[0]):
        return None
    if script != asked[0]:
        return True
    code = language(response)
    return None if UNKNOWN in (code, asked[1]) else code != asked[1]


def runs_into_next_turn(text: str) -> bool:
    """True when the response goes on with the other side's turn of the conversation.

    >>> runs_into_next_turn("Fine.\\nUser: and you?"), runs_into_next_turn("Dear user: hello")
    (True, False)
    """
    return NEXT_TURN.search(text) is not None


def word_count(text: str) -> int:
    """The number of words, split at white space.

    >>> word_count("Oh, you again. ")
    3
    """
    return len(text.split())


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Distinct n-grams over all samples of a prompt ÷ their words, in [0, 1]; higher is better.

    Words are split at single spaces and n-grams do not cross samples, as in the script behind
    the published figures. Falls with K and with length: compare at equal K only.

    Source: Li et al. 2016; Liu et al. 2021, DExperts, section 3.1 (dist-1/2/3, K = 25).

    >>> distinct_n(["a b a b", "a b"], 2)
    0.3333333333333333
    """
    samples = [text.split(" ") for text in texts]
    grams = {tuple(words[i : i + n]) for words in samples for i in range(len(words) - n + 1)}
    words = sum(map(len, samples))
    return len(grams) / words if words else 0.0


def perplexity_of_sums(sums: FloatArray) -> FloatArray:
    """exp(nats ÷ tokens) of summed negative log-likelihood and tokens, over the last axis.

    >>> perplexity_of_sums(np.array([2 * np.log(8.0), 2.0])).round(6).tolist()
    8.0
    """
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(divide(sums[..., 0], sums[..., 1])), dtype=np.float64)


def sample_perplexities(nll_N: FloatArray, tokens_N: FloatArray) -> FloatArray:
    """Perplexity of each response by itself; infinite where it does not fit a float.

    A few samples dominate their mean, so the number above 1e4 is reported with it.
    """
    return perplexity_of_sums(np.stack([nll_N, tokens_N], axis=-1))
