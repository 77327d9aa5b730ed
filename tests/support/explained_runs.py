"""ExplainedRun runs made by hand: a few prompts of three words, three steps, mild words."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.table import (
    How,
    Table,
    differences,
    faithfulness_measurements,
    measurements,
    sides,
)
from detoxlab.records import ItemResult, Prompt, to_json
from detoxlab.reports.explained.study import ExplainedRun, read_explained
from detoxlab.runs import Run

WORDS = ("<s>", "zebra", " yak", " gnu", " okapi", " quagga", ".")
HOW = How("explain@1", seed=0, resamples=100)
CONFIG = {"method": "alti-logit", "target": "logit", "steps": 3}


def attribution(
    model: str, text: str, prompt: str, weight: float, tokens: Sequence[str] = WORDS
) -> Attribution:
    """The first word of the prompt gets `weight`, every other token 1; two words of response."""
    before = (5.0, weight, 1.0, 1.0)
    return Attribution(
        model,
        text,
        prompt,
        0,
        classes="SCCCGGG",
        ids=(1, 5, 6, 7, 8, 9, 10),
        tokens=tuple(tokens),
        words=(0, 1, 2, 3, 4, 5, 5),
        values=(before, (*before, 1.0), (*before, 1.0, 1.0)),
        targets=(2.0, 1.0, 0.5),
        gaps=(0.0, None, 0.0),
        log_probs=(-1.0, -2.0, -3.0),
        entropies=(1.0, 2.0, 3.0),
        reliances=(weight, weight / 2, 0.25),
        informations=(0.5, -0.5, 0.25),
    )


def made(
    runs: Sequence[str] = ("base", "ft"),
    prompts: int = 6,
    tokens: Sequence[str] = WORDS,
    gain: float = 2.0,
) -> tuple[list[Attribution], list[Prompt], list[ItemResult]]:
    """Rows, prompts and checks of runs, each of which listens a bit less than the one before.

    In the check deletion falls by `gain` more than random choices do.
    """
    asked = [Prompt(f"p{at}", "x", "t", {"toxicity": (at % 3) / 2}) for at in range(prompts)]
    rows = [
        attribution(model, text, one.id, 4.0 - runs.index(model) + at / 4, tokens)
        for model, text in sides(runs)
        for at, one in enumerate(asked)
    ]
    rng = np.random.default_rng(0)
    checked = [
        ItemResult(
            f"{run}/{one.id}/0",
            {
                f"{kind}_{share}{drawn}": by * fall + float(rng.normal(0, 0.1))
                for kind, fall in (("deletion", gain), ("sufficiency", -gain))
                for share in (20, 50)
                for drawn, by in (("", 1.0), ("_random", 0.0))
            },
        )
        for run in runs
        for one in asked
    ]
    return rows, asked, checked


def explained_run(path: Path, runs: Sequence[str] = ("base", "ft"), **options: object) -> Run:
    """The folder of a finished run of explain."""
    rows, asked, checked = made(runs, **options)  # type: ignore[arg-type]
    run = Run.start(path, kind="explain", config=CONFIG, seed=0)
    run.write_once("prompts.jsonl", asked)
    run.update(explained=list(runs))
    run.append("attributions.jsonl", rows)
    run.append("faithfulness.jsonl", checked)
    table = Table(rows, asked)
    found = measurements(table, runs, HOW)
    run.write_measurements(
        [*found, *(row for one in runs for row in faithfulness_measurements(checked, one, HOW))]
    )
    pairs = [pair for one in runs[1:] for pair in differences(table, runs[0], one, HOW)]
    run.write_json("differences.json", [to_json(pair) for pair in pairs])
    run.finish()
    return run


def explained(path: Path, runs: Sequence[str] = ("base", "ft"), **options: object) -> ExplainedRun:
    """The same, as the report reads it."""
    return read_explained(explained_run(path, runs, **options))
