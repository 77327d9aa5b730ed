"""The auxiliary model and NADO decoding: it learns what it can, and decoding follows it."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from detoxlab.auxiliary.features import (
    Sample,
    acceptance_rate,
    accepted_share,
    read_features,
    sequence_log_probs,
)
from detoxlab.auxiliary.head import AuxiliaryHead, HeadShape, save_head
from detoxlab.auxiliary.losses import importance_weights
from detoxlab.data.settings import PromptSettings
from detoxlab.errors import ConfigError, ModelError, TrainingError, UnknownNameError
from detoxlab.generate import LocalEngine
from detoxlab.methods import load_method, method_of
from detoxlab.methods.auxiliary.config import AuxiliaryConfig
from detoxlab.methods.feedback.conditions import Condition, Oracle
from detoxlab.methods.loop.log import TrainLog
from detoxlab.methods.loop.trackers import TRACKERS
from detoxlab.models import LanguageModel, Session, Tokens, load_model, token_log_probs
from detoxlab.models.hidden import output_layer
from detoxlab.pipeline import measure_model
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.records import Prompt, Sampling
from detoxlab.runs import Run
from detoxlab.steering import load_steering
from detoxlab.steering.nado import Nado
from detoxlab.subject import Subject
from tests.support.shouting import prompts, register, shouting
from tests.support.tiny import save_tiny, tiny_lm, tiny_model, tiny_tokenizer

__all__ = ["shouting"]
pytestmark = pytest.mark.usefixtures("shouting")

LOUD = {"scorer": "shouting"}
SETTINGS: dict[str, Any] = {
    "conditions": [LOUD],
    "draws": {"k": 24, "max_new_tokens": 6},
    "head": {
        "steps": 150,
        "learning_rate": 1e-2,
        "blocks": 0,
        "weight_decay": 0.01,
        "consistency": 0.1,
    },
    "chat": False,
    "validation": 0.25,
}
STEPS = 6  # that are drawn


def fitted(folder: Path, lm: LanguageModel | None = None, count: int = 48, **settings: Any) -> Run:
    config = AuxiliaryConfig(**(SETTINGS | settings))
    run = Run.start(folder, kind="train", config=config.model_dump(mode="json"), resume=True)
    with run.writing():
        assert method_of(config).fit(lm or tiny_lm(), prompts(count), run) == folder / "auxiliary"
    return run


def unlike(count: int) -> list[Prompt]:
    """Prompts of unlike length, the shortest first, so that all but one of a batch are padded."""
    return [Prompt(f"u{i}", "so what" + " then" * i, "test") for i in range(count)]


def quiet_share(lm: LanguageModel, steering: Nado | None = None) -> float:
    engine = LocalEngine(Subject(lm, (steering,) if steering else ()), chat=False)
    drawn = engine.generate(prompts(60), Sampling(4, 6))
    return sum(not any("A" <= c <= "Z" for c in one.text) for one in drawn) / len(drawn)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patched:
        register(patched)
        base = save_tiny(tmp_path_factory.mktemp("nado") / "base")
        return fitted(base.parent / "run", load_model(base))


# --- the auxiliary model ---


def test_it_orders_and_is_calibrated_on_prompts_it_has_not_seen(run: Run) -> None:
    """As far as a random model allows, whose hidden states forget all but the newest token."""
    report = json.loads((run.path / "auxiliary" / "report.json").read_text())
    assert report["responses"] == 12 * 24
    assert min(row["auroc"] for row in report["positions"]) > 0.54
    assert report["positions"][-1]["position"] == 6
    assert report["prompt_r"] == pytest.approx(report["acceptance"], abs=0.06)
    assert report["calibration_error"] < 0.15
    assert report["consistency_gap"] < 0.2
    assert (run.info["method"], run.info["drawn"]) == ("auxiliary", 48 * 24)
    rows = TrainLog(run.path).rows()
    assert [row["step"] for row in rows] == list(range(1, 151))
    assert rows[-1]["acceptance_loss"] < rows[0]["acceptance_loss"]


def test_the_same_seed_gives_the_same_head_and_a_done_run_is_left_alone(
    tmp_path: Path, run: Run
) -> None:
    again = fitted(tmp_path / "run", load_model(run.path.parent / "base"))
    head = "auxiliary/head.safetensors"
    assert (again.path / head).read_bytes() == (run.path / head).read_bytes()
    before = (again.path / head).stat().st_mtime_ns
    fitted(again.path, load_model(run.path.parent / "base"))
    assert (again.path / head).stat().st_mtime_ns == before


def test_trackers_get_the_rows_of_the_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, dict[str, float]]] = []

    @contextlib.contextmanager
    def listening(_run: Path) -> Iterator[Any]:
        yield lambda row, step: sent.append((step, dict(row)))

    monkeypatch.setitem(TRACKERS, "tensorboard", listening)
    run = fitted(tmp_path / "run", count=8, head={"steps": 3}, report_to=("tensorboard",))
    rows = TrainLog(run.path).rows()
    assert [{"step": step, **row} for step, row in sent] == rows
    assert len(rows) == 3


def test_a_constraint_that_is_never_met_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none of 72 responses.*acceptance 0"):
        fitted(tmp_path / "run", count=4, conditions=[LOUD | {"threshold": 0.05}])


def test_several_conditions_hold_at_once_and_the_unread_is_not_accepted() -> None:
    both = Oracle([Condition(**LOUD), Condition(**LOUD, attribute="digits")])
    verdicts = both(["so what", "SO", "so 3", ""])
    assert verdicts.accepted_N.tolist() == [True, False, False, False]
    assert verdicts.unscored_N.tolist() == [False, False, False, True]
    with pytest.raises(ConfigError, match=r"no attribute 'threats'.*digits"):
        Oracle([Condition(**LOUD, attribute="threats")])


def test_the_acceptance_rate_is_smoothed_and_never_0() -> None:
    samples = [Sample("p", (1,), (2,), accepted) for accepted in (True, False, False)]
    assert acceptance_rate(samples, torch.ones(3)) == pytest.approx(1.5 / 4)
    tempered = torch.tensor([2.0, 0.5, 0.5])  # the accepted one is likelier than it was drawn
    assert accepted_share(samples, tempered) == pytest.approx(2 / 3)
    assert acceptance_rate(samples, tempered) == pytest.approx(2.5 / 4)
    every = importance_weights(torch.zeros(49, dtype=torch.float64))  # 49 times 1/49 is below 1
    assert accepted_share(49 * samples[:1], every) == 1.0


def test_features_are_the_models_own_log_probabilities() -> None:
    lm = tiny_lm()
    samples = [Sample("a", (5, 6, 7), (8, 9, 0), True), Sample("b", (30,), (31,), False)]
    output = output_layer(lm)
    features = read_features(lm, output, samples, 3)
    expected = token_log_probs(lm, [s.prompt_ids for s in samples], [s.ids for s in samples])
    sums = [float(values.sum()) for values in expected]
    assert features.log_p_N.tolist() == pytest.approx(sums, abs=1e-4)
    assert features.mask_NL.tolist() == [[True] * 3, [True, False, False]]
    tempered = sequence_log_probs(
        output, features.hidden_NLD, features.ids_NL, features.mask_NL, temperature=2.0
    )
    with torch.no_grad():
        logits = lm.model(torch.tensor([[30, 31]])).logits[0, 0] / 2
    assert float(tempered[1]) == pytest.approx(float(torch.log_softmax(logits, -1)[31]), abs=1e-4)


# --- decoding ---


def test_decoding_follows_the_head_and_strength_0_changes_nothing(run: Run) -> None:
    lm = load_model(run.path.parent / "base")
    plain, steered, pushed = (
        quiet_share(lm, Nado.load(run.path, strength=s)) for s in (0.0, 1.0, 3.0)
    )
    assert plain == quiet_share(lm)
    assert pushed >= steered > plain + 0.1


@dataclass
class Watched:
    """A steering that keeps the logits (B, V) which another makes of each forward pass."""

    inner: Nado
    steps: list[Tensor] = field(default_factory=list)
    id = "watched"
    training_scorers = ()

    @contextlib.contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        with self.inner.on(lm) as session:
            yield Keeping(session, self.steps)


@dataclass
class Keeping(Session):
    inner: Session
    steps: list[Tensor]

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        self.steps.append(self.inner.logits(tokens, logits))
        return self.steps[-1]


def random_head(folder: Path, lm: LanguageModel) -> AuxiliaryHead:
    """A head that asks for something at every token, in `folder`."""
    table_VD = output_layer(lm).weight_VD
    torch.manual_seed(0)
    head = AuxiliaryHead(HeadShape(table_VD.shape[1], table_VD.shape[0]), table_VD)
    torch.nn.init.normal_(head.out.weight)
    save_head(head, folder)
    return head


@torch.no_grad()
def alone(lm: LanguageModel, head: AuxiliaryHead, ids: Sequence[int], strength: float) -> Tensor:
    """log p + strength * log R (T, V) after each token of one row, unpadded and without a cache."""
    outputs = lm.model(torch.tensor([list(ids)]), output_hidden_states=True, use_cache=False)
    r_TV = head(outputs.hidden_states[-1][0])
    made: Tensor = outputs.logits[0] + strength * torch.nn.functional.logsigmoid(r_TV)
    return made


def test_a_step_is_the_formula(tmp_path: Path) -> None:
    """log p + strength * log R at each prompt of a padded batch, and on, with a cache."""
    lm, asked = tiny_lm(), unlike(5)
    head = random_head(tmp_path, lm)
    watched = Watched(Nado.load(tmp_path, strength=2.0))
    drawn = LocalEngine(Subject(lm, (watched,)), chat=False).generate(asked, Sampling(3, STEPS))
    assert {one.finish_reason for one in drawn} == {"length"}  # so that no row leaves the batch
    assert len(watched.steps) == STEPS
    prompts_ids = {p.id: lm.prompt_ids(p.text, chat=False) for p in asked}
    for row, prompt in enumerate(asked):
        expected_V = alone(lm, head, prompts_ids[prompt.id], 2.0)[-1]
        assert torch.allclose(watched.steps[0][row], expected_V, atol=1e-4)
    for row, one in enumerate(drawn):
        ids = [*prompts_ids[one.prompt_id], *one.token_ids[:-1]]
        expected_TV = alone(lm, head, ids, 2.0)[-STEPS + 1 :]
        found_TV = torch.stack([step_RV[row] for step_RV in watched.steps[1:]])
        assert torch.allclose(found_TV, expected_TV, atol=1e-4)


def test_a_drawn_response_scores_by_the_formula(tmp_path: Path) -> None:
    """In a padded batch without a cache, where several positions are read at once."""
    lm = tiny_lm()
    head = random_head(tmp_path, lm)
    prompts_ids = [lm.prompt_ids(p.text, chat=False) for p in unlike(5)]
    responses_ids = [[9, 8, 7, 6, 5][: 1 + i] for i in range(5)]
    subject = Subject(lm, (Nado.load(tmp_path, strength=2.0),))
    scored = subject.token_log_probs(prompts_ids, responses_ids)
    for prompt, response, found in zip(prompts_ids, responses_ids, scored, strict=True):
        log_q_TV = alone(lm, head, [*prompt, *response], 2.0).log_softmax(dim=-1)
        expected = log_q_TV[len(prompt) - 1 : -1].gather(1, torch.tensor(response)[:, None])[:, 0]
        assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_batches_do_not_change_what_is_drawn(run: Run) -> None:
    """Prompts of unlike length, in one padded batch and each by itself."""
    lm, steering = load_model(run.path.parent / "base"), Nado.load(run.path)
    engine, asked = LocalEngine(Subject(lm, (steering,)), chat=False), unlike(6)
    whole = engine.generate(asked, Sampling(3, STEPS))
    parts = [engine.generate([prompt], Sampling(3, STEPS)) for prompt in asked]
    assert [one for part in parts for one in part] == whole


def test_a_measured_run_says_what_steered_it(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"text": p.text}) + "\n" for p in prompts(4)))
    common: dict[str, Any] = {
        "prompts": PromptSettings(source=str(file)),
        "sampling": {"k": 1, "max_new_tokens": 4},
        "resamples": 100,
    }
    base = str(run.path.parent / "base")
    named = MeasureSettings(model=base, steer=f"nado:{run.path}", **common)
    measured = measure_model(named, tmp_path / "named")
    own = measure_model(MeasureSettings(model=str(run.path), **common), tmp_path / "own")
    assert measured.info["model"]["steering"].endswith("*1")
    assert measured.info["engine"]["steering"] == measured.info["model"]["steering"]
    assert measured.info["train_scorers"] == ["shouting"]
    files = [r.path / "generations" / "worker-0.jsonl" for r in (measured, own)]
    assert files[0].read_bytes() == files[1].read_bytes()


# --- refusing ---


def test_wrong_names_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="KIND:WHAT"):
        load_steering("nado")
    with pytest.raises(UnknownNameError, match="Did you mean 'nado'"):
        load_steering("nada:x")
    with pytest.raises(ModelError, match="holds no auxiliary head"):
        load_steering(f"nado:{tmp_path}")
    with pytest.raises(ConfigError, match="strength is -1"):
        load_steering(f"nado:{run.path}", strength=-1)
    with pytest.raises(ConfigError, match=r"draws\.top_p is 0\.9"):
        load_method("auxiliary", {"draws": {"top_p": 0.9}})


def test_a_head_of_another_model_is_refused(run: Run) -> None:
    other = LanguageModel("tiny", "tiny@1", tiny_model(hidden=64), tiny_tokenizer())
    with pytest.raises(ModelError, match=r"width of 32, the model has 260 and 64"):
        quiet_share(other, Nado.load(run.path))
