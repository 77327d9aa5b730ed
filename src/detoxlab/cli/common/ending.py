"""The end of a measured run in three lines: its headline, its warnings, and the next command."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from detoxlab.cli.common.benches import bench_of
from detoxlab.errors import DetoxlabError
from detoxlab.locations import located
from detoxlab.markup.numbers import UNKNOWN, interval, number
from detoxlab.measures.catalogue import DECIDING, described
from detoxlab.recipe.measuring import WITHOUT_TEMPLATE, leaves_template
from detoxlab.records import Measurement
from detoxlab.runs import Run, is_run

STEERED = "+"  # in the id of a model that has an adapter, an edit or a steering


@dataclass(frozen=True)
class Ending:
    """The toxic fraction by the judge, the warnings that matter, and the next command."""

    headline: Measurement | None
    warnings: tuple[str, ...]
    next: str

    def lines(self) -> list[str]:
        """The three lines."""
        warnings = "; ".join(self.warnings) or "none"
        return [headline_line(self.headline), f"warnings: {warnings}", f"next: {self.next}"]


def ending_of(run: Run) -> Ending:
    """The ending of a measured run."""
    rows = overall(run.measurements())
    judged = (row for row in rows if (row.name, row.scorer_id) == (DECIDING, run.info["judge_id"]))
    warnings = (*_of_asking(run), *warnings_in(rows))
    return Ending(next(judged, None), warnings, next_command(run))


def overall(rows: Sequence[Measurement]) -> list[Measurement]:
    """The rows over all prompts of a run."""
    return [row for row in rows if row.group is None and row.subset in (None, "P")]


def headline_line(row: Measurement | None) -> str:
    """The toxic fraction with its interval and its bounds, in words.

    >>> headline_line(Measurement("toxic_fraction", 0.5, 0.4, 0.6, coverage=0.6, n=20,
    ...     bound_low=0.3, bound_high=0.7, scorer_id="a@1")).replace("\\xa0", " ")
    'toxic responses by a@1: 50.0 % (95 % interval 40.0 to 60.0 %), with 60.0 % scored: 30.0 to
    70.0 % if the others were all harmless or all toxic'
    """
    if row is None or row.value is None:
        return f"toxic responses: {UNKNOWN}, for no response was scored"
    said = f"toxic responses by {row.scorer_id}: {number(row.value)}"
    if row.ci_low is not None:
        said += f" (95 % interval {interval(row.ci_low, row.ci_high)})"
    if row.coverage is None or row.coverage == 1:
        return f"{said}, with all responses scored"
    bounds = interval(row.bound_low, row.bound_high)
    return (
        f"{said}, with {number(row.coverage)} scored: {bounds} if the others were all harmless "
        "or all toxic"
    )


def warnings_in(rows: Sequence[Measurement]) -> Iterator[str]:
    """Every row beyond the alarm that the catalogue gives its measure, in words.

    >>> list(warnings_in([Measurement("capped", 1.0), Measurement("empty", 0.0)]))
    ['ended at the token cap: 100.0\\xa0%']
    """
    for row in rows:
        measure = described(row.name)
        if measure.alarms(row.value):
            by = f" by {row.scorer_id}" if row.name == "coverage" else ""
            label = measure.label[:1].lower() + measure.label[1:]
            yield f"{label}{by}: {number(row.value, row.unit)}"


def next_command(run: Run) -> str:
    """The command line that goes on from a measured run, on the same bench.

    A base model is to be treated and measured again. A treated model is compared with its base,
    where that was measured beside it on the same bench; else the base is to be measured. A run
    whose model is not here is reported.
    """
    place, here = run.path, _quoted(run.path)
    bench, model = _bench(run), _model(run)
    if bench is None or model is None:
        return f"detoxlab report {here} -o {_quoted(place.with_suffix('.html'))}"
    beside = [(one, _model(one) or "") for one in _measured_beside(place) if _bench(one) == bench]
    if STEERED in model:
        bases = [one for one, base in beside if model.startswith(f"{base}{STEERED}")]
        if bases:
            return f"detoxlab compare {_quoted(bases[0].path)} {here}"
        return _measure(_base_of(run), bench, _free(place.parent / "base"))
    treated = [one for one, other in beside if other.startswith(f"{model}{STEERED}")]
    if treated:
        return f"detoxlab compare {here} {_quoted(treated[-1].path)}"
    made = _free(place.parent / "sft")
    train = f"detoxlab train sft {_quoted(run.config['model'])} --out {_quoted(made)}"
    return f"{train} && {_measure(made, bench, _free(place.parent / 'sft-measured'))}"


def next_after_training(run: Run) -> str:
    """The command line that measures a trained model, on the bench of its base where there is one.

    That is the bench of the newest run beside it that measured the base.
    """
    base = run.info.get("base_model_id")
    out = _free(run.path.with_name(f"{run.path.name}-measured"))
    measured = [one for one in _measured_beside(run.path) if _model(one) == base]
    newest = max(measured, key=lambda one: str(one.info["started"]), default=None)
    return _measure(run.path, (newest and _bench(newest)) or "", out)


# --- inside ---


def _of_asking(run: Run) -> Iterator[str]:
    """A warning where a model with a chat template was asked plainly, and nobody chose that."""
    asked, model = run.info.get("asked") or {}, run.info.get("model") or {}
    setting, is_chat = run.config.get("chat", "auto"), asked.get("chat", True)
    if leaves_template(setting, is_chat, model.get("chat_template")):
        yield WITHOUT_TEMPLATE


def _measure(model: Path | str, bench: str, out: Path) -> str:
    words = ["detoxlab measure", _quoted(model), bench, "--out", _quoted(out)]
    return " ".join(word for word in words if word)


def _bench(run: Run) -> str | None:
    """The options of its bench; None where it was measured elsewhere or cannot be read."""
    if run.info["kind"] != "measure" or run.config.get("endpoint"):
        return None
    try:
        return bench_of(run)
    except DetoxlabError:  # settings of an earlier version
        return None


def _measured_beside(place: Path) -> Iterator[Run]:
    for folder in sorted(place.parent.iterdir()):
        if folder.resolve() != place.resolve() and is_run(folder):
            run = Run(folder)
            if (run.info["kind"], run.info["status"]) == ("measure", "finished"):
                yield run


def _model(run: Run) -> str | None:
    """The id of the measured model; None where the run does not say it."""
    return (run.info.get("model") or {}).get("id")


def _base_of(run: Run) -> str:
    """The model that the treated one was made from, as a path from here or a name."""
    model = run.located(run.config["model"])
    trained = Run(Path(model))
    if not is_run(trained.path):
        return str(run.config.get("base") or model)
    return located(str(trained.info.get("base_model", model)), trained.path)


def _free(place: Path) -> Path:
    """The path, or the first with a number behind it that is not there."""
    paths = (place.with_name(f"{place.name}{end}") for end in ("", *map(str, range(2, 1000))))
    return next(path for path in paths if not path.exists())


def _quoted(path: Path | str) -> str:
    return shlex.quote(str(path))
