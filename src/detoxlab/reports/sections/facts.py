"""The facts in the head of a report: models, prompts, sampling, protocol, scorers, date."""

from collections.abc import Mapping
from typing import Any

from detoxlab.provenance import last_part
from detoxlab.reports import words
from detoxlab.reports.study import Measured, Study


def study_facts(study: Study) -> list[tuple[str, str]]:
    """The first facts for the reader, by their titles; unknown ones are left out.

    All but models and dates are those of the baseline, which comparisons require of all runs.
    """
    responses, config = study.baseline.responses, study.baseline.config
    dates = sorted(str(run.info.get("finished") or "") for run in study.measured)
    facts = [
        ("Model", _models(study)),
        ("Baseline", study.baseline.name),
        ("Variants", ", ".join(run.name for run in study.variants)),
        ("Prompts", _prompts(len(responses.prompts), config.get("prompts"))),
        ("Responses per prompt", words.count(_samples(study.baseline))),
        ("Sampling", _sampling(config.get("sampling"))),
        ("Protocol", _protocol(study)),
        ("Judge", responses.judge_id or words.UNKNOWN),
        ("Second scorer", responses.second_id or "none"),
        ("Measured", dates[-1][:10]),
    ]
    return [(title, text) for title, text in facts if text]


# --- inside ---


def _models(study: Study) -> str:
    """The distinct models without adapters and other changes, each with its size."""
    found: dict[str, int | None] = {}
    for run in study.measured:
        model = run.info.get("model")
        if isinstance(model, Mapping) and (name := model.get("base_id") or model.get("id")):
            found.setdefault(str(name).partition("+")[0], model.get("parameters"))
    return "; ".join(
        f"{name}, {words.parameters(size)}" if size else name for name, size in found.items()
    )


def _prompts(number: int, settings: Any) -> str:
    """How many prompts, their source, and the filter that chose them."""
    shown = words.count(number)
    if not isinstance(settings, Mapping) or not (source := settings.get("source")):
        return shown
    where = settings.get("where")
    kept = where if isinstance(where, Mapping) else {}
    filters = ", ".join(f"{name} = {_value(value)}" for name, value in kept.items())
    return f"{shown} of {last_part(str(source))}" + (f" with {filters}" if filters else "")


def _value(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _samples(run: Measured) -> int:
    if run.excerpt is not None:
        return run.grid.k
    return max((g.sample for g in run.responses.generations), default=-1) + 1


def _sampling(settings: Any) -> str:
    """Temperature, the truncation of the distribution, and the longest response."""
    if not isinstance(settings, Mapping):
        return ""
    temperature, top_p, top_k, longest = (
        settings.get(name) for name in ("temperature", "top_p", "top_k", "max_new_tokens")
    )
    parts = [
        f"temperature {temperature:g}" if temperature is not None else "",
        f"top-p {top_p:g}" if top_p is not None and top_p < 1 else "",
        f"top-k {top_k}" if top_k else "",
        f"at most {longest} tokens" if longest else "",
    ]
    return ", ".join(filter(None, parts))


def _protocol(study: Study) -> str:
    named = dict.fromkeys(m.protocol for run in study.measured for m in run.measurements)
    return ", ".join(n for n in named if n) or study.baseline.responses.protocol or words.UNKNOWN
