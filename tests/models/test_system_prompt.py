"""System prompts: where they stand, what they change of a subject, and what they leave alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from detoxlab.errors import ConfigError
from detoxlab.explanations.tokens import prompt_classes
from detoxlab.generate import LocalEngine
from detoxlab.models import LanguageModel
from detoxlab.pipeline import measure_model
from detoxlab.pipeline.evaluating import subject_of
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.records import Prompt, Sampling
from detoxlab.runs import Run
from detoxlab.settings import parse
from detoxlab.subject import Subject
from tests.support.tiny import save_tiny, tiny_lm, tiny_tokenizer

SYSTEM, TEXT = "be kind", "so what"
REFUSING = (
    "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('no such role') }}{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SILENT = REFUSING.replace("{{ raise_exception('no such role') }}", "{% continue %}")


def told(lm: LanguageModel, text: str = TEXT, *, chat: bool) -> str:
    return str(lm.tokenizer.decode(lm.with_system(SYSTEM).prompt_ids(text, chat)))


def with_template(template: str) -> LanguageModel:
    return replace(tiny_lm(), tokenizer=tiny_tokenizer(template))


def test_a_template_with_the_role_gets_it() -> None:
    assert (
        told(tiny_lm(), chat=True) == f"<|system|>{SYSTEM}<|end|><|user|>{TEXT}<|end|><|assistant|>"
    )


@pytest.mark.parametrize("template", [REFUSING, SILENT], ids=["refuses", "leaves out"])
def test_a_template_without_the_role_gets_it_in_the_user_turn(template: str) -> None:
    wanted = f"<|user|>{SYSTEM}\n\n{TEXT}<|end|><|assistant|>"
    assert told(with_template(template), chat=True) == wanted


def test_a_text_to_continue_comes_after_it_and_nothing_is_put_before_no_text() -> None:
    assert told(tiny_lm(), chat=False) == f"{SYSTEM}\n\n{TEXT}"
    assert told(tiny_lm(), "", chat=False) == told(tiny_lm().with_system(""), "", chat=False)
    assert tiny_lm().with_system("").prompt_ids(TEXT, True) == tiny_lm().prompt_ids(TEXT, True)


def test_its_tokens_are_no_tokens_of_the_prompt() -> None:
    lm = tiny_lm().with_system(SYSTEM)
    classes = prompt_classes(lm, TEXT, True, lm.prompt_ids(TEXT, True))
    plain = prompt_classes(tiny_lm(), TEXT, True, tiny_lm().prompt_ids(TEXT, True))
    assert classes.count("C") == plain.count("C") == len(TEXT)
    assert len(classes) > len(plain)


def test_the_subject_is_named_by_it_and_its_base_does_not_hear_it() -> None:
    subject = Subject(tiny_lm().with_system(SYSTEM))
    assert subject.id.startswith("tiny@00000000+system@")
    assert subject.fingerprint()["id"] == subject.id
    assert subject.id != Subject(tiny_lm().with_system("be polite")).id
    with subject.base() as base:
        assert base.id == "tiny@00000000"
        assert base.prompt_ids(TEXT, True) == tiny_lm().prompt_ids(TEXT, True)


def test_the_engine_counts_its_tokens_apart_and_was_asked_the_same() -> None:
    prompts = [Prompt("p", TEXT, "test"), Prompt("q", TEXT * 2, "test")]
    sampling = Sampling(k=1, max_new_tokens=3)
    plain, steered = (
        LocalEngine(Subject(lm), chat=False) for lm in (tiny_lm(), tiny_lm().with_system(SYSTEM))
    )
    for engine in (plain, steered):
        engine.batches(prompts, sampling)
    assert steered.facts()["asked"] == plain.facts()["asked"]
    assert steered.facts()["system_as"] == "text before the prompt"
    assert steered.facts()["prompt_tokens"] == 3 * len(TEXT)  # a token per byte
    assert steered.facts()["system_tokens"] == 2 * len(f"{SYSTEM}\n\n")
    assert "system_tokens" not in plain.facts()
    assert steered.context_ids(prompts[0], sampling)[-len(TEXT) :] == plain.context_ids(
        prompts[0], sampling
    )


def measured(tmp_path: Path, name: str, **settings: object) -> Run:
    base = tmp_path / "base"
    if not base.exists():
        save_tiny(base)
    (tmp_path / "prompts.jsonl").write_text('{"text": "so what"}\n{"text": "then"}\n')
    given = {
        "model": str(base),
        "prompts": {"source": str(tmp_path / "prompts.jsonl")},
        "sampling": {"k": 2, "max_new_tokens": 5},
        "judge": "rtp-linear",
        "second": None,
        "hate": None,
        "resamples": 100,
        **settings,
    }
    return measure_model(parse(MeasureSettings, given, place="measure"), tmp_path / name)


def test_a_measured_run_tells_of_both_baselines(tmp_path: Path) -> None:
    plain = measured(tmp_path, "plain")
    asked = measured(tmp_path, "asked", system=SYSTEM)
    chosen = measured(tmp_path, "chosen", best_of=2, by="rtp-neural")
    assert plain.info["asked"] == asked.info["asked"]
    assert "+system@" in asked.info["model"]["id"]
    assert subject_of(asked).system == SYSTEM
    assert "best_of" not in yaml.safe_load((plain.path / "config.yaml").read_text())
    assert "+best-of-2@rtp-neural@" in chosen.info["model"]["id"]
    assert [name.partition("@")[0] for name in chosen.info["train_scorers"]] == ["rtp-neural"]
    assert chosen.info["candidates"] == 8
    assert asked.info["base_likelihood_id"] == plain.info["base_likelihood_id"]


def test_who_judges_must_not_choose(tmp_path: Path) -> None:
    for wrong, why in (
        ({"best_of": 2, "by": "rtp-linear"}, "choose the responses and judge them"),
        ({"best_of": 2}, "go together"),
        ({"system": SYSTEM, "endpoint": "http://there"}, "not on an endpoint"),
    ):
        with pytest.raises(ConfigError, match=why):
            measured(tmp_path, "refused", **wrong)
