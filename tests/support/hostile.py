"""Studies whose every text is hostile: markup, formulas, control characters."""

import dataclasses
from pathlib import Path

from detoxlab.explanations.measured.table import Table, differences, measurements
from detoxlab.reports.explained.study import ExplainedRun
from detoxlab.reports.study import Measured, Study, Trained
from tests.support.explained_runs import CONFIG, HOW, explained, made
from tests.support.report_study import comparison, study

PAYLOADS = (
    "</script><script>document.title='owned'</script>",
    "<img src=https://example.org/x.png onerror=alert(1)>",
    "\"><svg onload=alert(1)><a href='javascript:alert(1)'>x</a>",
    "<!--<script>",
    "{{ 7 * 7 }}{% for x in y %}",
    '=HYPERLINK("https://example.org","x")',
    "\u202eevil\u2066\u200b\ufeff\u2028\x00\x1b[31m\U000e0041",
    "lone \ud800 surrogate",
    "a | b \n\n# title [link](https://example.org) `code` ![i](https://example.org/i.png)",
    "</textarea></title></style><style>@import url(https://example.org/a.css)</style>",
    "var(--ink)",
)
HOSTILE = " ".join(PAYLOADS)


def hostile_study(folder: Path) -> Study:
    """A study with hostile text wherever a string can stand."""
    texts = {at: PAYLOADS[at % len(PAYLOADS)] for at in range(24)}
    asked = dict.fromkeys(range(12), HOSTILE)
    base = study(folder, prompts=12, k=2, texts=_writable(texts), prompt_texts=_writable(asked))
    runs = tuple(_poisoned(run, f"{HOSTILE} {at}") for at, run in enumerate(base.measured))
    names = [run.name for run in runs]
    sample = {"step": 1, "prompt_id": HOSTILE, "sample": 0, "reward": 0.5, "gates": [HOSTILE]}
    samples = tuple({**sample, "prompt": HOSTILE, "text": payload} for payload in PAYLOADS)
    iterations = [{"domain": name, "step": 1, "acceptance": 0.5} for name in (HOSTILE, "x")]
    training = Trained(
        HOSTILE, {HOSTILE: HOSTILE}, {"x": [HOSTILE]}, ({HOSTILE: 1},), samples, tuple(iterations)
    )
    return dataclasses.replace(
        base,
        title=HOSTILE,
        measured=runs,
        comparisons=(_poisoned_comparison(names),),
        trained=(training,),
        explained=_explained(folder / "explained", names),
    )


def _explained(folder: Path, names: list[str]) -> ExplainedRun:
    """An explained run with hostile names, words and settings."""
    tokens = ("<s>", *(f" {one}" for one in _writable(dict(enumerate(PAYLOADS))).values()))
    rows, asked, _ = made(names)
    one = explained(folder)
    poisoned = [
        dataclasses.replace(
            row, prompt_id=f"{HOSTILE} {row.prompt_id}", tokens=tokens[at % 5 : at % 5 + 7]
        )
        for at, row in enumerate(rows)
    ]
    prompts = [dataclasses.replace(prompt, id=f"{HOSTILE} {prompt.id}") for prompt in asked]
    table = Table(poisoned, prompts)
    pairs = [pair for name in names[1:] for pair in differences(table, names[0], name, HOW)]
    return dataclasses.replace(
        one,
        name=HOSTILE,
        runs=tuple(names),
        measurements=tuple(measurements(table, names, HOW)),
        pairs=tuple(pairs),
        table=table,
        info={HOSTILE: HOSTILE, "seed": 0},
        config=dict.fromkeys(CONFIG, HOSTILE),
    )


def _writable(texts: dict[int, str]) -> dict[int, str]:
    """Without lone surrogates, which cannot be written to a run's files."""
    return {at: text.replace("\ud800", "") for at, text in texts.items()}


def _poisoned(run: Measured, name: str) -> Measured:
    rows = tuple(
        dataclasses.replace(
            row,
            name=HOSTILE if at % 3 == 0 else row.name,
            scorer_id=row.scorer_id and HOSTILE,
            attribute=row.attribute and HOSTILE,
            group=row.group and HOSTILE,
            note=HOSTILE,
            protocol=HOSTILE,
        )
        for at, row in enumerate(run.measurements)
    )
    generations = tuple(
        dataclasses.replace(g, text=PAYLOADS[at % len(PAYLOADS)])
        for at, g in enumerate(run.responses.generations)
    )
    return dataclasses.replace(
        run,
        name=name,
        measurements=rows,
        responses=dataclasses.replace(run.responses, name=name, generations=generations),
        info={**run.info, "model": HOSTILE, "command": [HOSTILE], "status": HOSTILE},
        config={HOSTILE: HOSTILE},
    )


def _poisoned_comparison(names: list[str]) -> object:
    one = comparison()
    return dataclasses.replace(
        one,
        name=HOSTILE,
        baseline=names[0],
        treated=names[1],
        differences=tuple(dataclasses.replace(d, note=HOSTILE) for d in one.differences),
        guards=tuple(
            dataclasses.replace(g, name=HOSTILE, limit=HOSTILE, note=HOSTILE) for g in one.guards
        ),
        reasons=(HOSTILE,),
        limits={HOSTILE: HOSTILE},
    )
