"""What a model was really asked: recorded, kept on resume, and compared."""

import dataclasses
import datetime
import json
import re
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from detoxlab.comparisons import Limits
from detoxlab.errors import ConfigError, ModelError, RunMismatchError
from detoxlab.generate import HttpEngine, LocalEngine, generate_into
from detoxlab.loading import Asking, OtherModel
from detoxlab.pipeline import compare_runs, train_model
from detoxlab.pipeline.evaluating import subject_of
from detoxlab.pipeline.experiment import _dated
from detoxlab.pipeline.subjects import dated, load_other
from detoxlab.recipe.experiment import Recipe
from detoxlab.recipe.learning import TrainSettings
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.records import Asked, Prompt, Sampling, from_json, to_json
from detoxlab.runs import Run
from detoxlab.settings import parse
from detoxlab.subject import Subject
from tests.support.chat_templates import DATED, THINKING, each, saved
from tests.support.measured_runs import measured
from tests.support.paired import BASE_PK, LOWER_PK, held, run
from tests.support.tiny import CHAT_TEMPLATE, tiny_lm

pytestmark = pytest.mark.slow

OTHER = each("{{ 'Says: ' + m['content'] }}")
ONE, NEXT = "2024-02-28", "2024-02-29"


def asked_of(run: Run) -> Asked:
    found = run.responses().asked
    assert found is not None
    return found


# --- recorded ---


def test_a_run_says_what_was_asked(tmp_path: Path) -> None:
    run = measured(saved(tmp_path / "m", DATED), tmp_path / "a", template_date=ONE)
    asked = asked_of(run)
    assert (asked.chat, asked.template, asked.form) == (True, "own", "string")
    assert (asked.date, asked.control_tokens, asked.options) == (ONE, "text", {})
    assert run.info["template_date"] == ONE
    assert run.config["template_date"] == ONE
    hashes = (asked.prompts_sha256, asked.template_sha256, asked.vocabulary_sha256)
    assert all(value and len(value) == 64 for value in hashes)


def test_the_hash_of_the_prompts_is_over_all_their_ids_in_any_order() -> None:
    prompts = [Prompt("a", "you fool", "t"), Prompt("b", "hello", "t")]
    sampling = Sampling(max_new_tokens=4)

    def sha256(asked: list[Prompt], lm: Any = None, chat: bool = True) -> str | None:
        engine = LocalEngine(Subject(lm or tiny_lm()), chat=chat)
        engine.batches(asked, sampling)
        return engine.prompts_sha256

    assert sha256(prompts) == sha256(prompts[::-1]) == sha256(prompts, tiny_lm(seed=3))
    others = [
        sha256(prompts[:1]),
        sha256(prompts, chat=False),
        sha256([prompts[0], Prompt("b", "hello!", "t")]),
        sha256([prompts[0], Prompt("c", "hello", "t")]),
    ]
    assert len({sha256(prompts), *others}) == 5


def test_the_day_is_offered_to_later_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the template writes one, and nobody has named it."""
    today = f"--template-date {datetime.date.today().isoformat()}"
    dated_model, undated = saved(tmp_path / "d", DATED), saved(tmp_path / "u", CHAT_TEMPLATE)
    measured(dated_model, tmp_path / "a")
    assert today in capsys.readouterr().err
    measured(dated_model, tmp_path / "b", template_date=ONE)
    measured(undated, tmp_path / "c")
    assert "--template-date" not in capsys.readouterr().err


def test_a_training_whose_assistant_is_not_heard_leaves_no_folder(tmp_path: Path) -> None:
    folder = saved(
        tmp_path / "m", each("{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}")
    )
    source = {"source": "embedded", "limit": 20}
    settings = TrainSettings(method="sft", model=str(folder), dialogues=source, device="cpu")
    with pytest.raises(ModelError, match="what the assistant says"):
        train_model(settings, tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_a_date_that_no_template_writes_is_no_part_of_the_question(tmp_path: Path) -> None:
    run = measured(saved(tmp_path / "m", CHAT_TEMPLATE), tmp_path / "a", template_date=ONE)
    assert asked_of(run).date is None


def test_options_and_control_tokens_reach_the_model_and_its_record(tmp_path: Path) -> None:
    told = {"template_options": {"enable_thinking": False}, "control_tokens": "token"}
    folder = saved(tmp_path / "m", THINKING)
    bare, run = measured(folder, tmp_path / "a"), measured(folder, tmp_path / "b", **told)
    asked = asked_of(run)
    assert (asked.options, asked.control_tokens) == ({"enable_thinking": False}, "token")
    assert run.config["template_options"] == {"enable_thinking": False}
    assert "template_options" not in bare.config, "as usual, runs of old do not name them"
    assert asked.prompts_sha256 != asked_of(bare).prompts_sha256
    with pytest.raises(ConfigError, match=r"enable_thinkin'.*enable_thinking"):
        measured(folder, tmp_path / "c", template_options={"enable_thinkin": False})


def test_what_a_server_renders_is_up_to_it() -> None:
    content = {"model": "m", "prompts": {"source": "embedded"}, "endpoint": "http://h/v1"}
    for given in ({"template_date": ONE}, {"control_tokens": "token"}):
        with pytest.raises(ConfigError, match="is up to the server"):
            parse(MeasureSettings, content | given, place="t")
    options = {"template_options": {"enable_thinking": False}}
    assert parse(MeasureSettings, content | options, place="t").template_options


# --- kept ---


def rewritten(path: Path, **fields: Any) -> None:
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(info | fields))


def begun(run: Run, day: str) -> None:
    """As if the run had begun on that day and been stopped before it drew anything."""
    (run.path / "generations" / "worker-0.jsonl").unlink()
    for file in (run.path / "scores").glob("*"):
        file.unlink()
    rewritten(run.path, template_date=day, status="interrupted", engine=None, asked=None)


def test_a_run_that_is_resumed_on_another_day_asks_as_before(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", DATED)
    run = measured(folder, tmp_path / "a")
    assert asked_of(run).date == datetime.date.today().isoformat()
    begun(run, ONE)
    assert asked_of(measured(folder, tmp_path / "a", resume=True)).date == ONE
    assert subject_of(run).template_date == datetime.date(2024, 2, 28)


def test_a_training_reads_the_day_it_began(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", DATED)
    settings = TrainSettings(
        method="sft",
        model=str(folder),
        dialogues={"source": "embedded", "limit": 20},
        config={"max_steps": 1, "max_length": 200},
        device="cpu",
    )
    run = train_model(settings, tmp_path / "t")
    today = datetime.date.today().isoformat()
    assert (run.info["template_date"], run.info["asked"]["date"]) == (today, today)
    rewritten(run.path, template_date=ONE, status="interrupted", asked=None)
    (run.path / "train.jsonl").unlink()
    again = train_model(settings, tmp_path / "t", resume=True)
    assert again.info["asked"]["date"] == ONE


def test_a_day_is_given_or_the_runs_or_today(tmp_path: Path) -> None:
    settings = TrainSettings(method="sft", model="m")
    run = Run.start(tmp_path / "r", kind="train", config={})
    day, today = datetime.date(2024, 2, 28), datetime.date.today()
    assert dated(settings, run.path, resume=True).template_date == today
    run.update(template_date=ONE)
    assert dated(settings, run.path, resume=True).template_date == day
    assert dated(settings, run.path, resume=False).template_date == today
    given = settings.model_copy(update={"template_date": datetime.date(2023, 1, 1)})
    assert dated(given, run.path, resume=True).template_date == datetime.date(2023, 1, 1)


def test_a_recipe_has_one_day_for_all_its_runs(tmp_path: Path) -> None:
    content = {
        "name": "r",
        "model": "embedded",
        "prompts": {"source": "embedded"},
        "control_tokens": "token",
        "variants": [{"name": "v", "method": "sft", "dialogues": {"source": "embedded"}}],
    }
    recipe = parse(Recipe, content, place="r")
    fresh = _dated(recipe, tmp_path / "new", False)
    assert fresh.template_date == datetime.date.today()
    parts = (fresh.measure_settings("m"), fresh.train_settings(fresh.variants[0]))
    assert {one.template_date for one in parts} == {fresh.template_date}
    assert {one.control_tokens for one in parts} == {"token"}
    run = Run.start(tmp_path / "old", kind="experiment", config={})
    assert _dated(recipe, run.path, True).template_date is None, "it was begun without"
    run.update(template_date=ONE)
    assert _dated(recipe, run.path, True).template_date == datetime.date(2024, 2, 28)


@pytest.mark.parametrize("template", [OTHER, DATED])
def test_a_run_does_not_go_on_with_another_question(tmp_path: Path, template: str) -> None:
    folder = saved(tmp_path / "m", CHAT_TEMPLATE)
    run = measured(folder, tmp_path / "a")
    rewritten(run.path, status="interrupted")
    saved(folder, template)
    with pytest.raises(RunMismatchError, match=r"prompts_sha256, template_sha256.* changed"):
        measured(folder, tmp_path / "a", resume=True)


def test_a_run_of_old_goes_on(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "r", kind="measure", config={})
    prompts = [Prompt("a", "hello", "t")]
    run.write_once("prompts.jsonl", prompts)
    run.update(engine={"engine": "local", "batch_size": 1})
    assert run.responses().asked is None
    generate_into(
        run, LocalEngine(Subject(tiny_lm()), chat=True), prompts, Sampling(max_new_tokens=2)
    )
    assert run.responses().asked is not None


def test_another_model_is_told_what_its_template_reads(tmp_path: Path) -> None:
    options = {"enable_thinking": False}
    asking = Asking(template_options=options, template_date=ONE)
    for template, read in ((THINKING, options), (CHAT_TEMPLATE, {})):
        other = OtherModel(model=str(saved(tmp_path / "m", template)))
        lm = load_other(other, "cpu", asking)
        assert lm.rendering.options == read
        assert lm.rendering.date == datetime.date(2024, 2, 28)
        assert lm.prompt_ids("hello", chat=True)
    named = OtherModel(model=other.model, template_date=NEXT, control_tokens="token")
    rendering = load_other(named, "cpu", asking).rendering
    assert (rendering.date, rendering.control_tokens) == (datetime.date(2024, 2, 29), "token")


# --- compared ---

ASKED = Asked(
    chat=True,
    vocabulary_sha256="v",
    control_tokens="text",
    prompts_sha256="p",
    template="own",
    template_sha256="t" * 64,
    form="string",
    date=ONE,
)


def compared(limits: Limits | None = None, fewer: bool = False, **changes: Any) -> Any:
    """Two runs of which the second is clearly better, and differs in what it was asked."""
    base = dataclasses.replace(run("a", BASE_PK), asked=ASKED)
    better = run("b", LOWER_PK[:40] if fewer else LOWER_PK)
    theirs = dataclasses.replace(ASKED, **changes)
    return held(base, dataclasses.replace(better, asked=theirs), limits=limits or Limits())


UNLIKE: dict[str, tuple[dict[str, Any], str]] = {
    "date": ({"date": NEXT}, f"date {ONE} and {NEXT}.*--template-date"),
    "template": ({"template_sha256": "u" * 64}, "own .tttttttt. and own .uuuuuuuu."),
    "fallback": ({"template": "lines@1", "template_sha256": "u" * 64}, "own.*lines@1"),
    "options": ({"options": {"enable_thinking": False}}, "none and enable_thinking=False"),
    "form": ({"form": "parts"}, "texts as string and parts"),
    "control tokens": ({"control_tokens": "token"}, "as text and token"),
    "mode": ({"chat": False}, "one was asked in its chat template"),
    "tokenizer": ({}, "their token ids differ .another tokenizer"),
}


@pytest.mark.parametrize(("changes", "cause"), UNLIKE.values(), ids=UNLIKE)
def test_unlike_questions_show_nothing(changes: dict[str, Any], cause: str) -> None:
    found = compared(prompts_sha256="q", **changes)
    assert found.verdict == "not shown"
    assert found.reasons[0].startswith("The same prompts were not the same question")
    assert re.search(cause, found.reasons[0])


@pytest.mark.parametrize(("changes", "cause"), UNLIKE.values(), ids=UNLIKE)
def test_unlike_questions_can_be_accepted_and_are_still_named(
    changes: dict[str, Any], cause: str
) -> None:
    found = compared(Limits(same_question=False), prompts_sha256="q", **changes)
    assert found.verdict == "improved"
    assert any("were not the same question" in one for one in found.remarks), cause


def test_a_model_is_not_worse_for_another_question() -> None:
    worse = dataclasses.replace(run("b", BASE_PK), asked=ASKED)
    base = dataclasses.replace(run("a", LOWER_PK), asked=dataclasses.replace(ASKED, date=NEXT))
    assert held(base, worse).verdict == "worse", "the ids are the same, whatever the date"
    unlike = dataclasses.replace(ASKED, date=NEXT, prompts_sha256="q")
    assert held(dataclasses.replace(base, asked=unlike), worse).verdict == "not shown"


def test_the_same_question_needs_no_word() -> None:
    for found in (compared(), compared(template_sha256="u" * 64, control_tokens="token")):
        assert found.verdict == "improved"
        assert not any("question" in one for one in found.sentences)


def test_a_run_that_does_not_say_is_compared_as_ever() -> None:
    base = dataclasses.replace(run("a", BASE_PK), asked=ASKED)
    assert held(base, run("b", LOWER_PK)).verdict == "improved"


def test_on_some_of_the_prompts_the_hashes_differ_and_the_template_decides() -> None:
    """That one run asked more prompts is said, and does not make the question another one."""
    assert compared(fewer=True, prompts_sha256="q").verdict == "improved"
    assert compared(fewer=True, prompts_sha256="q", date=NEXT).verdict == "not shown"


def test_models_of_two_families_are_each_asked_in_their_own_template() -> None:
    theirs = {"vocabulary_sha256": "w", "prompts_sha256": "q"}
    found = compared(**theirs, template_sha256="u" * 64, options={"enable_thinking": True})
    assert found.verdict == "improved"
    assert any("model and template differ together" in one for one in found.remarks)
    assert not any("template" in one for one in compared(**theirs).sentences)
    assert compared(**theirs, template_sha256="u" * 64, date=NEXT).verdict == "not shown"


def test_one_model_on_two_days_is_not_worse_than_itself(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(files("detoxlab") / "assets" / "lm", folder)
    (folder / "chat_template.jinja").write_text(DATED)
    more = {"sampling": {"max_new_tokens": 12}, "second": "rtp-neural"}
    one, other, again = (
        measured(folder, tmp_path / name, template_date=day, **more)
        for name, day in (("a", ONE), ("b", NEXT), ("c", ONE))
    )
    found = compare_runs(one, other, resamples=100)
    assert found.verdict == "not shown"
    assert f"wrote the date {ONE} and {NEXT}" in found.reasons[0]
    assert compare_runs(one, again, resamples=100).reasons[0] != found.reasons[0]
    assert one.responses().generations == again.responses().generations


def test_the_record_is_read_as_it_was_written() -> None:
    assert from_json(Asked, to_json(ASKED)) == ASKED


@pytest.mark.parametrize("chat", [True, False])
def test_a_server_is_told_the_options_of_its_template(chat: bool) -> None:
    bodies: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        choice = {"message": {"content": "yes"}, "text": "yes", "finish_reason": "stop"}
        return httpx.Response(200, json={"choices": [choice]})

    options = {"enable_thinking": False}
    engine = HttpEngine(
        "http://host/v1",
        "m",
        chat=chat,
        template_options=options,
        transport=httpx.MockTransport(answer),
    )
    engine.generate([Prompt("a", "hello", "t")], Sampling())
    assert bodies[0].get("chat_template_kwargs") == (options if chat else None)
    assert engine.facts()["template_options"] == options
