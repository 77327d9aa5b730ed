"""A recipe that evaluates its models, one of which only decodes otherwise."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from detoxlab.auxiliary.head import AuxiliaryHead, HeadShape, save_head
from detoxlab.cli import main
from detoxlab.comparisons.sweeps import read_sweep
from detoxlab.errors import ConfigError, MissingFileError, RunLockedError, RunMismatchError
from detoxlab.evaluations import Perplexity, read_evaluated
from detoxlab.models import Tokens
from detoxlab.models.hidden import output_layer
from detoxlab.pipeline import evaluate_model, evaluate_run, run_recipe
from detoxlab.pipeline.experiment import Experiment, plan
from detoxlab.recipe.experiment import Recipe
from detoxlab.recipe.measuring import SubjectSettings
from detoxlab.runs import Run
from detoxlab.settings import parse
from detoxlab.steering.nado import Nado
from detoxlab.subject import Subject
from tests.support.report_page import read_page
from tests.support.report_study import measured_run
from tests.support.shouting import prompts, shouting
from tests.support.tiny import save_tiny, tiny_lm

pytestmark = pytest.mark.slow

__all__ = ["shouting"]

LINES = [f"a quiet day {at} in the park, and {'so ' * at}home" for at in range(8)]


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """A recipe on the tiny model: NADO decoding and plain fine-tuning of the same base."""
    asked, learnt, texts = (tmp_path / name for name in ("a.jsonl", "l.jsonl", "texts.txt"))
    asked.write_text("".join(json.dumps({"text": p.text}) + "\n" for p in prompts(6)))
    learnt.write_text("".join(json.dumps({"text": p.text}) + "\n" for p in prompts(40)[6:]))
    texts.write_text("\n".join(LINES))
    source = {"source": str(texts)}
    return {
        "name": "small",
        "model": str(save_tiny(tmp_path / "tiny")),
        "prompts": {"source": str(asked)},
        "sampling": {"k": 2, "max_new_tokens": 6},
        "judge": "rtp-linear",
        "second": None,
        "encoder": None,
        "resamples": 200,
        "win_rate": {"judge": str(save_tiny(tmp_path / "judge", seed=3))},
        "evaluate": {"park": {"kind": "perplexity", "max_length": 32, **source}},
        "variants": [
            {
                "name": "plain",
                "method": "sft",
                "texts": {"parts": {"park": source}},
                "config": {"max_steps": 2, "learning_rate": 1e-2},
            },
            {
                "name": "nado",
                "method": "auxiliary",
                "against": ["plain"],
                "prompts": {"source": str(learnt)},
                "config": {
                    "conditions": [{"scorer": "shouting"}],
                    "draws": {"k": 8, "max_new_tokens": 6},
                    "head": {"steps": 40, "learning_rate": 1e-2, "blocks": 0},
                    "chat": False,
                },
            },
        ],
    }


def ran(content: dict[str, Any], out: Path, **options: bool) -> Experiment:
    return run_recipe(parse(Recipe, content, place="recipe"), out, **options)


@pytest.mark.usefixtures("shouting")
def test_every_model_is_evaluated_and_compared(content: dict[str, Any], tmp_path: Path) -> None:
    made = ran(content, tmp_path / "out")
    pairs = [(one.baseline, one.treated) for one in made.comparisons]
    assert pairs == [("base", "plain"), ("base", "nado"), ("plain", "nado")]
    tables = read_page(made.report.read_text()).tables
    rows = [row for row in tables["usefulness-all"] if row[1] == "Perplexity per word"]
    assert [row[2] for row in rows] == ["base", "plain", "nado"]
    assert [(row[2], row[3]) for row in tables["usefulness-against"][1:]] == 3 * [("plain", "nado")]
    assert tables["against"][1][:2] == ["plain", "nado"]
    assert [(row[1], row[0]) for row in tables["win-rates-all"][1:]] == pairs
    assert len(tables["win-rates-matrix"]) == 4
    won = json.loads((tmp_path / "out" / "win_rates.json").read_text())
    assert [(one["baseline"], one["treated"]) for one in won] == pairs

    found = {name: evaluated(tmp_path / "out" / name) for name in ("base", "plain", "nado")}
    steered = Run.open(tmp_path / "out" / "nado")
    assert found["nado"].model == steered.info["model"]["id"] != found["base"].model
    assert steered.info["train_scorers"] == ["shouting"]
    base = {one.item: one.values["nats"] for one in found["base"].results}
    assert all(one.values["nats"] != base[one.item] for one in found["nado"].results)

    head = Nado.load(tmp_path / "out" / "trained" / "nado")
    settings = Perplexity(**found["nado"].settings)
    by_hand = settings.results(Subject(tiny_lm(), (head,)), settings.items(0))
    assert by_hand == list(found["nado"].results)


def evaluated(path: Path) -> Any:
    return read_evaluated(Run.open(path))["park"]


@pytest.mark.usefixtures("shouting")
def test_a_swept_variant_is_measured_at_the_strength_of_each_budget(
    content: dict[str, Any], tmp_path: Path
) -> None:
    """Trainings are measured as they are; against them stand all runs of the swept variant."""
    sweep = {
        "prompts": content["variants"][1]["prompts"] | {"limit": 3},
        "costs": {"park": content["evaluate"]["park"]["source"]},
        "budgets": {"park": "1.0001,99"},
        "strengths": [0.5, 2],
        "tries": 1,
    }
    made = ran(content | {"sweep": sweep, "evaluate": {}, "win_rate": None}, tmp_path / "out")
    runs = ["base", "plain", "nado-1.0001", "nado-99"]
    pairs = [(one.baseline, one.treated) for one in made.comparisons]
    assert pairs == [
        *(("base", name) for name in runs[1:]),
        *(("plain", name) for name in runs[2:]),
    ]
    chosen = read_sweep(Run.open(tmp_path / "out" / "swept" / "nado")).choices
    settings = [Run.open(tmp_path / "out" / name).config for name in runs]
    assert [one["strength"] for one in settings] == [1, 1, *(one.strength for one in chosen)]
    assert chosen[1].strength == 2


def test_variants_are_steered_by_others_and_asked_otherwise(
    content: dict[str, Any], tmp_path: Path
) -> None:
    plain, _ = content["variants"]
    changed = [
        plain | {"name": "expert", "measured": False},
        plain,
        {"name": "pushed", "steer": "dexperts:expert+plain@2"},
        {"name": "on-top", "of": "plain", "steer": "anti-expert:expert@1"},
        {"name": "polite", "system": "Be polite."},
        {"name": "best", "best_of": 3, "by": "rtp-neural"},
    ]
    made = ran(content | {"variants": changed, "win_rate": None}, tmp_path / "out")
    names = ["plain", "pushed", "on-top", "polite", "best"]
    assert [one.treated for one in made.comparisons] == names
    ids = {name: Run.open(tmp_path / "out" / name).info["model"]["id"] for name in names}
    assert len(set(ids.values())) == len(names)
    marks = {"pushed": "dexperts@", "on-top": "anti-expert@", "polite": "system", "best": "best"}
    assert all(mark in ids[name] for name, mark in marks.items())
    adapter = Run.open(tmp_path / "out" / "plain").info["model"]["id"]
    assert ids["on-top"].startswith(adapter)
    assert not (tmp_path / "out" / "expert").exists()
    variants = read_page(made.report.read_text()).tables["variants"]
    assert [row[1] for row in variants[2:]] == [
        *("baseline", "sft", "dexperts", "sft + anti-expert", "system prompt", "best of 3"),
    ]
    again = ran(content | {"variants": changed, "win_rate": None}, tmp_path / "out", resume=True)
    assert again.comparisons == made.comparisons


@pytest.mark.usefixtures("shouting")
def test_the_scorer_of_the_head_may_not_judge(content: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"variants\.nado: trains on the scorer that judges"):
        ran(content | {"judge": "shouting"}, tmp_path / "out")


@pytest.mark.usefixtures("shouting")
def test_killed_while_it_evaluates_it_goes_on(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content | {"variants": content["variants"][:1]}
    monkeypatch.setattr("detoxlab.evaluations.perplexity.CHARACTERS", 60)
    with monkeypatch.context() as killing:
        _kill_after(killing, batches=12)
        with pytest.raises(KeyboardInterrupt):
            ran(content, tmp_path / "out")
    rows = tmp_path / "out" / "plain" / "evaluation" / "park.jsonl"
    kept = rows.read_bytes()
    assert 0 < len(kept.splitlines()) < len(LINES)
    drawn = (tmp_path / "out" / "plain" / "generations" / "worker-0.jsonl").stat().st_mtime_ns
    ran(content, tmp_path / "out", resume=True)
    assert rows.read_bytes().startswith(kept)
    assert len(rows.read_bytes().splitlines()) == len(LINES)
    again = (tmp_path / "out" / "plain" / "generations" / "worker-0.jsonl").stat().st_mtime_ns
    assert again == drawn
    ran(content, tmp_path / "whole")
    assert rows.read_bytes() == (tmp_path / "whole/plain/evaluation/park.jsonl").read_bytes()


@pytest.mark.usefixtures("shouting")
def test_a_variant_more_leaves_what_is_done_and_a_changed_one_is_refused(
    content: dict[str, Any], tmp_path: Path
) -> None:
    first, second = content["variants"]
    ran(content | {"variants": [first]}, tmp_path / "out")
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.safetensors")}
    experiment = ran(content, tmp_path / "out", resume=True)
    assert [one.treated for one in experiment.comparisons] == ["plain", "nado", "nado"]
    assert done
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    named = [one["name"] for one in Run.open(tmp_path / "out").config["variants"]]
    assert named == [first["name"], second["name"]]
    changed = first | {"config": first["config"] | {"weight_decay": 0.5}}
    with pytest.raises(RunMismatchError, match="was made with"):
        ran(content | {"variants": [changed]}, tmp_path / "out", resume=True)


@pytest.mark.usefixtures("shouting")
def test_limits_may_change_and_an_older_folder_may_lack_some(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content = content | {"variants": content["variants"][:1]}
    ran(content, tmp_path / "out")
    experiment = Run.open(tmp_path / "out")
    config = experiment.config
    del config["limits"]["agreement"]  # as a version wrote it that did not know this limit
    with experiment.writing():
        experiment.write_config(config)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jsonl")}
    again = ran(content | {"limits": {"perplexity_ratio": 7.5}}, tmp_path / "out", resume=True)
    assert again.comparisons[0].limits["perplexity_ratio"] == 7.5
    assert Run.open(tmp_path / "out").config["limits"]["agreement"] == 0.05
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_an_evaluation_may_be_added_to_a_finished_recipe(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content = content | {"variants": content["variants"][:1]}
    out = tmp_path / "out"
    ran(content, out)
    done = (out / "plain" / "evaluation" / "park.jsonl").stat().st_mtime_ns
    park = content["evaluate"]["park"]
    more = {"evaluate": {"park": park, "close": {**park, "stride": 4}}, "useful_by": "close"}
    ran(content | more, out, resume=True)
    assert (out / "plain" / "evaluation" / "park.jsonl").stat().st_mtime_ns == done
    rows = csv.DictReader((out / "report.csv").read_text().splitlines())
    changed = [row["evaluation"] for row in rows if row["record"] == "difference"]
    assert set(filter(None, changed)) == {"park", "close"}
    stages = [
        stage
        for run in (out / "plain", out / "trained/plain")
        for stage in Run.open(run).info["usage"]
    ]
    measured = ["generate", "score", "likelihood", "evaluate park", "evaluate close"]
    assert stages == [*measured, "train"]
    with pytest.raises(ConfigError, match="useful_by is 'far'; there are: park, close, responses"):
        parse(Recipe, content | more | {"useful_by": "far"}, place="recipe")


def _kill_after(patched: pytest.MonkeyPatch, *, batches: int) -> None:
    done = 0
    results = Perplexity.results

    def cut_short(self: Perplexity, *given: Any) -> Any:
        nonlocal done
        done += 1
        if done > batches:
            raise KeyboardInterrupt
        return results(self, *given)

    patched.setattr(Perplexity, "results", cut_short)


def test_the_plan_says_what_is_evaluated_and_a_wrong_path_is_known_first(
    content: dict[str, Any], tmp_path: Path
) -> None:
    recipe = parse(Recipe, content | {"variants": content["variants"][:1]}, place="recipe")
    planned = plan(recipe, tmp_path)
    assert "evaluate park (perplexity, 8 items)" in planned
    assert "win rates by" in planned
    content["evaluate"]["park"]["source"] = str(tmp_path / "no.txt")
    with pytest.raises(MissingFileError, match=r"no\.txt"):
        ran(content | {"variants": content["variants"][:1]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_endpoint_gives_no_log_probabilities(content: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="evaluate works on a model in this process"):
        parse(Recipe, content | {"endpoint": "http://localhost:1"}, place="recipe")


# --- one model ---


def test_a_model_alone_and_its_run_again(content: dict[str, Any], tmp_path: Path) -> None:
    park = Perplexity(**content["evaluate"]["park"])
    settings = SubjectSettings(model=content["model"])
    run = evaluate_model(settings, {"park": park}, tmp_path / "run", resamples=100)
    assert (run.info["kind"], run.info["status"]) == ("evaluate", "finished")
    evaluate_run(run, {"wide": park.model_copy(update={"max_length": 64})}, resamples=100)
    assert sorted(read_evaluated(run)) == ["park", "wide"]
    with pytest.raises(RunMismatchError, match="max_length: 32 then, 48 now"):
        evaluate_run(run, {"park": park.model_copy(update={"max_length": 48})})
    with run.locked(), pytest.raises(RunLockedError):
        evaluate_run(run, {"park": park})
    train = Run.start(tmp_path / "train", kind="train", config={})
    with pytest.raises(ConfigError, match="is not the run of a model that can be loaded here"):
        evaluate_run(train, {"park": park})


# --- steered ---


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """A head with random weights, so that R depends on what was read."""
    table = output_layer(tiny_lm()).weight_VD
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = AuxiliaryHead(HeadShape(table.shape[1], table.shape[0]), table)
        torch.nn.init.normal_(made.out.weight)
    save_head(made, tmp_path / "head")
    return tmp_path / "head"


def test_strength_0_is_the_model_itself(head: Path) -> None:
    lm = tiny_lm()
    prompts_ids, responses_ids = [[5, 6, 7], [8]], [[9, 10], [11, 12, 13, 14]]
    plain = Subject(lm).token_log_probs(prompts_ids, responses_ids)
    steered = Subject(lm, (Nado.load(head, strength=0.0),))
    zero = steered.token_log_probs(prompts_ids, responses_ids)
    assert [list(one) for one in zero] == [list(one) for one in plain]


def test_steered_log_probabilities_are_those_that_are_decoded_from(head: Path) -> None:
    """Token by token against what one step of decoding draws from, prefix by prefix."""
    lm, nado = tiny_lm(), Nado.load(head, strength=2.0)
    prompts_ids, responses_ids = [[5, 6, 7], [8]], [[9, 10], [11, 12, 13, 14]]
    found = Subject(lm, (nado,)).token_log_probs(prompts_ids, responses_ids)
    with torch.no_grad(), nado.on(lm) as session:
        for prompt, response, values in zip(prompts_ids, responses_ids, found, strict=True):
            for at, token in enumerate(response):
                inputs = {"input_ids": torch.tensor([prompt + response[:at]])}
                logits = lm.model(**inputs).logits[:, -1]
                logits = session.logits(Tokens.of_texts(inputs, [at]), logits)
                expected = float(torch.log_softmax(logits, -1)[0, token])
                assert float(values[at]) == pytest.approx(expected, abs=1e-4)


# --- the command line ---


def test_the_commands_evaluate_and_judge(
    content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("base", "ft")):
        measured_run(tmp_path / name, level=0.2, prompts=6, k=1, seed=seed)
    texts, judge = content["evaluate"]["park"]["source"], content["win_rate"]["judge"]
    evaluate = ["evaluate", content["model"], "perplexity", "--source", texts, "--resamples", "100"]
    out = ["--out", str(tmp_path / "alone")]
    command([*evaluate, *out, "--set", "max_length=32"])
    assert "word_perplexity" in capsys.readouterr().out
    runs = [str(tmp_path / "base"), str(tmp_path / "ft")]
    command(["winrate", *runs, "--judge", judge, "--out", str(tmp_path / "won")])
    assert "win_rate" in capsys.readouterr().out
    page = tmp_path / "report.html"
    command(["report", *runs, "--win-rate", str(tmp_path / "won"), "-o", str(page)])
    assert "win-rates-all" in read_page(page.read_text()).tables


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "is no measured run. Name a run folder with --out."),
        (["--set", "strid=3"], "Did you mean 'stride'?"),
        (["--limit", "0"], "limit: Input should be greater than or equal to 1"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line(
    more: list[str],
    message: str,
    content: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = content["evaluate"]["park"]["source"]
    with pytest.raises(SystemExit):
        main(["evaluate", "embedded", "perplexity", "--source", texts, *more])
    *begun, line = capsys.readouterr().err.splitlines()
    assert all(one.startswith("evaluate embedded (loading") for one in begun)
    assert message in line


def command(arguments: list[str]) -> None:
    """Run a command; it must end well."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code in (0, None)
