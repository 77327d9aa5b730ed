"""The card (README.md) of a trained scorer, from its description alone."""

from typing import Any

from detoxlab.scorers.trained import ADAPTER, Description


def card(description: Description, *, adapter: bool) -> str:
    """Markdown: its attributes, how to load it, its data by name with counts, and its figures."""
    one = description
    languages = ", ".join(one.languages) or "not stated"
    scripts = "texts in these languages" if one.any_script else "texts mostly in Latin letters"
    parts = [
        f"# {one.name}\n\nVersion `{one.name}@{one.version}`, made by `detoxlab train scorer`.",
        one.description.strip(),
        f"Gives a text a probability for each of: {', '.join(one.attributes)}. It scores "
        f"{scripts}, and reads the first {one.max_tokens} tokens. Languages of its data: "
        f"{languages}.",
        _loading(one, adapter),
        _data(one),
        _training(one),
        _figures(one),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _loading(one: Description, adapter: bool) -> str:
    text = (
        "    detoxlab score RUN --scorer THIS_FOLDER\n\n"
        "Plain transformers opens the folder as a sequence classifier: the sigmoid of a logit is\n"
        "the uncalibrated probability. The curves of `scorer.json` are applied by detoxlab."
    )
    if one.prefix:
        text += f" The text begins with `{one.prefix}`."
    if adapter:
        text += (
            f"\n`{ADAPTER}` is the same scorer as a change of the encoder `{one.encoder.source}`\n"
            f"(weights with sha256 `{one.encoder.sha256}`)."
        )
    return "## Use\n\n" + text


def _data(one: Description) -> str:
    lines = [
        "## Data",
        "",
        "| set | source | rows | no label | merged | in `never` | in an earlier set | train "
        "| of these quotations | validation |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, facts in one.data.items():
        counts = facts["counts"]
        never = sum(counts["never"].values())
        cells = [
            *(counts[key] for key in ("rows", "unlabelled", "merged")),
            never,
            *(counts[key] for key in ("repeated", "train", "quoted", "validation")),
        ]
        numbers = " | ".join(f"{cell:,}" for cell in cells)
        lines.append(f"| {name} | {facts['source']} | {numbers} |")
    if one.never:
        held = ", ".join(f"{name} ({facts['source']})" for name, facts in one.never.items())
        lines += ["", f"Never trained on, trivial variants included: {held}."]
    return "\n".join(lines)


def _training(one: Description) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in one.training.items())
    return f"## Training\n\nFrom `{one.encoder.source}`: {facts}."


def _figures(one: Description) -> str:
    lines = [
        "## On the validation texts",
        "",
        f"{_rule(one)} there; the curves are fitted there too, so that the "
        f"calibration\nof other texts is worse. AUC is of labels of at least .5.{_prevalence(one)}",
        "",
        "| attribute | set | n | AUC | mean label | threshold |",
        "|---|---|---|---|---|---|",
    ]
    for attribute, sets in one.validation.items():
        for name, row in sets.items():
            threshold = f"{one.thresholds[attribute]:.3f}" if name == "all" else ""
            auc = "–" if row["auc"] is None else f"{row['auc']:.3f}"
            lines.append(
                f"| {attribute} | {name} | {row['n']:,} | {auc} | {row['mean']:.3f} | {threshold} |"
            )
    return "\n".join(lines)


def _rule(one: Description) -> str:
    share = one.training.get("false_marks")
    if share is None:
        return "Thresholds have the highest F1"
    return f"Thresholds mark {share:.0%} of the texts with a label below .5"


def _prevalence(one: Description) -> str:
    shares: dict[str, float] = one.training.get("prevalence", {})
    return "".join(
        f"\nThe odds of {name} were then changed so that its probabilities are right where "
        f"{share:.0%} of the\ntexts have it; its threshold is {one.thresholds[name]:g}."
        for name, share in shares.items()
    )


def figures_of(one: Description) -> list[str]:
    """A line for each attribute with its figures on all validation texts."""
    lines = []
    for attribute, sets in one.validation.items():
        row: dict[str, Any] = sets["all"]
        auc = "no AUC (one class)" if row["auc"] is None else f"AUC {row['auc']:.3f}"
        lines.append(
            f"{attribute}: {auc} on {row['n']} validation texts, "
            f"threshold {one.thresholds[attribute]:.3f}"
        )
    return lines
