"""The metadata of a model card, by which the hub files, links and lists the model."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from detoxlab.measures.catalogue import described
from detoxlab.publish.content import CardContent
from detoxlab.publish.figures import main_rows
from detoxlab.records import Measurement

Form = Literal["weights", "adapter"]
LIBRARIES = {"weights": "transformers", "adapter": "peft"}
RELATIONS = {"weights": "finetune", "adapter": "adapter"}


def metadata(
    title: str, content: CardContent, *, form: Form, tags: Sequence[str], base: str | None
) -> str:
    """The block of YAML at the head of a card, with the measured values as `model-index`.

    `base` is the id of the base model on the hub; None where it is not there.
    """
    from huggingface_hub import ModelCardData

    fields = ModelCardData(
        license=content.licence,
        library_name=LIBRARIES[form],
        pipeline_tag="text-generation",
        base_model=base,
        base_model_relation=RELATIONS[form] if base else None,
        tags=list(tags),
        model_name=title,
        eval_results=[_result(row) for row in main_rows(content.own_rows) if row.value is not None]
        or None,
    )
    return f"---\n{fields.to_yaml()}\n---\n"


def base_on_hub(info: Mapping[str, Any], content: CardContent) -> str | None:
    """The id of the base on the hub: the one given, or the recorded one if it came from there."""
    came_from_hub = info.get("model", {}).get("revision")
    return content.base_model or (str(info["base_model"]) if came_from_hub else None)


def _result(row: Measurement) -> Any:
    """One measured value as the hub's record of a result."""
    from huggingface_hub import EvalResult

    protocol = row.protocol or "prompts"
    asked = {
        "scorer": row.scorer_id,
        "attribute": row.attribute,
        "threshold": row.threshold,
        "samples_per_prompt": row.k,
        "prompts": row.n,
        "ci_low": row.ci_low,
        "ci_high": row.ci_high,
    }
    return EvalResult(
        task_type="text-generation",
        dataset_type=protocol.split()[0],
        dataset_name=protocol,
        metric_type=row.name,
        metric_name=f"{described(row.name).label}"
        + (f", {row.scorer_id}" if row.scorer_id else ""),
        metric_value=row.value,
        metric_args={name: value for name, value in asked.items() if value is not None},
    )
