"""Heat maps of a response's words over the prompt's words, of several models side by side."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.table import Key, Side
from detoxlab.explanations.names import CONTENT, GENERATED
from detoxlab.measures.statistics import FloatArray, divide
from detoxlab.reports import words
from detoxlab.reports.explained.study import ExplainedRun
from detoxlab.reports.parts import HeatMap, HeatRow, HeatSide
from detoxlab.reports.safety import label

PER_RULE = 2
PROMPT_WORDS = 16  # more do not fit side by side
RESPONSE_WORDS = 24
LETTERS = 18  # of a word
RULES = {
    "differ": "Models differ most",
    "most": "Most reliance on the prompt",
    "least": "Least reliance on the prompt",
    "random": "Drawn at random",
}
NOTE = (
    "Each row is a word of the response, each column a word of the prompt. A number is the word's "
    "share of the scores, as absolute values, in per cent of those of prompt and response so far: "
    "a row sums to 100 but for rounding. The first token is left out, because attention rests on "
    "it whatever it is. The darker a cell, the larger its number; one scale holds for all models. "
    f"At most {RESPONSE_WORDS} words of the response are shown, and the {PROMPT_WORDS} words of "
    f"the prompt with the largest scores. Responses are chosen by rule, at most {PER_RULE} each: "
    "{rule}, and a seeded random draw."
)
PULL_NOTE = (
    "Each row is a word that stands in several prompts, with its mean share of the prompt's scores "
    "where a toxic word was written, by model and in per cent, beside the share that it would have "
    "if all words of the prompt had the same. The words with the largest pull come first."
)
PULLING_WORDS = 12
SEVERAL = "those on which the models' attributions differ most"
ONE = "those with the most and the least context reliance"


Headed = tuple[str, str, list[HeatMap]]
"""Maps with their title and a note on how to read them."""


def heat_maps(explained: ExplainedRun) -> list[Headed]:
    """The maps of chosen responses, by the run whose text they explain."""
    note = NOTE.format(rule=SEVERAL if len(explained.runs) > 1 else ONE)
    return [
        (f"Word by word, on the text of {text}", "" if number > 1 else note, maps)
        for number, text in enumerate(explained.runs, start=1)
        if (maps := _of_text(explained, text, number))
    ]


def word_tables(explained: ExplainedRun) -> list[Headed]:
    """The words of prompts that pull most on toxic words, by the run that wrote those."""
    found = [
        _pulling(explained, text, f"pulls-{number}")
        for number, text in enumerate(explained.runs, start=1)
        if any(one.text == text for one in explained.prompt_words)
    ]
    return [("Words of prompts behind toxic words", PULL_NOTE, found)] if found else []


def choose(explained: ExplainedRun, sides: Sequence[Side]) -> dict[str, list[Key]]:
    """Responses by rule, at most `PER_RULE` each; none occurs twice."""
    known = [
        {key for key, row in explained.table.rows[side].items() if _is_shown(row)} for side in sides
    ]
    keys = sorted(set.intersection(*known))
    rng = np.random.default_rng(int(explained.info.get("seed") or 0))
    shuffled = [keys[at] for at in rng.permutation(len(keys))]
    if len(sides) > 1:
        apart = _divergence(explained, sides, keys)
        orders = {"differ": sorted(keys, key=lambda key: (-apart[key], key))}
    else:
        reliance = explained.table.values(sides[0], "context_reliance")
        means = {key: _known_mean(reliance[key]) for key in keys}
        orders = {
            "most": sorted(keys, key=lambda key: (-means[key], key)),
            "least": sorted(keys, key=lambda key: (means[key], key)),
        }
    chosen: dict[str, list[Key]] = {}
    for rule, order in {**orders, "random": shuffled}.items():
        used = {key for found in chosen.values() for key in found}
        chosen[rule] = [key for key in order if key not in used][:PER_RULE]
    return chosen


def shares(row: Attribution) -> tuple[FloatArray, FloatArray]:
    """By word of the response (R), the shares of the prompt's words (R, P), of the response (R,).

    Shares are of the absolute scores of prompt and response so far, over the word's steps; a row
    sums to 1.
    """
    word_T = np.array(row.words)
    steps = len(row.values)
    prompt, response = _words_of(row, CONTENT), _words_of(row, GENERATED)
    of_step_S = word_T[len(word_T) - steps :]
    mass_RT = np.stack([row.mass[of_step_S == word].sum(axis=0) for word in response])
    prompt_RP = np.stack([mass_RT[:, word_T == word].sum(axis=1) for word in prompt], axis=1)
    rest_R = mass_RT[:, _is(row, GENERATED)].sum(axis=1)
    total_R = prompt_RP.sum(axis=1) + rest_R
    return divide(prompt_RP, total_R[:, None]), divide(rest_R, total_R)


# --- inside ---


def _is(row: Attribution, kind: str) -> NDArray[np.bool_]:
    return np.array([one == kind for one in row.classes], dtype=np.bool_)


def _is_shown(row: Attribution) -> bool:
    return row.error is None and CONTENT in row.classes and bool(row.values)


def _words_of(row: Attribution, kind: str) -> list[int]:
    """The numbers of the words of one class."""
    return list(
        dict.fromkeys(w for w, one in zip(row.words, row.classes, strict=True) if one == kind)
    )


def _texts(row: Attribution, kind: str) -> list[str]:
    """The texts of the words of one class; a word of white space alone is shown as such."""
    pieces: dict[int, str] = {}
    for token, word, one in zip(row.tokens, row.words, row.classes, strict=True):
        if one == kind:
            pieces[word] = pieces.get(word, "") + token
    return [label(text, LETTERS) or "␣" for text in pieces.values()]


def _divergence(
    explained: ExplainedRun, sides: Sequence[Side], keys: Sequence[Key]
) -> Mapping[Key, float]:
    """The largest mean divergence of a model's attributions from the baseline's, by response."""
    first, *others = sides
    found = [explained.table.divergences(first, other) for other in others]
    return {key: max(_known_mean(one[key]) for one in found) for key in keys}


def _of_text(explained: ExplainedRun, text: str, number: int) -> list[HeatMap]:
    sides = explained.on_text(text)
    if not sides:
        return []
    chosen = [(rule, key) for rule, keys in choose(explained, sides).items() for key in keys]
    return [
        _map(explained, sides, f"heat-{number}-{at}", rule, key)
        for at, (rule, key) in enumerate(chosen, start=1)
    ]


def _pulling(explained: ExplainedRun, text: str, key: str) -> HeatMap:
    found = [one for one in explained.prompt_words if one.text == text][:PULLING_WORDS]
    models = [model for model, _ in explained.on_text(text)]
    rows = tuple(
        HeatRow(
            label(one.word, LETTERS),
            (*(one.shares.get(model) for model in models), one.even),
        )
        for one in found
    )
    return HeatMap(
        key=key,
        rule=f"Responses of {text}",
        prompt_id="",
        sample=0,
        words=(),
        others=(*models, "even share"),
        most=1.0,
        sides=(HeatSide("", "", rows),),
    )


def _map(explained: ExplainedRun, sides: Sequence[Side], key: str, rule: str, at: Key) -> HeatMap:
    rows = [explained.table.rows[side][at] for side in sides]
    found = [shares(row) for row in rows]
    kept = _kept([prompt_RP for prompt_RP, _ in found])
    labels = _texts(rows[0], CONTENT)
    left_out = len(labels) - len(kept)
    return HeatMap(
        key=key,
        rule=RULES[rule],
        prompt_id=at[0],
        sample=at[1],
        words=tuple(labels[place] for place in kept),
        others=(*([f"{left_out} other words"] if left_out else []), "response so far"),
        most=max(float(np.nanmax(prompt_RP[:, kept], initial=0)) for prompt_RP, _ in found) or 1.0,
        sides=tuple(
            HeatSide(
                side[0],
                f": context reliance {words.number(_mean(explained, side, at), 'bits')} bits",
                tuple(_rows(_texts(row, GENERATED), prompt_RP, rest_R, kept)),
            )
            for side, row, (prompt_RP, rest_R) in zip(sides, rows, found, strict=True)
        ),
    )


def _mean(explained: ExplainedRun, side: Side, key: Key) -> float:
    """The mean context reliance over the steps of a response."""
    return _known_mean(explained.table.values(side, "context_reliance")[key])


def _known_mean(values_S: FloatArray) -> float:
    known_S = values_S[np.isfinite(values_S)]
    return float(known_S.mean()) if known_S.size else 0.0


def _kept(found: Sequence[FloatArray]) -> list[int]:
    """The words of the prompt with the largest shares over all models, in their order."""
    total_P = np.sum([np.nansum(prompt_RP, axis=0) for prompt_RP in found], axis=0)
    best = np.argsort(-total_P, kind="stable")[:PROMPT_WORDS]
    return sorted(best.tolist())


def _rows(
    labels: Sequence[str], prompt_RP: FloatArray, rest_R: FloatArray, kept: Sequence[int]
) -> Iterator[HeatRow]:
    """The rows; the words of the prompt without a column of their own share one."""
    own_RP = prompt_RP[:, kept]
    columns = [own_RP, rest_R[:, None]]
    if own_RP.shape != prompt_RP.shape:
        columns.insert(1, (prompt_RP.sum(axis=1) - own_RP.sum(axis=1))[:, None])
    cells_RC = np.concatenate(columns, axis=1)
    for word, cells in zip(labels[:RESPONSE_WORDS], cells_RC.tolist(), strict=False):
        yield HeatRow(word, tuple(None if np.isnan(cell) else cell for cell in cells))
