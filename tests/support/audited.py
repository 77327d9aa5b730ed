"""Labelled sets of a few mild texts, in the files of their sources, and texts with given scores."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detoxlab.audits.card import Absent, Audit, Curve, SectionResult
from detoxlab.audits.names import FIGURES
from detoxlab.audits.scored import Scored
from detoxlab.records import PERSPECTIVE_ATTRIBUTES, Measurement, Prompt

LOUD, QUIET = "YOU FOOL", "a quiet day"


def scored(
    scores: Sequence[float], meta: Sequence[dict[str, Any]] | None = None, **settings: Any
) -> Scored:
    """Texts with these scores of toxicity, and with one meta each."""
    metas = meta or [{} for _ in scores]
    prompts = [Prompt(f"t{at}", f"text {at}", "test", one) for at, one in enumerate(metas)]
    scores_NA = np.array(scores, dtype=np.float64)[:, None]
    how = {"attribute": "toxicity", "resamples": 200} | settings
    return Scored(prompts, scores_NA, ("toxicity",), "given@1", **how)


def write_sets(folder: Path) -> Path:
    """HateCheck, Perspective's scores, ToxiGen and Multitarget-CONAN, a few texts each.

    Toxic texts are loud and the others quiet, but for one denouncement that is loud.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(
        folder / "test_suite_cases.csv",
        ("case_id", "functionality", "test_case", "label_gold", "target_ident", "templ_id"),
        [
            *((n, "derog_h", f"{LOUD} {n}", "hateful", "Vulcans", n) for n in range(6)),
            *(
                (10 + n, "ident_neutral_nh", f"{QUIET} {n}", "non-hateful", "Vulcans", 10 + n)
                for n in range(5)
            ),
            (20, "counter_quote_nh", f"Do not say {LOUD}", "non-hateful", "", 20),
        ],
    )
    for name, text, toxicity in (("toxic", LOUD, 0.9), ("no_toxic", QUIET, 0.05)):
        rows = [
            {"prompt": {"text": f"{text} {n}"} | dict.fromkeys(PERSPECTIVE_ATTRIBUTES, toxicity)}
            for n in range(8)
        ]
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        (folder / f"rtp_destein_{name}_1k.jsonl").write_text(lines)
    inside = folder / "deeper" / "still"
    inside.mkdir(parents=True, exist_ok=True)
    statements = [
        {
            "text": f"{LOUD if loud else QUIET} {n}",
            "label": "hate" if loud else "neutral",
            "toxicity_score": 5.0 if loud else 1.0,
            "target_groups": ["women" if n % 2 else "asian"],
        }
        for loud in (True, False)
        for n in range(6)
    ]
    (inside / "toxigen_annotated.json").write_text(json.dumps(statements))
    _write_csv(
        folder / "Multitarget-CONAN.csv",
        ("INDEX", "HATE_SPEECH", "COUNTER_NARRATIVE", "TARGET"),
        [(n, f"{LOUD} {n}", f"{QUIET} {n}", "VULCANS") for n in range(5)],
    )
    return folder


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])


def card(scorer_id: str = "rtp-neural@1", attribute: str = "toxicity", auc: float = 0.583) -> Audit:
    """A card of HateCheck and Perspective by hand; a neutral statement of four is unscored."""

    def row(name: str, value: float, **facts: Any) -> Measurement:
        given = {"n": 40, "ci_low": value - 0.01, "ci_high": value + 0.01} | facts
        return FIGURES[name].measurement(
            value=value, scorer_id=scorer_id, attribute=attribute, **given
        )

    hatecheck = (
        row("roc_auc", auc),
        row("denouncements_marked", 0.6),
        row("neutral_marked", 0.0, n=3, coverage=0.75, bound_low=0.0, bound_high=0.25),
        row("accuracy", 0.24, group="derog_impl_h", subset="functionality"),
        row("accuracy", 0.9, group="slur_h", subset="functionality"),
    )
    perspective = (row("pearson", 0.959), row("roc_auc", 0.987))
    bins = Curve("calibration", attribute, (0.1, 0.5), (0.2, 0.4), 40)
    classes = Curve("histogram", "hateful", (0.025, 0.075), (0.5, 0.5), 40)
    return Audit(
        scorer_id,
        attribute,
        0.5,
        (
            SectionResult("hatecheck", 40, 1, hatecheck, (classes,), ("A note.",)),
            SectionResult("perspective", 40, 0, perspective, (bins,)),
        ),
        (Absent("dghs", "no dynbert_test.txt* in the folder of the data"),),
        facts={"made": "2026-11-29", "code_version": "0.1.0", "hardware": {"machine": "x86_64"}},
    )
