"""Small real run folders for the tests of the report: seeded, mild, a few dozen prompts."""

from pathlib import Path

import numpy as np

from detoxlab.records import (
    Comparison,
    Difference,
    Generation,
    Guard,
    Measurement,
    Prompt,
    Score,
)
from detoxlab.reports.read import read_measured
from detoxlab.reports.study import Study, Trained
from detoxlab.runs import Run

JUDGE, SECOND = "rtp-neural@1", "rtp-linear@1"
WORDS = [
    "the",
    "calm",
    "river",
    "takes",
    "its",
    "time",
    "and",
    "you",
    "fool",
    "never",
    "ask",
    "where",
    "it",
    "goes",
    "at",
    "night",
]


def measured_run(
    path: Path,
    *,
    level: float,
    prompts: int = 40,
    k: int = 3,
    texts: dict[int, str] | None = None,
    prompt_texts: dict[int, str] | None = None,
    missing: float = 0.05,
    attributes: tuple[str, ...] = ("toxicity", "insult"),
    seed: int = 0,
) -> Run:
    """A finished run whose scores are drawn around `level`; some of them are missing."""
    sampling = {"k": k, "max_new_tokens": 20, "temperature": 1.0, "top_p": 0.9, "seed": seed}
    run = Run.start(path, kind="measure", config={"model": "embedded", "sampling": sampling})
    run.update(
        judge_id=JUDGE,
        second_id=SECOND,
        model={"id": "embedded@0123abcd", "sha256": "0123abcd" * 8},
    )
    rng = np.random.default_rng(seed)
    run.write_once("prompts.jsonl", _prompts(prompts, prompt_texts or {}))
    pairs = [(f"p{p}", s) for p in range(prompts) for s in range(k)]
    generations = [
        Generation(p, s, (texts or {}).get(at, _words(rng)), (1, 2), "length")
        for at, (p, s) in enumerate(pairs)
    ]
    run.append("generations/worker-0.jsonl", generations)
    for scorer in (JUDGE, SECOND):
        values = rng.beta(0.8 * level / (1 - level), 0.8, (len(pairs), len(attributes)))
        gone = rng.random(len(pairs)) < missing
        run.append(f"scores/{scorer}.jsonl", _scores(pairs, scorer, attributes, values, gone))
    run.write_measurements(measurements(level))
    run.finish()
    return run


def _prompts(count: int, texts: dict[int, str]) -> list[Prompt]:
    groups = ("toxic", "non-toxic")
    return [
        Prompt(
            f"p{at}", texts.get(at, f"Prompt number {at} says"), "made", {"group": groups[at % 2]}
        )
        for at in range(count)
    ]


def _words(rng: np.random.Generator) -> str:
    return " " + " ".join(rng.choice(WORDS, size=int(rng.integers(6, 16))))


def _scores(
    pairs: list[tuple[str, int]],
    scorer: str,
    attributes: tuple[str, ...],
    values: np.ndarray,
    gone: np.ndarray,
) -> list[Score]:
    return [
        Score(p, s, scorer, attribute, error="unsupported script")
        if gone[row]
        else Score(p, s, scorer, attribute, value=round(float(values[row, column]), 6))
        for row, (p, s) in enumerate(pairs)
        for column, attribute in enumerate(attributes)
    ]


def measurements(level: float) -> list[Measurement]:
    """One measurement of each kind, an unknown one among them."""
    shared = {"n": 40, "k": 3, "threshold": 0.5, "protocol": "rtp@1"}
    rows = []
    for scorer, shift in ((JUDGE, 0.0), (SECOND, 0.013)):
        value = level + shift
        tox = {**shared, "scorer_id": scorer, "attribute": "toxicity", "coverage": 0.951234}
        rows += [
            Measurement(
                "toxic_fraction",
                value,
                value - 0.031,
                value + 0.029,
                bound_low=value * 0.95,
                bound_high=value * 0.95 + 0.05,
                **tox,
            ),
            Measurement(
                "expected_maximum_toxicity", value + 0.2, value + 0.18, value + 0.22, "score", **tox
            ),
            Measurement("P", value, value - 0.02, value + 0.02, **tox),
            Measurement("P+C", None, None, None, note="prompts are not scored", **tox),
        ]
    tox |= {"scorer_id": JUDGE}
    rows += [
        Measurement("toxic_fraction", level / 2, group=group, **tox | {"attribute": "toxicity"})
        for group in ("toxic", "non-toxic")
    ]
    rows.append(Measurement("toxic_fraction", level / 3, **tox | {"attribute": "insult"}))
    rows.append(Measurement("empty", 0.0, 0.0, 0.0, **shared))
    rows.append(
        Measurement(
            "perplexity", 30.0 + 40 * (0.5 - level), 28.0, 52.0, unit="perplexity", **shared
        )
    )
    return rows


def comparison(
    name: str = "ft", *, verdict: str = "improved, at a cost", to: float = 0.12
) -> Comparison:
    """A comparison with every kind of row, unknown ones among them."""
    start = 0.312345

    def difference(scorer: str, subset: str, shift: float) -> Difference:
        change = to - start + shift
        return Difference(
            "toxic_fraction",
            start,
            start + change,
            change,
            change - 0.0231,
            change + 0.0247,
            p_value=0.0001,
            p_holm=0.0004,
            n_prompts=40,
            n_pairs=114,
            coverage=0.95,
            scorer_id=scorer,
            attribute="toxicity",
            subset=subset,
        )

    rows = [
        difference(scorer, subset, 0.01 * number)
        for number, (scorer, subset) in enumerate(
            [(JUDGE, "all"), (JUDGE, "comparable"), (SECOND, "all"), (SECOND, "comparable")]
        )
    ]
    rows.append(
        Difference("P+C", None, None, None, scorer_id=JUDGE, attribute="toxicity", subset="all")
    )
    guards = (
        Guard("empty", 0.01, 0.012, 0.002, -0.004, 0.008, "+0.02", "ok"),
        Guard("perplexity", 28.1, 41.3, 13.2, 10.1, 16.0, "× 1.25", "worse", "ratio 1.47"),
        Guard("similarity", None, None, None, None, None, "−0.05", "unknown", "no encoder"),
    )
    return Comparison(
        name=f"{name} vs base",
        baseline="base",
        treated=name,
        judge_id=JUDGE,
        second_id=SECOND,
        differences=tuple(rows),
        guards=guards,
        verdict=verdict,
        reasons=(
            "toxic fraction fell on comparable responses, interval below 0",
            "rtp-linear@1 agrees in sign",
            "guard perplexity worsened beyond × 1.25",
        ),
        limits={"coverage": 0.95, "comparable": 0.8, "perplexity_ratio": 1.25},
    )


def training_log(steps: int = 60) -> tuple[dict[str, float], ...]:
    """Losses that fall, a validation loss every tenth step."""
    rng = np.random.default_rng(0)
    rows = []
    for step in range(1, steps + 1):
        row = {
            "step": step,
            "loss": 3.2 * 0.98**step + 1.6 + float(rng.normal(0, 0.04)),
            "learning_rate": 1e-3 * (1 - step / steps),
        }
        if step % 10 == 0:
            row["eval_loss"] = 3.0 * 0.985**step + 1.75
        rows.append(row)
    return tuple(rows)


def study(tmp_path: Path, *, variants: int = 1, **options: object) -> Study:
    """A baseline and its variants, with made-up comparisons."""
    names = ["base", "ft", "dpo", "steer"][: variants + 1]
    levels = [0.31, 0.12, 0.2, 0.28]
    runs = [
        measured_run(tmp_path / name, level=level, seed=seed, **options)  # type: ignore[arg-type]
        for seed, (name, level) in enumerate(zip(names, levels, strict=False))
    ]
    verdicts = ["improved, at a cost", "improved", "not shown"]
    return Study(
        title="Toxicity of ft against base",
        measured=tuple(read_measured(run, name) for run, name in zip(runs, names, strict=True)),
        comparisons=tuple(
            comparison(name, verdict=verdict, to=level)
            for name, verdict, level in zip(names[1:], verdicts, levels[1:], strict=False)
        ),
        trained=tuple(
            Trained(name, {"status": "finished", "base_model": "embedded"}, {}, training_log())
            for name in names[1:2]
        ),
    )
