"""The model card: verdict, figures and a way to use the model, then its training and its limits."""

from collections.abc import Mapping
from typing import Any

from detoxlab.markup.numbers import plain
from detoxlab.provenance import last_part
from detoxlab.publish.content import CardContent
from detoxlab.publish.figures import measured_section
from detoxlab.publish.markdown import section, table
from detoxlab.publish.metadata import Form, base_on_hub, metadata

INTENDED = (
    "Research on toxicity and its removal, and systems whose makers measure this model on prompts "
    "of their own before they use it. It is not meant to moderate texts, to give advice, or to "
    "answer people without supervision. Uses that the card of the base model excludes are excluded "
    "here too."
)
LIMITS = (
    "It was trained to respond less toxically; it was not made harmless. It can still write "
    "toxic, false or biased text, and what it was not measured on is unknown.",
    "The measured figures hold for the prompts, sampling and scorers named with them. A scorer "
    "has biases of its own, and unscored text is not harmless text: each figure has its coverage.",
    "A fall in toxicity may cost fluency, relevance or diversity: read the guards beside it.",
    "The licences of the base model and of the training data hold for this model too.",
)
MERGED = """from transformers import pipeline

generate = pipeline("text-generation", model="{model}")
{call}"""
CALL = 'print(generate("The weather today", max_new_tokens=40)[0]["generated_text"])'
CHAT_CALL = """messages = [{"role": "user", "content": "How was your day?"}]
print(generate(messages, max_new_tokens=40)[0]["generated_text"][-1]["content"])"""
ADAPTER = """from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("{model}")
base = model.peft_config["default"].base_model_name_or_path
tokenizer = AutoTokenizer.from_pretrained(base)
inputs = tokenizer("The weather today", return_tensors="pt")
tokens = model.generate(**inputs, max_new_tokens=40)
print(tokenizer.decode(tokens[0], skip_special_tokens=True))"""


def model_card(
    title: str,
    info: Mapping[str, Any],
    config: Mapping[str, Any],
    content: CardContent,
    *,
    form: Form = "weights",
) -> str:
    """The text of README.md for a model made by the train run with this `info` and `config`.

    `title` is the name of its folder, which the example of use names where it has no `repo`.
    """
    base = base_on_hub(info, content)
    tags = ("detoxlab", "detoxification", str(info["method"]))
    parts = [
        metadata(title, content, form=form, tags=tags, base=base),
        f"# {title}\n",
        _summary(info, content, base),
        measured_section(content),
        section("Use", f"```python\n{_use(content.repo or title, config, form)}\n```"),
        section("Intended use", INTENDED),
        section("Limits", "\n".join(f"- {limit}" for limit in LIMITS)),
        _training(info, config),
        _provenance(info),
    ]
    return "\n".join(parts)


def plain_card(title: str, facts: Mapping[str, Any], licence: str) -> str:
    """The text of README.md for a model exported in plain transformers' layout.

    `facts` are its `fingerprint`.
    """
    rows = [(name.replace("_", " "), str(value)) for name, value in facts.items()]
    content = CardContent(licence=licence)
    parts = [
        metadata(title, content, form="weights", tags=["detoxlab"], base=None),
        f"# {title}\n",
        f"`{facts['id']}` in the layout of transformers, written by detoxlab.\n",
    ]
    if stored := facts.get("file_type"):
        parts.append(f"The weights were stored as {stored}: those of the original may differ.\n")
    parts += [
        f"Licence: {licence}. That of the original holds for this model too.\n",
        section("Provenance", table(("what", "value"), rows)),
    ]
    return "\n".join(parts)


def _summary(info: Mapping[str, Any], content: CardContent, base: str | None) -> str:
    hashed = f"`{info['base_model_id']}`"
    named = f"[{base}](https://huggingface.co/{base}) ({hashed})" if base else hashed
    return (
        f"A detoxified version of {named}, made with detoxlab by `{info['method']}`. "
        f"Licence: {content.licence}.\n"
    )


def _use(model: str, config: Mapping[str, Any], form: Form) -> str:
    if form == "adapter":
        return ADAPTER.format(model=model)
    return MERGED.format(model=model, call=CHAT_CALL if _own(config).get("chat") else CALL)


def _training(info: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    facts = {
        "base model": f"{_plain(info['base_model'])} (`{info['base_model_id']}`)",
        "quantisation of the base": _quantisation(info),
        "method": info["method"],
        "training dialogues": info.get("train_dialogues"),
        "validation dialogues": info.get("validation_dialogues"),
        "left out": info.get("rejected_dialogues"),
        "steps (best kept)": _steps(info),
        "validation loss, nats per token": _loss(info),
        "data": _data(info.get("dialogues")),
        "strength": info.get("strength"),
        "folded into the weights": info.get("folded"),
        **_hyperparameters(config),
    }
    rows = [(name, str(value)) for name, value in facts.items() if value is not None]
    return section("Training", table(("what", "value"), rows))


def _steps(info: Mapping[str, Any]) -> str | None:
    """Steps of a training; None for what was computed in closed form."""
    return f"{info['steps']} ({info.get('best_step')})" if "steps" in info else None


def _loss(info: Mapping[str, Any]) -> str | None:
    best = info.get("best_eval_loss")
    return None if best is None else plain(best)


def _quantisation(info: Mapping[str, Any]) -> str | None:
    chosen = info.get("model", {}).get("quantisation")
    return chosen and ", ".join(f"{key} {value}" for key, value in chosen.items())


def _own(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The method's own settings in the config of a run."""
    own: Mapping[str, Any] = config.get("config", config)
    return own


def _hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in _own(config).items() if isinstance(value, int | float | str)
    }


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


def _provenance(info: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in info["packages"].items())
    facts = f"Run `{info['id']}`, detoxlab {info['code_version']}, seed {info['seed']}; {packages}."
    return section("Provenance", facts)


def _plain(name: Any) -> str:
    """A hub id as it is; only the last part of a path."""
    text = str(name)
    return last_part(text) if not text.startswith(".") else text.rstrip("/").rpartition("/")[2]
