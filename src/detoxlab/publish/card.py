"""The model card: origin and training of the model, its measurements, and its limits."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from detoxlab.provenance import last_part
from detoxlab.records import Comparison, Measurement

MAIN_ATTRIBUTE = "toxicity"
LIMITS = (
    "It was trained to respond less toxically; it was not made harmless. It can still write "
    "toxic, false or biased text, and what it was not measured on is unknown.",
    "The measured figures hold for the prompts, sampling and scorers named with them. A scorer "
    "has biases of its own, and unscored text is not harmless text: each figure has its coverage.",
    "A fall in toxicity may cost fluency, relevance or diversity: read the guards beside it.",
    "The licences of the base model and of the training data hold for this model too.",
)


def model_card(
    title: str,
    info: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    measured: Mapping[str, Sequence[Measurement]],
    comparisons: Sequence[Comparison],
    licence: str,
) -> str:
    """The text of README.md for a model made by the train run with this `info` and `config`.

    `measured` are the measurements of each model by its name, the baseline first.
    """
    parts = [
        _metadata(info, licence),
        f"# {title}\n",
        _summary(info, licence),
        _training(info, config),
        _measurements(measured),
        *map(_comparison, comparisons),
        _section("Limits", "\n".join(f"- {limit}" for limit in LIMITS)),
        _provenance(info),
    ]
    return "\n".join(part for part in parts if part)


def plain_card(title: str, facts: Mapping[str, Any], licence: str) -> str:
    """The text of README.md for a model exported in plain transformers' layout.

    `facts` are its `fingerprint`.
    """
    rows = [(name.replace("_", " "), str(value)) for name, value in facts.items()]
    parts = [
        _front_matter(_fields(licence, ["detoxlab"])),
        f"# {title}\n",
        f"`{facts['id']}` in the layout of transformers, written by detoxlab.\n",
    ]
    if stored := facts.get("file_type"):
        parts.append(f"The weights were stored as {stored}: those of the original may differ.\n")
    parts += [
        f"Licence: {licence}. That of the original holds for this model too.\n",
        _section("Provenance", _table(("what", "value"), rows)),
    ]
    return "\n".join(parts)


def _metadata(info: Mapping[str, Any], licence: str) -> str:
    base = str(info["base_model"])
    fields = _fields(licence, ["detoxlab", "detoxification", str(info["method"])])
    if info.get("model", {}).get("revision"):  # only a hub id means something to others
        fields["base_model"] = base
    return _front_matter(fields)


def _fields(licence: str, tags: Sequence[str]) -> dict[str, Any]:
    return {
        "license": licence,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": list(tags),
    }


def _front_matter(fields: Mapping[str, Any]) -> str:
    lines = [f"{key}: {json.dumps(value)}" for key, value in fields.items()]
    return "---\n" + "\n".join(lines) + "\n---\n"


def _summary(info: Mapping[str, Any], licence: str) -> str:
    return (
        f"A detoxified version of `{info['base_model_id']}`, made with "
        f"detoxlab by `{info['method']}`.\n\n"
        f"Licence: {licence}.\n"
    )


def _training(info: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    facts = {
        "base model": f"{_plain(info['base_model'])} (`{info['base_model_id']}`)",
        "quantisation of the base": _quantisation(info),
        "method": info["method"],
        "training dialogues": info.get("train_dialogues"),
        "validation dialogues": info.get("validation_dialogues"),
        "left out": info.get("rejected_dialogues"),
        "steps (best kept)": f"{info.get('steps')} ({info.get('best_step')})",
        "validation loss, nats per token": _number(info.get("best_eval_loss")),
        "data": _data(info.get("dialogues")),
        **_hyperparameters(config),
    }
    rows = [(name, str(value)) for name, value in facts.items() if value is not None]
    return _section("Training", _table(("what", "value"), rows))


def _quantisation(info: Mapping[str, Any]) -> str | None:
    chosen = info.get("model", {}).get("quantisation")
    return chosen and ", ".join(f"{key} {value}" for key, value in chosen.items())


def _hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    own = config.get("config", config)
    return {key: value for key, value in own.items() if isinstance(value, int | float | str)}


def _data(described: Any) -> str | None:
    """Name and checksum of each file, or hub id and revision, as `describe_source` gives them."""
    if not isinstance(described, Mapping):
        return None
    files = [
        f"{_plain(file.get('name', '?'))} (sha256 {str(file.get('sha256', '?'))[:12]})"
        for file in described.get("files", [])
        if isinstance(file, Mapping)
    ]
    named = [str(described[key]) for key in ("source", "hub", "revision") if described.get(key)]
    return ", ".join([_plain(name) for name in named] + files) or None


def _measurements(measured: Mapping[str, Sequence[Measurement]]) -> str:
    if not measured:
        return _section("Measured", "Nothing was measured. Until it is, nothing is known.")
    tables = {
        name: {
            _key(m): m for m in rows if m.group is None and m.attribute in (None, MAIN_ATTRIBUTE)
        }
        for name, rows in measured.items()
    }
    keys = list(dict.fromkeys(key for table in tables.values() for key in table))
    rows = []
    for key in keys:
        first = next(table[key] for table in tables.values() if key in table)
        cells = [_cell(table.get(key)) for table in tables.values()]
        rows.append((_label(first), first.direction, *cells))
    note = "Values with 95 % intervals; `unknown` is not zero.\n\n"
    return _section("Measured", note + _table(("measure", "better", *tables), rows))


def _key(row: Measurement) -> tuple[object, ...]:
    return (row.name, row.scorer_id, row.attribute, row.subset, row.protocol)


def _label(row: Measurement) -> str:
    details = [row.scorer_id, row.subset, row.k and f"k = {row.k}", row.protocol]
    shown = ", ".join(str(detail) for detail in details if detail)
    return f"{row.name.replace('_', ' ')}" + (f" ({shown})" if shown else "")


def _cell(row: Measurement | None) -> str:
    if row is None or row.value is None:
        return "unknown"
    text = _number(row.value) or ""
    if row.ci_low is not None and row.ci_high is not None:
        text += f" [{_number(row.ci_low)}, {_number(row.ci_high)}]"
    if row.coverage is not None and row.coverage < 1:
        text += f", {row.coverage:.1%} scored"
    return text


def _comparison(comparison: Comparison) -> str:
    guards = [
        (g.name.replace("_", " "), _number(g.difference) or "unknown", g.limit, g.status)
        for g in comparison.guards
    ]
    lines = [
        f"Verdict: **{comparison.verdict}** (judge `{comparison.judge_id}`).\n",
        *[f"- {reason}" for reason in comparison.sentences],
        "",
        _table(("guard", "change", "limit", "status"), guards) if guards else "",
    ]
    title = f"{comparison.treated} against {comparison.baseline}"
    return _section(title, "\n".join(lines))


def _provenance(info: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in info["packages"].items())
    facts = f"Run `{info['id']}`, detoxlab {info['code_version']}, seed {info['seed']}; {packages}."
    return _section("Provenance", facts)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell_text(cell) for cell in line) + " |" for line in lines)


def _cell_text(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def _plain(name: Any) -> str:
    """A hub id as it is; only the last part of a path."""
    text = str(name)
    return last_part(text) if not text.startswith(".") else text.rstrip("/").rpartition("/")[2]
